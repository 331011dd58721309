package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// authenticate gives the session its token: by one request, with a wrapped secret id by three, and by none when a token is at hand.
func (s *Session) authenticate(ctx context.Context, set settings) error {
	if set.Auth == "auto" {
		var why string
		var err error
		if set.Auth, why, err = set.choose(); err != nil {
			return err
		}
		s.run.Sayf("vault: logging in by %s: %s", set.Auth, why)
	}
	if set.Auth == "token" {
		token, err := set.findToken(ctx)
		if err != nil {
			return err
		}
		s.client.setToken(token)
		if set.ChildToken {
			return s.adopt(ctx)
		}
		return nil
	}
	mount := strings.Trim(firstOf(set.Mount, set.Auth), "/")
	body, err := loginMethods[set.Auth](ctx, s, set) // there is one, see judged
	if err != nil {
		return err
	}
	path := "auth/" + mount + "/login"
	answer, err := s.client.call(ctx, repeated, put, path, nil, body)
	if err != nil {
		return s.explain(err, "logging in at", path, loginHint(err, set, body, time.Now()))
	}
	return s.take(answer, path)
}

// adopt makes a child of the token at hand, and the child the session's own. It costs a round trip before the command, so it is asked for
// (WITH_CREDS_VAULT_CHILD_TOKEN=true), and it is worth one: the run's leases then hang on a token that ends within the leash and is revoked
// at the end, so that they end also when every process of the run is gone at once, or an answer was lost. The parent's policy must allow "update" on auth/token/create; where it
// does not, the session works with the token at hand and says so.
func (s *Session) adopt(ctx context.Context) error {
	const path = "auth/token/create"
	body := map[string]any{"display_name": "with-creds", "renewable": true, "meta": s.metadata()}
	if s.run.Leash > 0 {
		body["ttl"] = inSeconds(s.run.Leash)
	}
	answer, err := s.client.call(ctx, repeated, put, path, nil, body)
	switch {
	case meansOf(err) == forbidden:
		s.run.Warnf("vault: no token of the run's own: the policy has no \"update\" on %s; working with the token at hand", path)
		return nil
	case err != nil:
		return s.explain(err, "making a token at", path, "")
	}
	return s.take(answer, path)
}

// metadata is what the run's token says of the run, so that an auditor finds the build behind what was issued.
func (s *Session) metadata() map[string]string {
	meta := map[string]string{"with_creds_run": s.run.Run}
	for name, value := range s.run.Labels {
		meta["with_creds_"+name] = firstLine(value)
	}
	return meta
}

// take makes the token of an answer the session's own.
func (s *Session) take(answer result, path string) error {
	if answer.secret == nil || answer.secret.Auth == nil || answer.secret.Auth.ClientToken == "" {
		if answer.secret != nil && answer.secret.WrapInfo != nil {
			return fmt.Errorf("vault: logging in at %s: the answer is wrapped, which is not supported", path)
		}
		return fmt.Errorf("vault: logging in at %s: the answer holds no token (does the login need a second factor?)", path)
	}
	auth := answer.secret.Auth
	s.client.setToken(auth.ClientToken)
	s.own = ownLease(answer, time.Now())
	for _, w := range answer.secret.Warnings {
		s.run.Warnf("vault: %s", firstLine(w))
	}
	if uses := s.own.Scope["uses"]; uses != "" {
		s.run.Warnf("vault: the token of this login may be used %s times; every request spends one, and what was issued ends with the last", uses)
	}
	return nil
}

func ownLease(answer result, now time.Time) *providers.Lease {
	auth := answer.secret.Auth
	own := &providers.Lease{
		Provider: Name, ID: auth.Accessor, Issued: now, Renewable: auth.Renewable, Scope: map[string]string{"kind": tokenKind},
	}
	if auth.LeaseDuration > 0 {
		own.Expires = now.Add(time.Duration(auth.LeaseDuration) * time.Second)
	}
	if auth.Accessor == "" { // a batch token
		own.ID, own.Renewable, own.MaxExpire = "request/"+answer.secret.RequestID, false, own.Expires
		own.Scope["kind"] = batchKind
	}
	if answer.uses > 0 {
		own.Scope["uses"] = strconv.Itoa(answer.uses)
	}
	return own
}

// What Scope["kind"] of a lease says of it. Without one it is an ordinary lease.
const (
	tokenKind   = "token"       // the session's own
	batchKind   = "batch token" // likewise; it can be neither renewed nor revoked
	lastingKind = "lasting"     // valid until its end whatever is revoked: see lasting
)

// explain puts words around a failure: what was attempted, on what, and what to do.
func (s *Session) explain(err error, doing, path, hint string) error {
	err = fmt.Errorf("vault: %s %s: %w", doing, path, err)
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	switch {
	case hint != "":
	case f.meaning == unreached:
		hint = "does Vault run there? " + s.address()
	case f.meaning == untrusted || f.cause != nil && isTLS(f.cause):
		hint = "is VAULT_CACERT its authority's? " + s.address()
	case f.meaning == dead:
		hint = "log in again"
	}
	if hint != "" {
		err = hinted{err, hint}
	}
	return err
}

// address says where Vault was looked for, and which setting said so.
func (s *Session) address() string {
	if s.client.conn.AddressOf == "" {
		return "VAULT_ADDR is not set, and Vault was looked for at " + s.client.shownAddress()
	}
	return s.client.conn.AddressOf + " is " + s.client.shownAddress()
}

// A hinted error says what to do.
type hinted struct {
	error
	hint string
}

func (h hinted) Error() string  { return h.error.Error() + " (" + h.hint + ")" }
func (h hinted) Unwrap() error  { return h.error }
func (h hinted) Advice() string { return h.hint }

// inSeconds is a duration as Vault takes it: whole seconds, rounded up, never 0, which would mean the default.
func inSeconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
