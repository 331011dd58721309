package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A handoff is what another process needs to run the same programs in the same way.
type handoff struct {
	Dir     string        `json:"dir"` // where programs run that are not known to have run elsewhere
	Env     []string      `json:"env"`
	Secrets []string      `json:"secrets,omitempty"` // values in Env that are not shown
	Timeout time.Duration `json:"timeout"`
}

// A Session runs programs.
type Session struct {
	with     handoff
	settings providers.Settings

	mu      sync.Mutex
	onHold  func(syscall.Conn) (release func())
	calls   map[string]*call    // by action and lease: what is under way
	secrets map[string][]string // by lease: what none of its may hold

	inherited chan struct{} // closed when the programs of the process before this one have ended, or had their time
}

var (
	_ providers.Session   = (*Session)(nil)
	_ providers.Connected = (*Session)(nil)
)

func newSession(with handoff, s providers.Settings) *Session {
	none := make(chan struct{})
	close(none)
	return &Session{with: with, settings: s, calls: map[string]*call{}, secrets: map[string][]string{}, inherited: none}
}

// Resume makes the session anew from a Handoff.
func (Provider) Resume(h providers.Handoff, s providers.Settings) (providers.Session, error) {
	var with handoff
	if err := json.Unmarshal(h.Data, &with); err != nil {
		return nil, errors.New("command: the handed over session is not readable") // not the error itself: it may quote the data
	}
	return newSession(with, s), nil
}

// Handoff holds the programs' environment.
func (s *Session) Handoff() providers.Handoff {
	data, err := json.Marshal(s.with)
	if err != nil {
		panic("command: a handoff of strings does not marshal: " + err.Error())
	}
	return providers.Handoff{Provider: Name, Origin: "this machine", Data: data}
}

// Own is nil: there is no login.
func (s *Session) Own() *providers.Lease { return nil }

// Close has nothing to end.
func (s *Session) Close(context.Context) (providers.Proof, error) { return providers.Proven, nil }

// OnConnect calls hold with the reading end of a pipe whose other end a program has while it works.
func (s *Session) OnConnect(hold func(syscall.Conn) (release func())) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onHold = hold
}

func (s *Session) hold(pipe *os.File) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onHold == nil {
		return func() {}
	}
	return s.onHold(pipe)
}

// Inherit takes the pipes of the process before this one. Until each has come to its end, or a program's time is over, what was only going to be
// issued is not revoked: a program that is still at work could bring it to life afterwards.
func (s *Session) Inherit(conns []*os.File) {
	s.inherited = make(chan struct{})
	timeout := time.AfterFunc(s.with.Timeout, func() {
		for _, pipe := range conns {
			pipe.Close() // which ends the reading of it
		}
	})
	var all sync.WaitGroup
	for _, pipe := range conns {
		all.Go(func() { _, _ = io.Copy(io.Discard, pipe) })
	}
	go func() {
		all.Wait()
		timeout.Stop()
		for _, pipe := range conns {
			pipe.Close()
		}
		close(s.inherited)
	}()
}

// The keys of a lease's Scope.
const (
	scopeProgram   = "program"   // JSON: its path and arguments
	scopeDir       = "dir"       // where it runs
	scopeLease     = "lease"     // JSON: as the program gave it
	scopeAnswered  = "answered"  // the program has answered; without it, the lease is only going to be
	scopeRevocable = "revocable" // "no": it ends by itself
)

// Issue runs the program.
func (s *Session) Issue(ctx context.Context, r providers.Request) (providers.Credential, error) {
	q, err := parseRequest(r)
	if err != nil {
		return providers.Credential{}, providers.Refused(err)
	}
	if q.argv[0], err = s.find(q.argv[0]); err != nil {
		return providers.Credential{}, fmt.Errorf("command: %w", err)
	}
	program, err := json.Marshal(q.argv)
	if err != nil {
		return providers.Credential{}, fmt.Errorf("command: %w", err)
	}
	l := providers.Lease{
		Provider: Name, ID: "wc-" + cmp.Or(providers.LowerName(s.settings.Run, 20), "run") + "-" + providers.LowerText(16),
		Scope: map[string]string{scopeProgram: string(program), scopeDir: s.with.Dir, providers.ScopeRun: s.settings.Run, providers.ScopeGroup: r.Path},
	}
	if err := s.settings.Intending(l); err != nil {
		return providers.Credential{}, fmt.Errorf("command: noting %s before issuing it: %w", l.ID, err)
	}
	asked := time.Now()
	a, err := s.run(ctx, l, q.argv, question{
		Version: version, Action: actionIssue, ID: l.ID, Run: s.settings.Run, TTL: wholeSeconds(s.settings.Leash), Parameters: q.parameters,
	})
	if err != nil {
		return providers.Credential{}, fmt.Errorf("command: %w", err)
	}
	if len(a.Fields) == 0 {
		return providers.Credential{}, providers.Refused(fmt.Errorf("command: %s issue: its answer has no fields", r.Path))
	}
	answered(&l, a, asked)
	if a.MaxTTL > 0 {
		l.MaxExpire = asked.Add(duration(a.MaxTTL))
	}
	if slices.ContainsFunc(a.secrets(), func(v string) bool { return inLease(l.Scope[scopeLease], v) }) {
		err := fmt.Errorf("command: %s issue: %w", r.Path, errSecretInLease)
		if _, left := s.Revoke(ctx, l); left != nil { // it is revoked by its id as well, at the end
			err = fmt.Errorf("%w; and %w", err, left)
		}
		return providers.Credential{}, providers.Refused(err)
	}
	s.mu.Lock()
	s.secrets[l.ID] = a.secrets()
	s.mu.Unlock()
	return providers.Credential{Fields: a.fields(), Lease: l, Warnings: a.warnings(s.with.Secrets)}, nil
}

