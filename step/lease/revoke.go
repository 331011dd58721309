package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// An Outcome is how the revocation of one lease ended.
type Outcome struct {
	Lease providers.Lease
	Proof providers.Proof
	At    time.Time     // when that was known
	Took  time.Duration // from the first attempt
	Err   error         // why it is not Proven; nil for one that by its nature only expires
}

// Confirmed reports whether the lease is known to be gone, or is of a kind that cannot be revoked and ends by itself.
func (o Outcome) Confirmed() bool { return o.Err == nil && o.Proof != providers.Accepted }

// refused reports whether it failed because somebody has to change something first, as may happen.
func (o Outcome) refused() bool {
	return o.Proof == providers.Failed && errors.Is(o.Err, providers.ErrRefused) && !errors.Is(o.Err, providers.ErrFinal)
}

// A Revoker gives back what a book holds.
type Revoker struct {
	Book *Book
	// Attempt bounds one attempt at one lease; default 5 s. A server whose database hangs holds a lease's lock for minutes.
	Attempt time.Duration
	// Patient says that a refusal is waited out: who may not revoke now, or not even log in, may again in a moment. It is for who has time until everything has ended by itself.
	Patient bool
	// Waiting, if set, is called when a lease could not be revoked at the first attempt, with the reason.
	Waiting func(l providers.Lease, err error)
}

// Everything revokes all that the book holds, in parallel, each lease by itself with attempts of its own, then closes each
// session once its leases are seen to and requests without an answer are settled: one bad database must not hold up the others. Attempts are repeated with backoff until
// ctx is done; then what is left is handed to the server's own queue where it has one. The outcomes are by Lease.Key, with those of what has gone before; those of
// sessions' own logins likewise.
//
// ctx bounds the retries; the handing over and the closing after it have a deadline of their own, so that Everything returns at most three Attempts later.
func (r Revoker) Everything(ctx context.Context) map[string]Outcome {
	all := outcomes{by: r.Book.ended()}
	open := r.Book.Open()
	// A login may be needed to see what becomes of another's leases: those with one server are ended when all leases there are seen to.
	busy := map[string]*sync.WaitGroup{}
	for _, s := range open {
		at := s.Handoff().Origin
		if busy[at] == nil {
			busy[at] = &sync.WaitGroup{}
		}
		busy[at].Add(1)
	}
	var wg sync.WaitGroup
	for _, s := range open {
		there := busy[s.Handoff().Origin]
		seen := sync.OnceFunc(func() {
			there.Done()
			there.Wait()
		})
		wg.Go(func() { r.session(ctx, s, &all, seen) })
	}
	wg.Wait()
	return all.by
}

// Session is Everything for one session.
func (r Revoker) Session(ctx context.Context, s *Session) map[string]Outcome {
	all := outcomes{}
	r.session(ctx, s, &all, func() {})
	return all.by
}

// session revokes what is left of a session, and where somebody patient is refused, again. Each round ends in an attempt to end the login, which takes along what
// hangs on it: that is what may be done by a login that may do nothing else. seen is called when the leases are seen to, and returns when the login may be ended.
func (r Revoker) session(ctx context.Context, s *Session, all *outcomes, seen func()) {
	refusals := 0
	for wait := range Backoff {
		r.round(ctx, s, all, seen)
		if !r.Patient || !all.refused(s) {
			return
		}
		refusals++
		if !providers.Sleep(ctx, slower(wait, refusals)) {
			return
		}
	}
}

