package step

import (
	"context"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/lease"
)

// loginPatience is how long a login that is under way is waited for after a signal: the answer to one that is abandoned is a token which nobody can revoke. A server that
// does not answer must not hold up who presses Ctrl-C for long.
const loginPatience = 2 * time.Second

// open logs in to every provider in use, in parallel.
func (r *run) open() error {
	began := time.Now()
	defer func() { r.timings.Login = time.Since(began).Milliseconds() }()
	defer r.slow("logging in")()
	ctx, cancel := r.outlasting(r.signals.ctx, min(r.Grace, loginPatience))
	defer cancel()
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
	began := time.Now()
	var entry *lease.Session // nothing changes before it is there
	var early []providers.Lease
	settings := providers.Settings{
		Lookup: r.Lookup,
		Run:    r.id,
		Leash:  r.Leash,
		Intend: func(l providers.Lease) error {
			if entry == nil { // still in Open
				early = append(early, l)
			} else {
				r.intend(entry, l)
			}
			return nil
		},
		Labels:   r.labels(),
		Warn:     r.Log.Warn,
		Say:      r.Log.Say,
		Remember: r.memory.remember,
		Requests: &r.requests,
		Starting: r.programs.start,

		HandoffChanged: func() {
			if entry != nil {
				r.book.Changed(entry)
			}
		},
	}
	s, err := lease.Shielded(func() (providers.Session, error) { return r.Providers[name].Open(ctx, settings) })
	if err != nil {
		return err
	}
	r.Log.Debug("%s: logged in at %s in %s", name, s.Handoff().Origin, since(began))
	entry = r.book.Add(name, s)
	for _, l := range early {
		r.intend(entry, l)
	}
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
func (r *run) intend(s *lease.Session, l providers.Lease) {
	l.Session = s.ID
	r.book.Hold(l)
	r.guard.Flush(time.Second)
}

func (r *run) session(provider string) *lease.Session {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.sessions[provider]
}
