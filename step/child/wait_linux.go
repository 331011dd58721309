package child

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A wait is the state of Child.Wait. All of it happens in one goroutine.
type wait struct {
	*Child
	signals <-chan os.Signal
	result  Result

	deadline   time.Time // when SIGKILL follows; zero: not at all yet
	terminated time.Time // when the first termination signal came
	latest     time.Time // and the latest that counted
	impatient  int       // how many more counted
	leaving    bool      // the command has ended
}

// Wait waits for the command's end and for the end of all it left behind, and returns when its output has been passed on.
// What comes from signals, in any of these phases, is forwarded to the command's group:
//
//   - The first SIGINT, SIGTERM, SIGHUP or SIGQUIT begins Options.Grace; SIGKILL follows it. SIGINT and SIGQUIT do not
//     when this process is in the foreground of a terminal: they are the keyboard's, and many programs live on after them.
//   - A second one cuts what is left of the grace to one second, a third to nothing. One that comes within 250 ms of another is the same.
//   - SIGPIPE, SIGCHLD and SIGURG are not forwarded.
//
// However often it is signalled, Wait returns normally: what the caller does afterwards is never skipped.
//
// Output that nobody takes (a pager that waits for a key) is waited for without limit, as the command itself would have
// waited; after a termination signal, only until the grace ends.
func (c *Child) Wait(signals <-chan os.Signal) Result {
	w := &wait{Child: c, signals: signals}
	defer signal.Stop(c.changes)
	// Whatever happens, the terminal is put back; a second time does nothing.
	defer w.home()
	w.running()
	w.home()
	w.clearing()
	w.draining()
	c.mu.Lock()
	c.buried = true
	c.release() // the monitor, where there is one, reaps the command
	reap(c.pid)
	c.mu.Unlock()
	return w.result
}

// running lasts until the command has ended.
func (w *wait) running() {
	alarm := func() <-chan time.Time { return until(w.deadline) }
	for {
		w.brood.reap()
		if !w.monitored() {
			switch now, err := peek(w.pid); {
			case err != nil:
				// Nobody but Wait may reap the command; if somebody did, its status is lost.
				w.o.warnf("the command's exit status is lost: %v", err)
				w.result.Code = codeFailed
				return
			case w.changed(now):
				return
			case now.stopped():
				continue // it may have been continued and stopped again meanwhile
			}
		}
		select {
		case s, ok := <-w.signals:
			w.forward(s, ok)
		case reason := <-w.ask:
			if w.result.Reason == "" {
				w.result.Reason = reason
			}
			w.forward(unix.SIGTERM, true)
			_ = w.Signal(unix.SIGCONT) // a stopped command would not hear it
		case <-w.changes:
		case e, ok := <-w.events():
			if !ok { // the monitor was killed: the command is this process's own child now
				w.term.pty.monitor.lost()
			} else if w.changed(e.change()) {
				return
			}
		case <-w.gone():
			w.hangUp()
		case <-alarm():
			if w.result.Killed {
				w.o.warnf("the command could not be killed and is left running: process %d", w.pid)
				w.result.Left = append(w.result.Left, w.pid)
				w.result.Code = 128 + int(unix.SIGKILL)
				return
			}
			w.result.Killed = true
			_ = w.Signal(unix.SIGKILL)
			stuck := time.After(giveUp)
			alarm = func() <-chan time.Time { return stuck }
		}
	}
}

// changed acts on a change of the command's state and reports whether it was its end.
func (w *wait) changed(c change) bool {
	if c.stopped() {
		w.stopped(syscall.Signal(c.status))
	}
	if c.ended() {
		w.ended(c)
	}
	return c.ended()
}

// monitored reports whether the command's state is told by the monitor.
func (w *wait) monitored() bool {
	return w.term != nil && w.term.pty != nil && !w.term.pty.monitor.gone
}

func (w *wait) gone() <-chan struct{} {
	if w.term == nil || w.term.pty == nil {
		return nil
	}
	return w.term.pty.gone()
}

