package step

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A source issues credentials of one field, token. Nothing extends the life of any, nor of a login.
type source struct {
	login        func(n int) time.Duration // the life of the n-th login; nil: it has none of its own
	life         func(n int) time.Duration // of the n-th credential of a path; nil: as long as its login's
	token        func(n int) string        // of the n-th credential of a path; nil: one that nobody has had
	rotates      func(n int) time.Duration // what the n-th answer says is left until the server changes the token by itself, of what has no lease; nil: it has one
	issue        func(path string) error
	cannotRevoke func(l providers.Lease) bool
	hangs        func(l providers.Lease) bool  // its revocation is not answered
	renew        func(l providers.Lease) error // whether a credential can be renewed; nil: none can

	mu     sync.Mutex
	logins int
	asked  map[string]int  // by path
	live   map[string]bool // leases
}

func (*source) Check(providers.Request) error { return nil }
func (*source) SecretEnv() []string           { return nil }

func (*source) Resume(providers.Handoff, providers.Settings) (providers.Session, error) {
	return nil, errors.New("nobody resumes")
}

func (s *source) Open(context.Context, providers.Settings) (providers.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	login := &sourceLogin{source: s}
	if s.login != nil {
		now := time.Now()
		login.own = &providers.Lease{Provider: "fake", ID: fmt.Sprintf("login-%d", s.logins), Issued: now, Expires: now.Add(s.login(s.logins))}
	}
	return login, nil
}

// count is what there has been: logins, requests for a path, leases that live.
func (s *source) count(path string) (logins, asked, live int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins, s.asked[path], len(s.live)
}

type sourceLogin struct {
	*source
	own *providers.Lease
}

func (l *sourceLogin) Issue(_ context.Context, r providers.Request) (providers.Credential, error) {
	l.mu.Lock()
	if l.asked == nil {
		l.asked, l.live = map[string]int{}, map[string]bool{}
	}
	l.asked[r.Path]++
	n := l.asked[r.Path]
	l.mu.Unlock()
	if l.issue != nil {
		if err := l.issue(r.Path); err != nil {
			return providers.Credential{}, err
		}
	}
	now := time.Now()
	token := rand.Text()
	if l.token != nil {
		token = l.token(n)
	}
	c := providers.Credential{Fields: []providers.Field{{Name: "token", Value: token, Secret: true}}}
	if l.rotates != nil {
		c.Rotates, c.Lease.Expires = true, now.Add(l.rotates(n))
		return c, nil
	}
	c.Lease = providers.Lease{Provider: "fake", ID: fmt.Sprintf("%s-%d", r.Path, n), Issued: now, Renewable: l.renew != nil}
	if l.life != nil {
		c.Lease.Expires = now.Add(l.life(n))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[c.Lease.ID] = true
	return c, nil
}

func (l *sourceLogin) Renew(_ context.Context, lease providers.Lease, increment time.Duration) (providers.Lease, error) {
	if l.renew == nil {
		return lease, providers.Refused(errors.New("it cannot be renewed"))
	}
	if err := l.renew(lease); err != nil {
		return lease, err
	}
	lease.Expires = time.Now().Add(increment)
	return lease, nil
}

func (l *sourceLogin) Revoke(ctx context.Context, lease providers.Lease) (providers.Proof, error) {
	if l.hangs != nil && l.hangs(lease) {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return providers.Failed, err
	}
	if l.cannotRevoke != nil && l.cannotRevoke(lease) {
		return providers.Failed, providers.Refused(errors.New("it cannot be revoked"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, lease.ID)
	return providers.Proven, nil
}

func (l *sourceLogin) Own() *providers.Lease { return l.own }

func (l *sourceLogin) Handoff() providers.Handoff { return providers.Handoff{Provider: "fake"} }

func (l *sourceLogin) Close(context.Context) (providers.Proof, error) { return providers.Proven, nil }
