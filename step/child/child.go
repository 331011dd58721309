// Package child runs the wrapped command so that it cannot tell.
//
// # What it promises
//
//   - The command has the standard input, terminal, window size, job control, signals, working directory, inherited
//     descriptors and resource limits it would have without the wrapper.
//   - Its exit status is told as a shell tells it: the code, or 128+n when signal n killed it.
//   - When Wait returns, nothing the command started is left running: daemons that left its process group and session
//     included (Linux; see Result.Left for the one exception).
//   - A stream that is to be masked is copied as it comes, in order, without a timer. A stream that is not is passed as
//     the file itself and never copied.
//   - The terminal's modes and foreground group are put back however the command ends, and after a SIGKILL of this process too.
//
// # What it does not do
//
// PR_SET_PDEATHSIG is not set on the command. It fires when the thread that forked ends, not the process, and Go ends
// threads as it likes; and the kernel forgets it when the command executes a set-user-id program. Whoever must end the
// command after this process has died (the guard) gets what it needs from Child.Process.
//
// Signals other than SIGHUP and SIGINT that were ignored when this process was started (SIGPIPE under systemd) are not
// ignored in the command: the Go runtime installs its own handlers before any of this code runs, and keeps no record of
// what was there that a program may read.
//
// What is typed while a masked command runs, and not read by it, is not there for the shell afterwards: it has gone to the pseudo-terminal,
// and ends with that. To type it for the user once more takes TIOCSTI, which most systems forbid by now, and with good reason: what
// is in a pseudo-terminal's queue a command may have put there itself, for the shell of the user to execute.
//
// A masked stream that is not a terminal is a pipe to the command. So the write that cannot be passed on (a full disk, /dev/full) succeeds, and the next one ends
// the command with SIGPIPE, where without the mask each would have failed with the error of its own. Result.Output has that error.
//
// # Platforms
//
// Linux has all of it. Elsewhere the command runs in the foreground of whatever terminal there is, signals are forwarded,
// masked streams are pipes, and only the command's process group (on Windows: the command alone) is ended.
package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Options say what to run, with what, and how it ends.
type Options struct {
	Argv []string // the command; Argv[0] is looked up in the PATH of Env as execvp(3) does
	Env  []string // "NAME=value"; exactly what the command gets
	Dir  string   // working directory; empty: this process's own

	// The streams. A nil one is the null device.
	Stdin, Stdout, Stderr *os.File

	// Mask returns a filter that writes to dst. It is called once for each stream that is copied: once for stdout and
	// once for stderr, or once for both where the two are the same file, pipe or terminal (the order between them is
	// kept then). Close is called after the last byte. On a terminal, a method Release() error, where there is one, is called after the echo
	// of a key: it passes on what the filter holds back. Nil: the streams are passed as they are and nothing is copied.
	Mask func(dst io.Writer) io.WriteCloser

	// Grace is the time from the first termination signal to SIGKILL, and from the command's end to the SIGKILL of what
	// it left behind. Zero: at once.
	Grace time.Duration

	// Spare reports whether a process this program started itself is none of the command's (the guard). Children that
	// existed before Start, and children in this process's own group, are spared without being named: what os/exec
	// starts elsewhere in this program is neither reaped nor killed from here. Called from the goroutine that runs Wait. Nil: none.
	Spare func(pid int) bool

	// Starting is held over each look at the processes there are together with what Spare says of them. Who starts one that Spare is to know of holds it from before the
	// start until Spare knows, so that no look falls in between. Nil: nothing such is started while the command runs.
	Starting sync.Locker

	// Lasts reports whether a process of the command's is to be left alone, with all that it starts, because it ends by itself when its work is done: the
	// guard of a run within the command. Such orphans are waited for as long as others are, and never ended. Nil: there are none.
	Lasts func(pid int) bool

	// Warnf is told, in one line without secrets, what could not be done as promised. Nil: nobody.
	Warnf func(format string, args ...any)
}

// A Result is how the command ended.
type Result struct {
	Code       int            // what a shell would call it: the exit code, or 128+n when signal n killed it
	Signal     syscall.Signal // the signal that killed it; 0 when it exited by itself
	CoreDumped bool

	// Reason is what Terminate was given, where it was called while the command ran.
	Reason string
	// Stopped is the first termination signal that was forwarded to the command; 0 when there was none.
	Stopped syscall.Signal
	// Killed says that the command had to be killed because Grace ran out.
	Killed bool

	// Orphans counts the processes that were still there after the command had ended and were ended by Wait.
	Orphans int
	// Left are processes of the command that could not be ended: another user's (sudo), or stuck in the kernel.
	Left []int

	// Output is the first error of writing the command's masked output: a full disk, a terminal that is gone. A reader
	// that went away is not an error: the command gets SIGPIPE for it, as it would without the wrapper. What the
	// command had written and could not be passed on is lost then, so a caller should not call that a success.
	Output error
}

// A StartError says why the command was not started. Nothing runs then.
type StartError struct {
	Command string // Argv[0]
	Code    int    // what a shell would exit with: 127 not found, 126 found but not executable, 125 anything else
	Err     error
	Advice  string // what to do; may be empty
}

func (e *StartError) Error() string {
	s := fmt.Sprintf("starting %q: %v", e.Command, e.Err)
	if e.Advice != "" {
		s += " (" + e.Advice + ")"
	}
	return s
}

// Unwrap returns the system's error.
func (e *StartError) Unwrap() error { return e.Err }

// ExitCode is the exit code for an error of Start: 125, 126 or 127 as env(1), nice(1) and timeout(1) use them.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*StartError](err); ok {
		return e.Code
	}
	return codeFailed
}

const (
	codeFailed        = 125
	codeNotExecutable = 126
	codeNotFound      = 127
)

// patience is the grace that is left after a second termination signal. A CI runner that sends one means to follow it
// with SIGKILL within seconds (GitHub: 2.5 s after its second), and revoking needs some of them.
const patience = time.Second

// sameSignal is how close together two termination signals are taken for one: timeout(1) and some agents signal both
// the process and its group.
const sameSignal = 250 * time.Millisecond

func (o Options) warnf(format string, args ...any) {
	if o.Warnf != nil {
		o.Warnf(format, args...)
	}
}

func (o Options) spared(pid int) bool { return o.Spare != nil && o.Spare(pid) }

// looking begins a look at the processes there are.
func (o Options) looking() (end func()) {
	if o.Starting == nil {
		return func() {}
	}
	o.Starting.Lock()
	return o.Starting.Unlock
}

func (o Options) lasts(pid int) bool { return o.Lasts != nil && o.Lasts(pid) }
