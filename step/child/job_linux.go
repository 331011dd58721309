package child

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settling is how long is waited for output that was written before the command stopped or ended, when the terminal
// changes hands. It takes microseconds, unless the user has stopped the output with Ctrl-S.
const settling = 500 * time.Millisecond

// stopped is what is done when the command has stopped: it gets the terminal if it was stopped for asking for it,
// otherwise this process stops too, so that the shell has its terminal back, and continues the command when the shell continues it.
// Without a terminal a stopped command is nobody's business but his who stopped it.
func (w *wait) stopped(sig syscall.Signal) {
	t := w.term
	if t == nil {
		return
	}
	asks := sig == unix.SIGTTIN || sig == unix.SIGTTOU
	if asks && pending(w.pid, unix.SIGTSTP) {
		sig, asks = unix.SIGTSTP, false // Ctrl-Z came as well, and would be forgotten when the command is continued
	}
	if front, err := t.front(); asks && err == nil && (front == t.group || front == w.pid) {
		t.asked = true
		t.give(w.pid)
		_ = w.Signal(unix.SIGCONT)
		return
	}
	had := t.given
	w.settle()
	modes := t.modes
	if t.pty == nil {
		modes = nil // the shell puts its own modes back, and the command's again later
	}
	t.take(modes)
	if sig == unix.SIGSTOP {
		sig = unix.SIGTSTP // which the kernel holds back where nobody would continue this process
		asks = true
	}
	stopped := w.halt(sig, func() {
		if had || asks {
			// The rest of the job would have been stopped with the command, had it been in this group.
			w.signalMates(t.group, sig)
		}
	})
	if stopped || sig == unix.SIGTSTP {
		w.resume()
		return
	}
	// In the background of a terminal whose shell is gone, asking for the keyboard: as the kernel treats a stopped group that nobody
	// can continue any more.
	_ = w.Signal(unix.SIGHUP)
	_ = w.Signal(unix.SIGCONT)
}

// signalMates signals the others of a group that are none of this program's own.
func (w *wait) signalMates(group int, sig syscall.Signal) {
	defer w.o.looking()()
	for _, p := range mates(group) {
		if !w.o.spared(p.pid) {
			_ = signalProcess(p, sig)
		}
	}
}

// resume continues the command, with the terminal if the shell has put this process in the foreground.
func (w *wait) resume() {
	w.regain()
	_ = w.Signal(unix.SIGCONT)
}

// regain gives the command the terminal if it is there to be given and the command wants it.
func (w *wait) regain() {
	t := w.term
	if t == nil {
		return
	}
	if t.pty != nil {
		t.pty.resize(t.fd)
	}
	if (t.eager || t.asked) && t.foreground() {
		t.give(w.pid)
	}
}

// halt stops the others of the job and this process, and reports whether that was stopped. The SIGCONT that ended it is taken
// from the signals: the command gets one of its own when it is its turn.
func (w *wait) halt(sig syscall.Signal, others func()) bool {
	long := halt(sig, others)
	late := time.After(100 * time.Millisecond)
	for {
		select {
		case s, ok := <-w.signals:
			if s == unix.SIGCONT {
				return true
			}
			w.forward(s, ok)
		case <-late:
			return long
		}
	}
}

// settle waits until what the command has written so far has been passed on.
func (w *wait) settle() {
	late := time.After(settling)
	for _, s := range w.streams {
		select {
		case <-s.settle(false):
		case <-late:
			return
		}
	}
}

// hangUp does to the command's terminal what has been done to the real one. A SIGHUP may come as well, but may be ignored (nohup), and then
// the command would wait for a keyboard that is gone.
func (w *wait) hangUp() {
	late := time.After(settling)
	for _, s := range w.streams {
		if s.tty {
			select {
			case <-s.settle(true):
			case <-late:
				return // something holds its output up; the descriptor is still in use
			}
		}
	}
	w.term.pty.close()
}

// home takes the terminal back from a command that has ended, with the modes it should have now: those the command left,
// as without the wrapper, but those it found if it had no time to put them back.
func (w *wait) home() {
	t := w.term
	if t == nil || !t.given {
		return
	}
	w.settle()
	modes := t.modes
	switch {
	case w.result.Signal != 0:
	case t.pty == nil:
		modes = nil
	default:
		if changed, ok := t.pty.changed(); ok {
			modes = changed
		}
	}
	t.take(modes)
}

// keyboard reports whether a signal that came to this process is the terminal's.
func (w *wait) keyboard(sig syscall.Signal) bool {
	return (sig == unix.SIGINT || sig == unix.SIGQUIT) && w.term != nil && w.term.foreground()
}
