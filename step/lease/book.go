// Package lease keeps account of what a run holds and gives it back.
//
// A Book lists the sessions and leases of a run, those included that are only about to exist. Whatever is in it is revoked
// when the run ends; a lease leaves it only when it is known to be gone. Everything written in the book is told to a
// Recorder (the guard) before it is relied upon, so that another process can give it all back too.
//
// The book is safe for concurrent use.
package lease

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/with-creds/with-creds/providers"
)

// A Recorder is told what the book holds. Its methods return once the record would outlive this process.
type Recorder interface {
	Session(id string, h providers.Handoff, own *providers.Lease)
	Lease(l providers.Lease)
	// Pending says how many requests of a session are under way that may each create a lease nobody has a handle of yet.
	Pending(session string, requests int)
	Gone(l providers.Lease)
	Closed(session string)
	// Works reports whether somebody goes on with what it was told of when this process has ended.
	Works() bool
}

// Book is what a run holds. The zero value is an empty book that tells nobody.
type Book struct {
	mu       sync.Mutex
	rec      Recorder
	busy     map[string]chan struct{} // by Lease.Key; full while a request about the lease is under way
	sessions []*Session
	leases   []*Held
}

// NewBook returns an empty book that tells rec; nil: nobody.
func NewBook(rec Recorder) *Book { return &Book{rec: rec} }

// A Session is one provider's session in the book.
type Session struct {
	ID string
	providers.Session
	pending int
	closed  *Outcome // nil: it is open
}

// Held is a lease in the book.
type Held struct {
	Lease providers.Lease
	gone  *Outcome // nil: it is not known to be gone
}

// Add enters a session that was just opened and names it.
func (b *Book) Add(provider string, s providers.Session) *Session {
	b.mu.Lock()
	id := fmt.Sprintf("%s-%d", provider, len(b.sessions)+1)
	b.mu.Unlock()
	return b.Adopt(id, s, 0)
}

// Adopt enters a session under the name it had in another process's book, with the requests which that process had no answer to.
func (b *Book) Adopt(id string, s providers.Session, pending int) *Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry := &Session{ID: id, Session: s, pending: pending}
	b.sessions = append(b.sessions, entry)
	if b.rec != nil {
		b.rec.Session(id, s.Handoff(), s.Own())
	}
	return entry
}

// Asking notes that a request is about to be sent which may create a lease.
func (b *Book) Asking(s *Session) { b.count(s, +1) }

// Answered notes that one was answered, and that what it created, if anything, is in the book.
func (b *Book) Answered(s *Session) { b.count(s, -1) }

func (b *Book) count(s *Session, delta int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.pending += delta
	if b.rec != nil {
		b.rec.Pending(s.ID, s.pending)
	}
}

// unanswered is how many requests of a session may still create a lease.
func (b *Book) unanswered(s *Session) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.pending
}

// Hold enters a lease, or what is newly known of one already there. The zero lease is nothing to hold.
func (b *Book) Hold(l providers.Lease) {
	if l.IsZero() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.leases, func(h *Held) bool { return h.Lease.Key() == l.Key() })
	if i < 0 {
		b.leases = append(b.leases, &Held{Lease: l})
	} else {
		l.Session = cmp.Or(l.Session, b.leases[i].Lease.Session)
		b.leases[i].Lease = l
	}
	if b.rec != nil {
		b.rec.Lease(l)
	}
}

// Changed tells the recorder a session's handoff anew.
func (b *Book) Changed(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rec != nil && s.closed == nil {
		b.rec.Session(s.ID, s.Handoff(), s.Own()) // under the lock: of two that issue at once, the one that is told last has both
	}
}

// has reports whether a lease is in the book, gone or not.
func (b *Book) has(l providers.Lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.leases, func(h *Held) bool { return h.Lease.Key() == l.Key() })
}

// Renewed notes a lease's new end: a session's own login is told to the recorder with its session, any other lease is held as before.
func (b *Book) Renewed(s *Session, l providers.Lease) {
	if own := s.Own(); own == nil || own.Key() != l.Key() {
		b.Hold(l)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rec != nil && s.closed == nil {
		b.rec.Session(s.ID, s.Handoff(), &l)
	}
}

// Gone strikes out a lease that is known to be gone, and keeps how.
func (b *Book) Gone(l providers.Lease, how Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.leases {
		if h.Lease.Key() == l.Key() && h.gone == nil {
			h.gone = &how
			if b.rec != nil {
				b.rec.Gone(h.Lease)
			}
		}
	}
}

// gone is how a lease has gone; nil when it is not known to.
func (b *Book) gone(l providers.Lease) *Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.leases {
		if h.gone != nil && h.Lease.Key() == l.Key() {
			return h.gone
		}
	}
	return nil
}

// closedSession strikes out a session whose own login is known to be gone, or is not its to end, and keeps how.
func (b *Book) closedSession(s *Session, how Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.closed = &how
	if b.rec != nil {
		b.rec.Closed(s.ID)
	}
}

// ended is how all that was struck out has ended, logins included, by Lease.Key.
func (b *Book) ended() map[string]Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]Outcome{}
	for _, h := range b.leases {
		if h.gone != nil {
			all[h.Lease.Key()] = *h.gone
		}
	}
	for _, s := range b.sessions {
		if own := s.Own(); own != nil && s.closed != nil {
			all[own.Key()] = *s.closed
		}
	}
	return all
}

// left reports whether somebody else goes on with what is left.
func (b *Book) left() bool { return b.rec != nil && b.rec.Works() }

// occupy waits until no other request about the lease is under way, and keeps others from beginning until the function it returns is called: a
// renewal that overtook a revocation would give life back.
func (b *Book) occupy(l providers.Lease) (release func()) {
	b.mu.Lock()
	place := b.busy[l.Key()]
	if place == nil {
		if b.busy == nil {
			b.busy = map[string]chan struct{}{}
		}
		place = make(chan struct{}, 1)
		b.busy[l.Key()] = place
	}
	b.mu.Unlock()
	place <- struct{}{}
	return func() { <-place }
}

// Held lists the leases not known to be gone, of one session or, with nil, of all.
func (b *Book) Held(s *Session) []providers.Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	var held []providers.Lease
	for _, h := range b.leases {
		if h.gone == nil && (s == nil || h.Lease.Session == s.ID) {
			held = append(held, h.Lease)
		}
	}
	return held
}

// Open lists the sessions not yet closed.
func (b *Book) Open() []*Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	var open []*Session
	for _, s := range b.sessions {
		if s.closed == nil {
			open = append(open, s)
		}
	}
	return open
}

// Empty reports that nothing is left to give back.
func (b *Book) Empty() bool { return len(b.Held(nil)) == 0 && len(b.Open()) == 0 }