func (r Revoker) round(ctx context.Context, s *Session, all *outcomes, seen func()) {
	var wg sync.WaitGroup
	if n := r.Book.unanswered(s); n > 0 {
		if settler, ok := s.Session.(providers.Settler); ok {
			wg.Go(func() {
				found, _ := Shielded(func() ([]providers.Lease, error) { return settler.Settle(ctx, n) }) // what it cannot do, the login's own end does
				for _, l := range r.adopt(s, found) {
					wg.Go(func() { all.note(r.One(ctx, s, l)) })
				}
			})
		}
	}
	for _, l := range r.Book.Held(s) {
		wg.Go(func() { all.note(r.One(ctx, s, l)) })
	}
	wg.Wait()
	seen()
	own := s.Own()
	o := r.close(ctx, s)
	if own == nil {
		return
	}
	o.Lease = *own
	all.note(o)
	if o.Proof == providers.Proven {
		for _, l := range r.Book.Held(s) {
			all.takenAlong(l)
		}
	}
}

// adopt enters leases that were found on the way, and returns those that the book did not have.
func (r Revoker) adopt(s *Session, found []providers.Lease) []providers.Lease {
	var fresh []providers.Lease
	for _, l := range found {
		if r.Book.has(l) {
			continue // as it was told: an answer seen in passing, to a renewal for one, says less
		}
		l.Session = s.ID
		r.Book.Hold(l)
		fresh = append(fresh, l)
	}
	return fresh
}

// outcomes collects from several goroutines.
type outcomes struct {
	mu sync.Mutex
	by map[string]Outcome
}

func (o *outcomes) note(outcome Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = map[string]Outcome{}
	}
	o.by[outcome.Lease.Key()] = outcome
}

// takenAlong notes that the login on which a lease hangs is ended: the server ends the lease with it, in its own time.
func (o *outcomes) takenAlong(l providers.Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if outcome, known := o.by[l.Key()]; known && outcome.Proof == providers.Failed {
		outcome.Proof = providers.Accepted
		o.by[l.Key()] = outcome
	}
}

// refused reports whether anything of a session was refused, and may not be another time.
func (o *outcomes) refused(s *Session) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	own := s.Own()
	for _, outcome := range o.by {
		if outcome.refused() && (outcome.Lease.Session == s.ID || own != nil && own.Key() == outcome.Lease.Key()) {
			return true
		}
	}
	return false
}

// One revokes one lease, repeating until ctx is done, and strikes it out of the book when it is known to be gone.
func (r Revoker) One(ctx context.Context, s *Session, l providers.Lease) Outcome {
	defer r.Book.occupy(l)()
	if how := r.Book.gone(l); how != nil {
		return *how // whoever was before has seen it, and may have ended the login since
	}
	began := time.Now()
	patient := r.Patient && s.Own() == nil // else there is the login's end to be tried first
	o := r.repeat(ctx, patient, func(ctx context.Context) (providers.Proof, error) { return s.Revoke(ctx, l) },
		func(err error) {
			if r.Waiting != nil {
				r.Waiting(l, err)
			}
		})
	if d, ok := s.Session.(providers.Deferrer); ok && o.Proof == providers.Failed && !errors.Is(ctx.Err(), context.Canceled) { // who is stopped, and not out of time, is not kept
		o = r.deferred(ctx, d, l, o)
	}
	if o.Proof == providers.Accepted && o.Err == nil {
		if o.Err = errUnseen; r.seenByAnother(ctx, s, l) {
			o = Outcome{Proof: providers.Proven, At: time.Now(), Took: time.Since(began)}
		}
	}
	o.Lease = l
	if o.Confirmed() {
		r.Book.Gone(l, o)
	}
	return o
}

// seenByAnother reports whether another login to the same server has seen a lease gone that its own cannot see any more, as when that has lapsed, or was revoked, and the
// run has logged in again since.
func (r Revoker) seenByAnother(ctx context.Context, s *Session, l providers.Lease) bool {
	at := s.Handoff().Origin
	for _, other := range r.Book.Open() {
		if other == s || at == "" || other.Handoff().Origin != at {
			continue
		}
		o := r.repeat(ctx, false, func(ctx context.Context) (providers.Proof, error) { return other.Revoke(ctx, l) }, func(error) {})
		if o.Proof == providers.Proven {
			return true
		}
	}
	return false
}

