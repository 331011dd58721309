package step

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/lease"
	"github.com/with-creds/with-creds/step/ready"
	"github.com/with-creds/with-creds/step/serve"
	"github.com/with-creds/with-creds/step/spec"
)

// An issued credential and what became of it.
type issued struct {
	spec         spec.Spec
	credential   providers.Credential
	session      *lease.Session
	served       *serve.Endpoints // nil: it is not served
	values       []bind.Value
	at           time.Time
	ttl          time.Duration // as issued
	renewals     int
	replacements int
	next         *issued // what is to take its place, and could not yet be put there
}

var errStopped = errors.New("stopped")

// loginPatience is how long a login that is under way is waited for after a signal: the answer to one that is abandoned is a token which nobody can revoke. A server that
// does not answer must not hold up who presses Ctrl-C for long.
const loginPatience = 2 * time.Second

// open logs in to every provider in use, in parallel.
func (r *run) open() error {
	began := time.Now()
	defer func() { r.timings.Login = time.Since(began).Milliseconds() }()
	defer r.slow("logging in").done()
	ctx, cancel := context.WithTimeout(context.Background(), r.issueTimeout())
	defer cancel()
	defer context.AfterFunc(r.signals.ctx, func() { time.AfterFunc(min(r.Grace, loginPatience), cancel) })()
	var all errgroup.Group
	names := map[string]bool{}
	for _, s := range r.Specs {
		name := s.Request.Provider
		if names[name] {
			continue
		}
		names[name] = true
		all.Go(func() error { return r.login(ctx, name) })
	}
	err := all.Wait()
	if err == nil && r.signals.caught() != 0 {
		err = errStopped
	}
	return err
}

// login opens one provider's session and makes it the current one.
func (r *run) login(ctx context.Context, name string) error {
	s, err := r.Providers[name].Open(ctx, providers.Settings{
		Lookup:   r.Lookup,
		Run:      r.id,
		Leash:    r.Leash,
		Intend:   r.intend(name),
		Labels:   r.labels(),
		Warn:     r.Log.Warn,
		Say:      r.Log.Say,
		Remember: r.memory.remember,
		Requests: &r.requests,
		Started:  r.helpers.started,
	})
	if err != nil {
		return err
	}
	entry := r.book.Add(name, s)
	if c, ok := s.(providers.Connected); ok && r.guard != nil {
		c.OnConnect(func(raw syscall.Conn) func() { return r.guard.Hold(entry.ID, raw) })
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.sessions[name] = entry
	r.opened = append(r.opened, entry)
	return nil
}

// labels say for the auditor what the run belongs to.
func (r *run) labels() map[string]string {
	if r.CI == nil {
		return nil
	}
	labels := map[string]string{}
	for name, value := range map[string]string{"ci": r.CI.System, "job": r.CI.Job, "job_id": r.CI.ID, "url": r.CI.URL} {
		if value != "" {
			labels[name] = value
		}
	}
	return labels
}

// A memory is what logging in again must not ask for again.
type memory struct {
	mu     sync.Mutex
	values map[string]string
}

func (m *memory) remember(key string, once func() (string, error)) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.values[key]; ok {
		return v, nil
	}
	v, err := once()
	if err != nil {
		return "", err
	}
	if m.values == nil {
		m.values = map[string]string{}
	}
	m.values[key] = v
	return v, nil
}

// intend enters what is about to exist into the book, and lets the guard have it on the disk first.
func (r *run) intend(provider string) func(providers.Lease) error {
	return func(l providers.Lease) error {
		if s := r.session(provider); s != nil {
			l.Session = s.ID
		}
		r.book.Hold(l)
		r.guard.Flush(time.Second)
		return nil
	}
}

func (r *run) session(provider string) *lease.Session {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.sessions[provider]
}

// issue asks for every credential at once. All requests are waited for, also when one has failed or a signal has come.
func (r *run) issue() error {
	began := time.Now()
	defer func() { r.timings.Issue = time.Since(began).Milliseconds() }()
	defer r.slow("issuing credentials").done()
	ctx, cancel := context.WithTimeout(context.Background(), r.issueTimeout())
	defer cancel()
	defer context.AfterFunc(r.signals.ctx, func() { time.AfterFunc(r.Grace, cancel) })()

	all := make([]*issued, len(r.Specs))
	var wait errgroup.Group
	for i, s := range r.Specs {
		wait.Go(func() (err error) {
			all[i], err = r.ask(ctx, s, r.session(s.Request.Provider))
			return err
		})
	}
	err := wait.Wait()
	for _, c := range all {
		if c != nil {
			r.issued = append(r.issued, c)
		}
	}
	if err == nil && r.signals.caught() != 0 {
		err = errStopped
	}
	return err
}

// ask makes one request, and has what came of it in the book before it says that it was answered.
func (r *run) ask(ctx context.Context, s spec.Spec, session *lease.Session) (*issued, error) {
	r.book.Asking(session)
	c, err := session.Issue(ctx, s.Request)
	if err != nil {
		if !errors.Is(err, providers.ErrUnanswered) && ctx.Err() == nil {
			r.book.Answered(session)
		}
		return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
	}
	c.Lease.Session = session.ID
	r.book.Issued(session, c.Lease)
	r.book.Answered(session)
	now := time.Now()
	for _, w := range c.Warnings {
		r.Log.Warn("%s: %s", s.Request.Source(), w)
	}
	err = reasonable(c)
	if err == nil {
		err = r.untilUsable(ctx, s, c)
	}
	if err != nil {
		r.giveBack(session, c.Lease)
		return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
	}
	return &issued{spec: s, credential: c, session: session, at: now, ttl: c.Lease.TTL(now)}, nil
}

// What a credential may have. A secret is masked in some dozens of forms, which takes five hundred times its size in memory; and no server is trusted with that of
// the machine.
const (
	mostFields = 1000
	mostBytes  = 512 << 10
)

func reasonable(c providers.Credential) error {
	bytes := 0
	for _, f := range c.Fields {
		bytes += len(f.Name) + len(f.Value)
	}
	if len(c.Fields) > mostFields || bytes > mostBytes {
		return fmt.Errorf("what was issued has %d fields and %d bytes: more than %d fields, or %d bytes, are not taken", len(c.Fields), bytes, mostFields, mostBytes)
	}
	return nil
}

// giveBack makes one attempt to revoke what is of no use; what it leaves the run's end revokes.
func (r *run) giveBack(session *lease.Session, l providers.Lease) {
	if l.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	lease.Revoker{Book: r.book}.One(ctx, session, l)
}

func (r *run) issueTimeout() time.Duration {
	if r.IssueTimeout > 0 {
		return r.IssueTimeout + r.ReadyTimeout
	}
	return time.Minute + r.ReadyTimeout
}

// untilUsable waits for a service that takes a while to know a new credential.
func (r *run) untilUsable(ctx context.Context, s spec.Spec, c providers.Credential) error {
	family := r.Bind.Family(s.Preset)
	if family == "" || r.ReadyTimeout <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.ReadyTimeout)
	defer cancel()
	unasked, err := ready.Wait(ctx, family, c, ready.Options{Lookup: r.lookupEnv, Waiting: func() {
		r.Log.Say("%s: waiting until it is usable, at most %s (--ready-timeout)", s.Request.Source(), r.ReadyTimeout)
	}})
	if unasked != nil {
		r.Log.Warn("%s: whether it is usable yet is not known: %v", s.Request.Source(), unasked)
	}
	return err
}
