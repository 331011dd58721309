package child

import (
	"os"
	"syscall"
)

// Signals are those the caller should catch with signal.Notify and hand to Wait: Ctrl-C, Ctrl-Break and the console's end.
func Signals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func terminates(syscall.Signal) bool { return true }

// SignalNum is 0: nothing but an end can be sent to a process here.
func SignalNum(string) syscall.Signal { return 0 }
