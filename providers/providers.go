// Package providers is what a source of credentials must be able to do, and nothing of how a run uses it.
//
// A Provider issues, renews and revokes one kind of credential. It knows nothing of commands, masking or CI. A new one
// is a folder beside this file and one line in package registry.
//
// # What a provider promises
//
//   - Check costs no network. Whatever can be refused there is refused there.
//   - Everything that will have to be revoked and whose name is known beforehand is told to Settings.Intend before the
//     request that makes it real is sent. So there is no instant at which a killed process leaves something nobody knows of.
//   - No error, warning, Lease or String of any kind holds a secret. Only Field.Value and Handoff do.
//   - A Lease is serialisable and enough, together with the Handoff of its session, to revoke from another process.
//   - Sessions are safe for concurrent use.
package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A Provider issues, renews and revokes one kind of credential.
type Provider interface {
	// Check judges a request from what is written alone: no network, no file, no secret. An error says what to write instead.
	Check(r Request) error
	// Open authenticates, in at most one round trip, and returns a session that serves every request of a run.
	Open(ctx context.Context, s Settings) (Session, error)
	// Resume makes a session anew from another process's Handoff, without a network call. The settings carry no
	// environment then: the handoff holds all there is to know.
	Resume(h Handoff, s Settings) (Session, error)
	// SecretEnv names the environment variables that Open may read and that a wrapped command must not inherit.
	SecretEnv() []string
}

// A Foreseer is a Provider that knows beforehand which fields a credential will have, so that a field there is not is refused before anything is issued.
type Foreseer interface {
	// Fields are the names of the fields of what a request is answered with: those that are always there, and those that may be.
	Fields(r Request) (always, sometimes []string)
}

// A Judger is a Provider that can say of settings that they make no sense, before Open and without the network. That there is no login among them is no fault: plan asks
// as well.
type Judger interface {
	Judge(s Settings) error
}

// A Called is a Provider that people look for by other names, too.
type Called interface{ Called() []string }

// A Session is one authenticated connection. Its methods may be called concurrently.
type Session interface {
	// Issue makes one credential. On an error nothing is left behind, or what may be left has been told to
	// Settings.Intend and is revoked by the caller like any lease. It is never cancelled half-way by the lifecycle:
	// ctx carries a generous deadline only.
	Issue(ctx context.Context, r Request) (Credential, error)
	// Renew extends a lease so that it ends about increment from now, or shortens it to that. It returns the lease with its
	// new end, which may be sooner than asked (the role's maximum). An error that wraps ErrRefused means that asking
	// again is pointless, one that wraps ErrGone that the lease has ended already; any other may be retried while the lease lives.
	Renew(ctx context.Context, l Lease, increment time.Duration) (Lease, error)
	// Revoke makes one attempt to end a lease and to prove it, within ctx's deadline. A lease that is gone already, or
	// never came to be, is Proven. An error that wraps ErrRefused means that asking again is pointless until somebody changes something, and
	// one that wraps ErrFinal, that it is for ever.
	Revoke(ctx context.Context, l Lease) (Proof, error)
	// Own is the lease of the session's own login (a token it obtained itself), renewed with Renew like any other and ended by Close;
	// nil when the session borrows a login that is not its to end.
	Own() *Lease
	// Handoff is what another process needs to Resume this session. It holds secrets: it crosses a private socket, never
	// argv, environment or disk.
	Handoff() Handoff
	// Close ends the session's own login and proves it; without one it returns Proven and does nothing but close connections.
	// It is called after every lease of the session has been seen to.
	Close(ctx context.Context) (Proof, error)
}

// A Deferrer is a Session whose server retries a revocation by itself. The lifecycle hands a lease over after its own
// attempts have run out of time.
type Deferrer interface {
	// Defer asks the server to revoke the lease when it can; Accepted when it promised to.
	Defer(ctx context.Context, l Lease) (Proof, error)
}

// A Settler is a Session whose server may still be working on a request after the process that sent it has died: revoking the login
// then could leave what that request creates, with nobody to revoke it.
type Settler interface {
	// Settle returns once that many requests of another process can no longer create anything that the session's end would
	// not take along, having first seen to it that the session's life is short. It returns the leases that it saw being
	// created meanwhile, to be revoked by the caller like any other; also beside an error.
	Settle(ctx context.Context, requests int) ([]Lease, error)
}

// ErrRefused is wrapped by errors that asking again will not mend: a missing permission, a bad request, a lease at its end.
var ErrRefused = errors.New("refused")

// ErrGone is wrapped by errors of Renew which say that the lease is over before the end it was known to have: somebody has revoked it, or its server has lost it. They wrap
// ErrRefused too.
var ErrGone = errors.New("gone")

