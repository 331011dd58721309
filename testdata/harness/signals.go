//go:build !windows

package harness

import (
	"os"
	"os/signal"
	"syscall"
)

// What starts the tests may ignore signals: nohup does, and a shell that runs them in the background. The programs under test would inherit that, as they would
// without with-creds, and not see the signals that the tests send. A signal that is caught is the default again in what is started.
func init() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}
