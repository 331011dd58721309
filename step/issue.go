package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/lease"
	"github.com/with-creds/with-creds/step/mask"
	"github.com/with-creds/with-creds/step/ready"
	"github.com/with-creds/with-creds/step/serve"
	"github.com/with-creds/with-creds/step/spec"
)

// An issued credential and what became of it. While the command runs, all but spec and served is changed under run.lock.
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
	replaced     []replaced // the oldest first
	// successor was issued to take its place, and could not be put there yet. The book has its lease, and so it is revoked whatever happens; here is its secret, for
	// another attempt.
	successor *issued
}

// A replaced credential is what is kept of one for the receipt.
type replaced struct {
	lease providers.Lease
	at    time.Time
	ttl   time.Duration
}

// errStopped is why nothing more is issued when a signal has come, or the command has ended.
var errStopped = errors.New("stopped")

// issue asks for every credential at once. All requests are waited for, also when one has failed or a signal has come.
func (r *run) issue() error {
	began := time.Now()
	defer func() { r.timings.Issue = time.Since(began).Milliseconds() }()
	defer r.slow("issuing credentials")()
	ctx, cancel := r.outlasting(r.signals.ctx, r.Grace)
	defer cancel()

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
	began := time.Now()
	r.Log.Debug("%s: asked for", s.Request.Source())
	r.book.Asking(session)
	c, err := session.Issue(ctx, s.Request)
	if err != nil {
		if !errors.Is(err, providers.ErrUnanswered) && ctx.Err() == nil {
			r.book.Answered(session)
		}
		return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
	}
	c.Lease.Session = session.ID
	r.book.Hold(c.Lease)
	r.book.Answered(session)
	now := time.Now()
	for _, w := range c.Warnings {
		r.Log.Warn("%s: %s", s.Request.Source(), w)
	}
	err = reasonable(c)
	if err == nil {
		r.Log.Debug("%s: answered in %s with %s; lease %s", s.Request.Source(), now.Sub(began).Round(10*time.Microsecond), strings.Join(c.FieldNames(), ", "), endOf(c.Lease))
		err = r.untilUsable(ctx, s, c)
	}
	if err != nil {
		r.giveBack(session, c.Lease)
		return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
	}
	return &issued{spec: s, credential: c, session: session, at: now, ttl: c.Lease.TTL(now)}, nil
}

// endOf is a lease and when it ends, as far as that is known.
func endOf(l providers.Lease) string {
	switch {
	case l.Expires.IsZero():
		return cmp.Or(l.ID, "none")
	case l.IsZero():
		return "none, and it ends at " + clock(l.Expires)
	}
	return l.ID + " until " + clock(l.Expires)
}

// What a credential may have. A secret is masked in some dozens of forms, which takes five hundred times its size in memory; and no server is trusted with that of
// the machine.
const (
	mostFields = 1000
	mostBytes  = 512 << 10
)

func reasonable(c providers.Credential) error {
	fields, bytes := len(c.Fields), 0
	for _, f := range c.Fields {
		bytes += len(f.Name) + len(f.Value)
	}
	fit := func() bool { return fields <= mostFields && bytes <= mostBytes }
	for _, f := range c.Fields {
		if !fit() || !f.Secret {
			continue
		}
		for _, secret := range mask.Within(f.Value) {
			fields, bytes = fields+1, bytes+len(secret)
		}
	}
	if !fit() {
		return fmt.Errorf("what was issued has %d fields and %d bytes, what is secret in a field that is JSON counted again: more than %d fields, or %d bytes, are not taken",
			fields, bytes, mostFields, mostBytes)
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

// outlasting is a context for requests whose answers must be known, for they may create something: it ends with issueTimeout, or when grace is over after the end of
// another.
func (r *run) outlasting(other context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(other), r.issueTimeout())
	forget := context.AfterFunc(other, func() { time.AfterFunc(grace, cancel) })
	return ctx, func() {
		forget()
		cancel()
	}
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