// ErrFinal is wrapped, like ErrRefused, by errors of Revoke and Close which nothing that anybody grants or mends meanwhile makes up for: what cannot be revoked by its nature.
var ErrFinal = errors.New("final")

// A Connected is a Session whose server gives up a request half-way when its connection is cut, as a killed process cuts it. So another process is
// given duplicates of the sockets, and keeps them open until what was under way is answered.
type Connected interface {
	// OnConnect calls hold with each connection to the server, with those that are open at once and with a new one before anything is
	// sent over it, and calls what hold returned when the connection has been closed here.
	OnConnect(hold func(syscall.Conn) (release func()))
	// Inherit takes the duplicates of the process before this one, to be closed by Settle or Close.
	Inherit(conns []*os.File)
}

// ErrUnanswered is wrapped by errors of Issue after which the server may still carry the request out: the answer was lost.
var ErrUnanswered = errors.New("unanswered")

// Unanswered says so of an error of Issue.
func Unanswered(err error) error { return marked{err, []error{ErrUnanswered}} }

// Refused says so of an error that no retry mends.
func Refused(err error) error { return marked{err, []error{ErrRefused}} }

// Final says so of an error that is refused for good.
func Final(err error) error { return marked{err, []error{ErrRefused, ErrFinal}} }

// Gone says so of an error of a lease that is over.
func Gone(err error) error { return marked{err, []error{ErrRefused, ErrGone}} }

// marked is an error with its own text that is some of the errors above besides.
type marked struct {
	error
	as []error
}

func (m marked) Unwrap() error        { return m.error }
func (m marked) Is(target error) bool { return slices.Contains(m.as, target) }

// A Request is what one spec asks of a provider.
type Request struct {
	Provider string  // "vault"
	Path     string  // what follows the colon, without parameters: "database/creds/readonly"
	Params   []Param // in the order written
}

// A Param is one key=value of a spec's query.
type Param struct{ Key, Value string }

// Source is the request as a person wrote it, without parameters (their values may be private).
func (r Request) Source() string { return r.Provider + ":" + r.Path }

// Param returns the value of the last parameter of that name, and whether there is one.
func (r Request) Param(key string) (string, bool) {
	for i := len(r.Params) - 1; i >= 0; i-- {
		if r.Params[i].Key == key {
			return r.Params[i].Value, true
		}
	}
	return "", false
}

// Twice returns a parameter that is given more than once.
func (r Request) Twice() (key string, twice bool) {
	seen := map[string]bool{}
	for _, p := range r.Params {
		if seen[p.Key] {
			return p.Key, true
		}
		seen[p.Key] = true
	}
	return "", false
}

// A Field is one named value of a credential.
type Field struct {
	Name   string // "username"; nested ones joined by dots
	Value  string
	Secret bool // masked in the command's output, never in a report
}

// A Credential is what a provider issued.
type Credential struct {
	Fields   []Field
	Lease    Lease    // the zero Lease where there is nothing to revoke
	Warnings []string // what the server said beside it; no secrets
	// Rotates says that the server itself changes the secret at Lease.Expires: asked for again before, it is the same.
	Rotates bool
}

