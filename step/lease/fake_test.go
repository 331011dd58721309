package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// fake is a session with leases in memory that behave as a server's: a TTL, a maximum, and failures on demand.
type fake struct {
	mu      sync.Mutex
	own     *providers.Lease
	origin  string
	maximum time.Duration // from the lease's issue; 0: none

	renewals []time.Duration // when, since the beginning
	began    time.Time
	renewing func(n int) error // decides the n-th renewal; nil: it succeeds
	revoking func(ctx context.Context, l providers.Lease, n int) (providers.Proof, error)
	revoked  []string
	attempts map[string]int
	closed   int
	closing  func(n int) (providers.Proof, error) // decides the n-th Close; nil: it succeeds
	settled  int
	found    []providers.Lease // while settling
}

func newFake() *fake { return &fake{began: time.Now(), attempts: map[string]int{}} }

func (f *fake) lease(id string, ttl time.Duration) providers.Lease {
	now := time.Now()
	return providers.Lease{Provider: "fake", ID: id, Issued: now, Expires: now.Add(ttl), Renewable: true}
}

func (f *fake) Issue(context.Context, providers.Request) (providers.Credential, error) {
	return providers.Credential{}, errors.New("not in these tests")
}

func (f *fake) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewals = append(f.renewals, time.Since(f.began))
	if f.renewing != nil {
		if err := f.renewing(len(f.renewals)); err != nil {
			return l, err
		}
	}
	l.Expires = time.Now().Add(increment)
	if end := l.Issued.Add(f.maximum); f.maximum > 0 && end.Before(l.Expires) {
		l.Expires, l.MaxExpire = end, end
	}
	return l, nil
}

func (f *fake) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	f.mu.Lock()
	f.attempts[l.ID]++
	n := f.attempts[l.ID]
	f.mu.Unlock()
	if f.revoking != nil {
		if proof, err := f.revoking(ctx, l, n); err != nil || proof != "" {
			return proof, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = append(f.revoked, l.ID)
	return providers.Proven, nil
}

func (f *fake) Own() *providers.Lease { return f.own }
func (f *fake) Handoff() providers.Handoff {
	return providers.Handoff{Provider: "fake", Origin: f.origin}
}

func (f *fake) Close(context.Context) (providers.Proof, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	if f.closing != nil {
		return f.closing(f.closed)
	}
	f.revoked = append(f.revoked, "login")
	return providers.Proven, nil
}

func (f *fake) Settle(ctx context.Context, requests int) ([]providers.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled += requests
	f.revoked = append(f.revoked, "settled")
	return f.found, nil
}

// told records what the book tells.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (r *told) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *told) Session(id string, _ providers.Handoff, own *providers.Lease) {
	r.say("session %s own %t", id, own != nil)
}
func (r *told) Lease(l providers.Lease)  { r.say("lease %s", l.ID) }
func (r *told) Pending(id string, n int) { r.say("pending %s %d", id, n) }
func (r *told) Gone(l providers.Lease)   { r.say("gone %s", l.ID) }
func (r *told) Closed(id string)         { r.say("closed %s", id) }
func (r *told) Works() bool              { return true }
