package harness

import (
	"os"
	"os/signal"
	"syscall"
)

// HearSignals is for a TestMain whose tests send signals to what they start. Whoever started the tests may ignore some, as nohup does, and a shell for what it runs in the
// background; the programs under test would inherit that, and be right to. A signal that is caught here is the default again in what is started.
func HearSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}