// Field returns the named field.
func (c Credential) Field(name string) (Field, bool) {
	for _, f := range c.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// FieldNames lists the fields in their order, for messages.
func (c Credential) FieldNames() []string {
	names := make([]string, len(c.Fields))
	for i, f := range c.Fields {
		names[i] = f.Name
	}
	return names
}

// String keeps values out of logs: a Credential prints as its field names.
func (c Credential) String() string {
	return fmt.Sprintf("credential(%s)", strings.Join(c.FieldNames(), " "))
}

// GoString is String, so that %#v prints no value either.
func (c Credential) GoString() string { return c.String() }

// A Lease is the handle by which a credential is renewed and revoked. It holds no secret and survives serialisation.
type Lease struct {
	Session   string            `json:"session,omitempty"` // which session of the run holds it; set by the lifecycle
	Provider  string            `json:"provider"`
	ID        string            `json:"id"` // unique within the provider: a Vault lease id, a role name
	Issued    time.Time         `json:"issued,omitzero"`
	Expires   time.Time         `json:"expires,omitzero"`     // when it ends unless renewed; zero: unknown (an intent) or never
	MaxExpire time.Time         `json:"max_expires,omitzero"` // the end no renewal passes; zero: unknown
	Renewable bool              `json:"renewable,omitempty"`
	Scope     map[string]string `json:"scope,omitempty"` // what else the provider needs to find it; no secrets
}

// IsZero reports whether there is no lease at all.
func (l Lease) IsZero() bool { return l.ID == "" }

// Key identifies a lease among all those of a run.
func (l Lease) Key() string { return l.Provider + "\x00" + l.ID }

// TTL is the time left at now, as Until has it; zero when it has ended or the end is not known.
func (l Lease) TTL(now time.Time) time.Duration {
	if l.Expires.IsZero() {
		return 0
	}
	return max(0, Until(l.Expires, now))
}

// Until is the time from now to an end by the monotonic or the wall clock, whichever says less: the former stands still while a machine sleeps, and the latter may be set.
func Until(end, now time.Time) time.Duration {
	return min(end.Sub(now), end.Round(0).Sub(now.Round(0)))
}

// A Proof says how it is known that a lease is gone.
type Proof string

const (
	Proven   Proof = "proven"   // seen to be gone
	Accepted Proof = "accepted" // the server promised to end it
	Expires  Proof = "expires"  // it cannot be revoked and ends at Lease.Expires
	Failed   Proof = "failed"
)

// A Handoff is what another process needs to go on with a session.
type Handoff struct {
	Provider string          `json:"provider"`
	Origin   string          `json:"origin"` // which server, in a form that two sessions with the same server share; no secret
	Data     json.RawMessage `json:"data"`
}

// String keeps the handoff's secrets out of logs.
func (h Handoff) String() string { return "handoff(" + h.Provider + ")" }

// GoString is String, so that %#v prints no secret either.
func (h Handoff) GoString() string { return h.String() }

// Settings are what a run tells a provider. The zero value of every function field is usable.
type Settings struct {
	// Lookup reads a setting by its environment name, flags and dotenv file included; an empty value counts as not set.
	// It fits envconfig.Lookuper by way of a one-line adapter.
	Lookup func(name string) (string, bool)
	Run    string        // the run's id: short, lower-case letters and digits; put into names and metadata for the auditor
	Leash  time.Duration // the longest life anything should be given while it can be renewed; 0: what the role gives
	// Intend is told of a lease that is about to exist, before the request that makes it. An error forbids the request.
	// In Open it is told of a login at another server, as soon as there is one: that is kept alive and revoked like any lease, and nothing hangs on it.
	Intend func(Lease) error
	// Labels say for the auditor what the run belongs to: "ci", "job", "job_id", "url". They are put where the source of credentials keeps such a thing.
	Labels map[string]string
	// Warn prints one line for a person, Say one that can be turned off; never a secret.
	Warn, Say func(format string, args ...any)
	// Remember returns what once returned when it was first called for the key in this run, without calling it again: for what can be had only
	// once, such as a wrapped secret, when Open is called a second time. An error is not remembered.
	Remember func(key string, once func() (string, error)) (string, error)
	// Requests counts the round trips made, for the receipt.
	Requests *atomic.Int64
	// HandoffChanged is called by a session when its Handoff says more than before, so that another process is given it anew. Not under a lock that Handoff takes.
	HandoffChanged func()
	// Starting calls start, by which the provider starts a process of its own, in such a way that the run at no instant takes that process for one which the
	// command left behind. What it returns is called when the process has ended; nil beside an error, which is start's.
	Starting func(start func() (pid int, err error)) (ended func(), err error)
}

// Changed calls HandoffChanged where there is one.
func (s Settings) Changed() {
	if s.HandoffChanged != nil {
		s.HandoffChanged()
	}
}

// Start is Starting, nil-safe.
func (s Settings) Start(start func() (pid int, err error)) (ended func(), err error) {
	if s.Starting != nil {
		return s.Starting(start)
	}
	_, err = start()
	return func() {}, err
}

// Get is Lookup, nil-safe, with an empty value counted as not set.
func (s Settings) Get(name string) string {
	if s.Lookup == nil {
		return ""
	}
	if v, ok := s.Lookup(name); ok {
		return v
	}
	return ""
}

// Intending calls Intend where there is one.
func (s Settings) Intending(l Lease) error {
	if s.Intend == nil {
		return nil
	}
	return s.Intend(l)
}

// Warnf calls Warn where there is one.
func (s Settings) Warnf(format string, args ...any) {
	if s.Warn != nil {
		s.Warn(format, args...)
	}
}

// Sayf calls Say where there is one.
func (s Settings) Sayf(format string, args ...any) {
	if s.Say != nil {
		s.Say(format, args...)
	}
}

// Once calls Remember where there is one, and once itself where there is none.
func (s Settings) Once(key string, once func() (string, error)) (string, error) {
	if s.Remember == nil {
		return once()
	}
	return s.Remember(key, once)
}

// CountRequest counts one round trip.
func (s Settings) CountRequest() {
	if s.Requests != nil {
		s.Requests.Add(1)
	}
}
