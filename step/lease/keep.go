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

// A Keeper keeps leases alive, and on the leash, until it is stopped.
//
//   - What has more life than the leash is cut to it at once. Where a session has a login of its own, cutting that one is enough:
//     every lease ends with it.
//   - A lease is renewed when about two thirds of what it had left are over, a little earlier at random, and never within a second
//     of the last time. A renewal that fails is repeated with backoff for as long as the lease lives, the sooner the less it has left.
//   - Due times hold by the monotonic clock and by the wall clock, whichever comes first: a clock that jumps and a machine
//     that slept renew early rather than late.
//   - A lease that cannot be extended is reported once, as soon as that is known.
type Keeper struct {
	Book  *Book
	Leash time.Duration // 0: no leash; leases are renewed by the TTL they were issued with
	// Renewed is told of each renewal. Ending is told that a lease will end at l.Expires, or has ended then, and why; it is called on a
	// goroutine of its own, whose ctx Stop ends, and which Wait waits for. Failing is told of a renewal that failed and is repeated.
	Renewed func(l providers.Lease)
	Ending  func(ctx context.Context, l providers.Lease, why error)
	Failing func(l providers.Lease, err error)

	attempt time.Duration // for one renewal; default 5 s
	now     func() time.Time

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// errNotRenewable and errMaximum are why a lease ends.
var (
	errNotRenewable = errors.New("it is not renewable")
	errMaximum      = errors.New("it has reached its maximum TTL")
)

// Start begins to keep what the book holds.
func (k *Keeper) Start(ctx context.Context) {
	if k.now == nil {
		k.now = time.Now
	}
	if k.attempt == 0 {
		k.attempt = 5 * time.Second
	}
	k.ctx, k.stop = context.WithCancel(ctx)
	for _, s := range k.Book.Open() {
		k.Session(s)
		for _, l := range k.Book.Held(s) {
			k.Lease(s, l)
		}
	}
}

// Session begins to keep a session's own login, if it has one.
func (k *Keeper) Session(s *Session) {
	if own := s.Own(); own != nil && !own.Expires.IsZero() { // a root token's child may have no end
		k.wg.Go(func() { k.keep(s, *own, k.tooLong(*own)) })
	}
}

// Lease begins to keep a lease.
func (k *Keeper) Lease(s *Session, l providers.Lease) {
	if l.Expires.IsZero() {
		return // it has no end that is known
	}
	leashed := s.Own() != nil && s.Own().Renewable
	k.wg.Go(func() { k.keep(s, l, !leashed && k.tooLong(l)) })
}

// Go runs something that belongs to the keeping: its ctx is done when Stop is called, and Wait waits for it.
func (k *Keeper) Go(f func(ctx context.Context)) { k.wg.Go(func() { f(k.ctx) }) }

// Stop ends the keeping. Renewals under way are not waited for here, so that one which hangs does not hold up the others' revocation: a revocation of the same lease
// waits for them. What is told meanwhile may be told late.
func (k *Keeper) Stop() { k.stop() }

// Wait returns when all that Start began has ended, after Stop.
func (k *Keeper) Wait() { k.wg.Wait() }

// tooLong reports whether a lease would outlive the leash. A second more is not worth a request.
func (k *Keeper) tooLong(l providers.Lease) bool {
	return k.Leash > 0 && l.Renewable && l.TTL(k.now()) > k.Leash+time.Second
}

// keep is one lease's life.
func (k *Keeper) keep(s *Session, l providers.Lease, atOnce bool) {
	increment := k.Leash
	if increment == 0 {
		increment = l.TTL(k.now())
	}
	for {
		switch {
		case !l.Renewable:
			k.ending(l, errNotRenewable)
			return
		case !l.MaxExpire.IsZero() && l.MaxExpire.Sub(l.Expires) < time.Second:
			k.ending(l, errMaximum)
			return
		}
		if !atOnce && !k.sleepUntil(k.due(l)) {
			return
		}
		atOnce = false
		renewed, err := k.renew(s, l, increment)
		if k.ctx.Err() != nil {
			return
		}
		if err != nil {
			if now := k.now(); errors.Is(err, providers.ErrGone) && l.Expires.After(now) {
				l.Expires = now // sooner than anybody knew
			}
			k.ending(l, err)
			return
		}
		l = renewed
	}
}

// due is when to renew: at two thirds of what is left, less up to a tenth of that at random, but not within a second.
func (k *Keeper) due(l providers.Lease) time.Time {
	now := k.now()
	wait := l.TTL(now) * 2 / 3
	if tenth := wait / 10; tenth > 0 {
		wait -= rand.N(tenth)
	}
	return now.Add(max(wait, time.Second))
}

// renew tries until it succeeds, is refused, or the lease has ended.
func (k *Keeper) renew(s *Session, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	for wait := range Backoff {
		renewed, err := k.once(s, l, increment)
		switch {
		case err == nil:
			return renewed, nil
		case k.ctx.Err() != nil:
			return l, k.ctx.Err()
		case errors.Is(err, providers.ErrRefused):
			return l, err
		case l.TTL(k.now()) == 0:
			return l, fmt.Errorf("it could not be renewed in time: %w", err)
		}
		if k.Failing != nil {
			k.Failing(l, err)
		}
		now := k.now()
		wait = max(min(wait, l.TTL(now)/2), time.Second) // not beyond its end
		if !k.sleepUntil(now.Add(wait)) {
			return l, k.ctx.Err()
		}
	}
	panic("unreachable: Backoff does not end")
}

// once is one attempt. It is not abandoned when the keeper stops, for the server would go on with it; what revokes the lease waits for it.
func (k *Keeper) once(s *Session, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	defer k.Book.occupy(l)()
	if k.ctx.Err() != nil {
		return l, k.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), k.attempt)
	defer cancel()
	renewed, err := s.Renew(ctx, l, increment)
	if err != nil {
		return l, err
	}
	renewed.Session = l.Session
	k.Book.Renewed(s, renewed)
	if k.Renewed != nil {
		k.Renewed(renewed)
	}
	return renewed, nil
}

func (k *Keeper) ending(l providers.Lease, why error) {
	if k.Ending != nil && k.ctx.Err() == nil {
		k.Ending(k.ctx, l, why)
	}
}

// glance is how long a timer is trusted: it runs on the monotonic clock, which stands still while a machine sleeps.
const glance = 5 * time.Second

// sleepUntil waits for a time, by either clock; false: the keeper was stopped.
func (k *Keeper) sleepUntil(t time.Time) bool { return SleepUntil(k.ctx, t, k.now) }

// SleepUntil waits until t has come by the monotonic or the wall clock, whichever is first; false: ctx was done before.
func SleepUntil(ctx context.Context, t time.Time, now func() time.Time) bool {
	for {
		n := now()
		left := providers.Until(t, n)
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, glance))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