// errNeeded is why a login is not ended, and a borrowed one is not struck out.
var errNeeded = errors.New("it is needed to revoke what is left")

// errUnseen is why a lease that the server has promised to end is not proven to be gone.
var errUnseen = errors.New("whether it is gone could not be looked up")

// deferred hands over what could not be revoked here.
func (r Revoker) deferred(ctx context.Context, d providers.Deferrer, l providers.Lease, failed Outcome) Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.attempt())
	defer cancel()
	proof, err := Shielded(func() (providers.Proof, error) { return d.Defer(ctx, l) })
	if err != nil {
		failed.Err = fmt.Errorf("%w; handing it to the server failed too: %w", failed.Err, err)
		return failed
	}
	failed.Proof = proof
	if proof == providers.Proven {
		failed.Err = nil
	}
	return failed
}

// close ends the session's own login. A login that leases are left under is not ended when there is somebody who goes on: without it nobody could, and the server's own queue
// alone takes minutes (Vault's waits 10, 20, 40 s and so on). It ends within the leash, as do they. Where nobody goes on, and where asking again for the leases is of no use,
// its end is the best that can be done for them, so it is tried at least once, in a time of its own after ctx is done.
func (r Revoker) close(ctx context.Context, s *Session) Outcome {
	if left := len(r.Book.Held(s)); left > 0 && (s.Own() == nil || ctx.Err() != nil && r.Book.left()) {
		return Outcome{Proof: providers.Failed, At: time.Now(), Err: errNeeded}
	}
	if own := s.Own(); own != nil {
		defer r.Book.occupy(*own)()
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), r.attempt())
		defer cancel()
	}
	o := r.repeat(ctx, false, s.Close, func(error) {})
	if o.Proof == providers.Proven || o.Confirmed() && len(r.Book.Held(s)) == 0 { // one that only expires is still needed for what is left
		if own := s.Own(); own != nil {
			o.Lease = *own
		}
		r.Book.closedSession(s, o)
	}
	return o
}

func (r Revoker) attempt() time.Duration {
	if r.Attempt > 0 {
		return r.Attempt
	}
	return 5 * time.Second
}

// repeat makes attempts, each with a deadline of its own, until one succeeds, one is refused (for good, where it is to be patient), or ctx is done.
func (r Revoker) repeat(ctx context.Context, patient bool, try func(context.Context) (providers.Proof, error), failed func(error)) Outcome {
	began := time.Now()
	refusals := 0
	for wait := range Backoff {
		attempt, cancel := context.WithTimeout(ctx, r.attempt())
		proof, err := try(attempt)
		cancel()
		o := Outcome{Proof: proof, At: time.Now(), Took: time.Since(began), Err: err}
		if err == nil {
			return o
		}
		o.Proof = providers.Failed
		if errors.Is(err, providers.ErrRefused) {
			if !patient || !o.refused() {
				return o
			}
			refusals++
		}
		failed(err)
		if !providers.Sleep(ctx, slower(wait, refusals)) {
			return o
		}
	}
	panic("unreachable: Backoff does not end")
}

// slower is the wait after so many refusals: up to five minutes, for it is a person who ends them, and a login that is refused again and again may be locked.
func slower(wait time.Duration, refusals int) time.Duration {
	return wait * time.Duration(min(max(refusals, 1), 20))
}

// Backoff yields the waits between attempts, without end: about 1, 2, 4, 8 and then every 15 s, each less up to a third at random, so that
// a thousand jobs whose server was down do not all return at once; the very first retry comes after 200 ms, for the passing faults.
func Backoff(yield func(time.Duration) bool) {
	wait := 200 * time.Millisecond
	for {
		if !yield(wait - time.Duration(rand.Int64N(int64(wait)/3))) {
			return
		}
		switch {
		case wait < time.Second:
			wait = time.Second
		default:
			wait = min(2*wait, 15*time.Second)
		}
	}
}
