//go:build unix

package child

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals a command may expect to get from outside. Not among them: SIGURG, which the Go runtime sends
// itself all the time; SIGCHLD, which is about this process's children; SIGTTIN and SIGTTOU, which the terminal sends
// whoever it means; and the faults, which are this process's own.
var forwarded = []syscall.Signal{
	unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP,
}

// Signals are those the caller should catch with signal.Notify and hand to Wait.
//
// It must be called before: signals that were ignored when this process was started (nohup, a script's background jobs)
// are left out, so that they stay ignored here and in the command, as without the wrapper. SIGPIPE is there to be caught
// and is not forwarded: uncaught, Go ends a process whose stderr has no reader, before it has revoked anything.
func Signals() []os.Signal {
	ignored := ignoredSignals()
	var list []os.Signal
	for _, s := range slices.Concat(forwarded, realTimeSignals()) {
		if !ignored(s) && !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return append(list, unix.SIGPIPE)
}

// terminates reports whether a signal asks a command to end.
func terminates(s syscall.Signal) bool {
	return s == unix.SIGINT || s == unix.SIGTERM || s == unix.SIGHUP || s == unix.SIGQUIT
}

// SignalNum is the signal of a name such as SIGHUP; 0 for none.
func SignalNum(name string) syscall.Signal { return unix.SignalNum(name) }
