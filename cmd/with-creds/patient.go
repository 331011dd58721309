package main

import (
	"io"
	"sync"
	"time"
)

// patience is how long with-creds waits for its own words to be read, and mostUnread how much is kept of those that are not.
const (
	patience   = time.Second
	mostUnread = 1 << 20
)

// A patient writer writes what with-creds says itself. Somebody who does not read (a pager that stands still, a log collector that hangs) must not hold up
// a renewal or a revocation: a write waits until it is done or patience is over, and from then on until all was read no longer at all. What is not read is kept
// in order, up to mostUnread bytes; what comes after that is lost, as is what is not read when the process ends. It is safe for concurrent use.
type patientWriter struct {
	to io.Writer

	mu     sync.Mutex
	unread []byte
	done   chan struct{} // closed when all was read; nil: nothing is under way
	late   bool          // patience is over
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	if len(w.unread)+len(p) <= mostUnread {
		w.unread = append(w.unread, p...)
	}
	if w.done == nil {
		w.done = make(chan struct{})
		go w.drain(w.done)
	}
	done, late := w.done, w.late
	w.mu.Unlock()
	if late {
		return len(p), nil
	}
	select {
	case <-done:
	case <-time.After(patience):
		w.mu.Lock()
		w.late = w.done == done
		w.mu.Unlock()
	}
	return len(p), nil
}

// drain writes until nothing is left. An error is nobody's to be told: it is where errors are told.
func (w *patientWriter) drain(done chan struct{}) {
	defer close(done)
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.unread) > 0 {
		text := w.unread
		w.unread = nil
		w.mu.Unlock()
		_, _ = w.to.Write(text)
		w.mu.Lock()
	}
	w.done, w.late = nil, false
}