// warnings are the program's words, without its secrets.
func (a answer) warnings(hidden []string) []string {
	var list []string
	for _, w := range a.Warnings {
		list = append(list, hide(providers.OneLine(w, mostWords), append(a.secrets(), hidden...)))
	}
	return list
}

// answered puts into a lease what an answer to issue says of it.
func answered(l *providers.Lease, a answer, asked time.Time) {
	l.Issued = asked
	l.Scope = maps.Clone(l.Scope) // who was told of the intent has the other
	l.Scope[scopeAnswered] = "yes"
	if len(a.Lease) > 0 {
		l.Scope[scopeLease] = string(a.Lease)
	}
	if a.Revocable != nil && !*a.Revocable {
		l.Scope[scopeRevocable] = "no"
	}
	if a.TTL > 0 {
		l.Expires, l.Renewable = asked.Add(duration(a.TTL)), a.Renewable
	}
}

// wholeSeconds rounds up: a leash of 1.5 s is no request for none.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// about is the question about a lease, and the program it goes to.
func (s *Session) about(l providers.Lease, action string) (argv []string, q question, err error) {
	if l.Provider != Name || !strings.HasPrefix(l.ID, "wc-") || json.Unmarshal([]byte(l.Scope[scopeProgram]), &argv) != nil || len(argv) == 0 {
		return nil, q, providers.Final(fmt.Errorf("command: %q is not a lease of this provider", l.ID))
	}
	q = question{Version: version, Action: action, ID: l.ID, Run: l.Scope[providers.ScopeRun]}
	if text := l.Scope[scopeLease]; text != "" {
		q.Lease = json.RawMessage(text)
	}
	return argv, q, nil
}

// Renew runs the program.
func (s *Session) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	argv, q, err := s.about(l, actionRenew)
	if err != nil {
		return l, err
	}
	if !l.Renewable {
		return l, providers.Refused(fmt.Errorf("command: renewing %s: it is not renewable", l.ID))
	}
	q.TTL = wholeSeconds(increment)
	asked := time.Now()
	a, err := s.joined(ctx, l, argv, q)
	s.mu.Lock()
	secrets := s.secrets[l.ID]
	s.mu.Unlock()
	switch {
	case err != nil:
	case a.TTL == 0:
		err = errors.New("its answer has no ttl")
	case slices.ContainsFunc(append(a.secrets(), secrets...), func(v string) bool { return inLease(string(a.Lease), v) }):
		err = providers.Refused(errSecretInLease) // it is revoked by the lease that it had
	}
	if err != nil {
		return l, fmt.Errorf("command: renewing %s: %w", l.ID, err)
	}
	l.Expires, l.Renewable = asked.Add(duration(a.TTL)), a.Renewable
	if !l.MaxExpire.IsZero() && l.Expires.After(l.MaxExpire) {
		l.Expires = l.MaxExpire
	}
	if len(a.Lease) > 0 {
		l.Scope = maps.Clone(l.Scope)
		l.Scope[scopeLease] = string(a.Lease)
	}
	return l, nil
}

// Revoke runs the program, or waits on for one that an attempt before this began.
func (s *Session) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	argv, q, err := s.about(l, actionRevoke)
	if err != nil {
		return providers.Failed, err
	}
	if l.Scope[scopeRevocable] == "no" {
		return providers.Expires, nil
	}
	if l.Scope[scopeAnswered] == "" {
		select {
		case <-s.inherited:
		case <-ctx.Done():
			return providers.Failed, fmt.Errorf("command: revoking %s: the program that issues it is still at work: %w", l.ID, ctx.Err())
		}
	}
	a, err := s.joined(ctx, l, argv, q)
	if err != nil {
		return providers.Failed, fmt.Errorf("command: revoking %s: %w", l.ID, err)
	}
	switch a.Proof {
	case providers.Proven, providers.Accepted, providers.Expires:
		return a.Proof, nil
	}
	return providers.Failed, fmt.Errorf("command: revoking %s: its answer's proof is none of proven, accepted and expires", l.ID)
}

// A call is a program at work.
type call struct {
	ended  chan struct{}
	answer answer
	err    error
}

// joined runs the program, or joins the one that is at work on the same question. When ctx is done before it has ended it goes on, for the
// next attempt to join: a program may need longer than one attempt has.
func (s *Session) joined(ctx context.Context, l providers.Lease, argv []string, q question) (answer, error) {
	key := q.Action + " " + q.ID
	s.mu.Lock()
	c := s.calls[key]
	if c == nil {
		c = &call{ended: make(chan struct{})}
		s.calls[key] = c
		go func() {
			c.answer, c.err = s.run(context.WithoutCancel(ctx), l, argv, q)
			s.mu.Lock()
			delete(s.calls, key)
			s.mu.Unlock()
			close(c.ended)
		}()
	}
	s.mu.Unlock()
	select {
	case <-c.ended:
		return c.answer, c.err
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%s is still at work: %w", q.Action, ctx.Err())
	}
}