func (w *wait) events() <-chan event {
	if !w.monitored() {
		return nil
	}
	return w.term.pty.monitor.next()
}

func (w *wait) ended(c change) {
	w.leaving = true
	if c.code == cldExited {
		w.result.Code = c.status
		return
	}
	w.result.Signal = syscall.Signal(c.status)
	w.result.Code = 128 + c.status
	w.result.CoreDumped = c.code == cldDumped
	if w.result.Signal != unix.SIGKILL {
		w.result.Killed = false // it ended by itself in the last moment
	}
}

// forward passes a signal on and notes whether it asks for an end.
func (w *wait) forward(s os.Signal, open bool) {
	if !open { // the caller has closed the channel
		w.signals = nil
		return
	}
	sig, ok := s.(syscall.Signal)
	switch {
	case !ok, sig == unix.SIGPIPE, sig == unix.SIGCHLD, sig == unix.SIGURG:
		return
	}
	switch sig {
	case unix.SIGCONT:
		w.regain()
	case unix.SIGWINCH:
		if w.term != nil && w.term.pty != nil {
			w.term.pty.resize(w.term.fd)
			if w.term.given {
				return // the pty has told whoever is in front there
			}
		}
	}
	_ = w.Signal(sig) // it may have ended this instant
	if terminates(sig) && (w.leaving || !w.keyboard(sig)) {
		w.hurry(sig, time.Now())
	}
}

// hurry moves the deadline as the n-th termination signal asks. It never puts it off.
func (w *wait) hurry(sig syscall.Signal, now time.Time) {
	until := now
	switch {
	case w.terminated.IsZero():
		w.terminated = now
		w.result.Stopped = sig
		until = now.Add(w.o.Grace)
	case now.Sub(w.latest) < sameSignal:
		return
	default:
		if w.impatient++; w.impatient == 1 {
			until = now.Add(patience)
		}
	}
	w.latest = now
	if w.deadline.IsZero() || until.Before(w.deadline) {
		w.deadline = until
	}
}

// clearing lasts until all that the command left behind has ended. Its own zombie is kept, so that the group keeps its number.
func (w *wait) clearing() {
	var killing time.Time
	if w.deadline.IsZero() {
		w.deadline = time.Now().Add(w.o.Grace)
		defer func() {
			if w.terminated.IsZero() {
				w.deadline = time.Time{} // it was the orphans' alone
			}
		}()
	}
	for round := 0; ; round++ {
		kill := !time.Now().Before(w.deadline)
		more := w.brood.end(kill)
		if kill {
			round = 0 // no long pauses: it is a race with those who start others before they are killed
			if killing.IsZero() {
				killing = time.Now()
			}
		}
		if !more || kill && time.Since(killing) > giveUp {
			break
		}
		select {
		case s, ok := <-w.signals:
			w.forward(s, ok)
		case <-w.changes:
		case <-time.After(pause(round)):
		}
	}
	w.result.Orphans = len(w.brood.told)
	if left, _ := w.brood.all(); len(left) > 0 {
		w.result.Left = append(w.result.Left, numbers(left)...)
		w.o.warnf("processes the command left behind could not be ended: %v", w.result.Left)
	}
}

// draining lasts until what the command has written is passed on.
func (w *wait) draining() {
	for _, s := range w.streams {
		finished := s.settle(true)
		for finished != nil {
			select {
			case <-finished:
				finished = nil
				s.release()
			case sig, ok := <-w.signals:
				w.forward(sig, ok)
			case <-w.patience():
				finished = nil
				s.sink.fail(errNotTaken)
			}
		}
		if err := s.failure(); err != nil && w.result.Output == nil {
			w.result.Output = err
		}
	}
}

// patience fires when output that nobody takes is not waited for any longer. What is on its way gets its moment.
func (w *wait) patience() <-chan time.Time {
	if w.deadline.IsZero() {
		return nil
	}
	return time.After(max(time.Until(w.deadline), 200*time.Millisecond))
}

var errNotTaken = errors.New("nobody read it")
