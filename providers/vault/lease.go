package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Renew makes a lease end increment from now, rounded up to a second, or as near as Vault allows; for the session's own lease it renews the token. It
// makes one attempt.
func (s *Session) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	seconds := inSeconds(increment)
	to, body := "sys/leases/renew", map[string]any{"lease_id": l.ID, "increment": seconds}
	switch l.Scope["kind"] {
	case tokenKind:
		to, body = "auth/token/renew-self", map[string]any{"increment": seconds}
	case batchKind:
		return l, providers.Refused(errors.New("vault: a batch token cannot be renewed"))
	case certificateKind:
		return l, providers.Refused(errors.New("vault: a certificate cannot be renewed"))
	}
	sent := time.Now()
	answer, err := s.lifecycle(ctx, to, body)
	if err != nil {
		switch meansOf(err) {
		case gone, ended, dead: // a token takes what hangs on it along
			err = providers.Gone(err)
		}
		return l, s.explain(err, "renewing", l.ID, "")
	}
	ttl, renewable, ok := answer.ttl()
	if !ok {
		return l, fmt.Errorf("vault: renewing %s: the answer names no lease", l.ID)
	}
	l.Renewable = renewable
	l.Expires = sent.Add(ttl)
	switch {
	case ttl < time.Duration(seconds)*time.Second && answer.capped():
		l.MaxExpire = l.Expires
	case !l.MaxExpire.IsZero() && l.Expires.After(l.MaxExpire.Add(time.Second)):
		l.MaxExpire = time.Time{} // so it was none: someone has raised it
	}
	if l.Scope["kind"] == tokenKind {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.own = &l
		return l, nil
	}
	return s.withinToken(l), nil
}

// lifecycle makes one attempt at a request to Vault itself. It has each of these paths and speaks JSON there, and it has been reached and trusted before: what says
// otherwise is something in between, an ingress that is starting or a load balancer that has lost its node, and passes.
func (s *Session) lifecycle(ctx context.Context, path string, body any) (result, error) {
	answer, err := s.client.call(ctx, once, put, path, nil, body)
	if f, ok := errors.AsType[*failure](err); ok {
		switch f.meaning {
		case sealed, busy: // a load balancer may say so for Vault
		case missing, unsupported, unintelligible, untrusted:
			f.meaning = passing
		default:
			if f.foreign {
				f.meaning = passing
			}
		}
	}
	return answer, err
}

// ttl is what the answer to a renewal says is left.
func (r result) ttl() (ttl time.Duration, renewable, ok bool) {
	switch {
	case r.secret == nil:
		return 0, false, false
	case r.secret.Auth != nil:
		return time.Duration(r.secret.Auth.LeaseDuration) * time.Second, r.secret.Auth.Renewable, true
	case r.secret.LeaseID == "":
		return 0, false, false
	}
	return time.Duration(r.secret.LeaseDuration) * time.Second, r.secret.Renewable, true
}

// Revoke makes one attempt to end a lease and to see it gone: synchronously where the policy allows that, and otherwise by making it end in
// a second and looking it up until it is not there any more, for which the default policy is enough.
func (s *Session) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	switch l.Scope["kind"] {
	case tokenKind, batchKind:
		if own := s.Own(); own == nil || own.ID != l.ID {
			return s.revokeLogin(ctx, l)
		}
		return s.Close(ctx)
	case certificateKind:
		return s.revokeCertificate(ctx, l)
	}
	proof, err := s.revoke(ctx, l)
	if proof == providers.Proven && l.Scope["kind"] == lastingKind && time.Now().Before(l.Expires) {
		return providers.Expires, nil // Vault has forgotten it; whoever it is for has not
	}
	return proof, err
}

func (s *Session) revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	if s.maySync(l) {
		answer, err := s.lifecycle(ctx, "sys/leases/revoke", map[string]any{"lease_id": l.ID, "sync": true})
		switch meansOf(err) {
		case "":
			if answer.status == http.StatusNoContent { // handleRevoke in vault/logical_system.go: it has been done
				return providers.Proven, nil
			}
			return s.watch(ctx, l) // a server that does not know the word sync, and has only promised
		case gone:
			return providers.Proven, nil
		case dead:
			return s.diedWithToken(err, "revoking", l)
		case forbidden:
			s.noSync(l)
		default:
			return providers.Failed, s.explain(err, "revoking", l.ID, "")
		}
	}
	return s.shorten(ctx, l)
}

// diedWithToken is what is known of a lease whose token is no more: Vault revokes the leases of a token when that ends, by itself and with
// retries, but there is nobody left who could look. Of a lease that another token was used for it says nothing: then the login is what is wrong.
func (s *Session) diedWithToken(cause error, doing string, l providers.Lease) (providers.Proof, error) {
	s.mu.Lock()
	issuer := s.issuer
	s.mu.Unlock()
	if !issuer {
		return providers.Failed, s.explain(cause, doing, l.ID, "")
	}
	return providers.Accepted, nil
}

// shorten is the proof that needs nothing but the default policy; it takes a second and a bit.
func (s *Session) shorten(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	sent := time.Now()
	answer, err := s.lifecycle(ctx, "sys/leases/renew", map[string]any{"lease_id": l.ID, "increment": 1})
	switch meansOf(err) {
	case "":
		ttl, _, _ := answer.ttl()
		if !providers.Sleep(ctx, time.Until(sent.Add(ttl))) {
			return providers.Failed, fmt.Errorf("vault: revoking %s: it could only be shortened to %v, and there was no time to wait for that: %w", l.ID, ttl, ctx.Err())
		}
	case gone:
		return providers.Proven, nil
	case ended:
	case dead:
		return s.diedWithToken(err, "revoking", l)
	case forbidden, fixed:
		s.forgetNoSync(l)
		return providers.Failed, s.explain(err, "revoking", l.ID,
			`the policy needs "update" on sys/leases/revoke for it, which may be limited to its kind: allowed_parameters = { "lease_id" = ["`+
				path.Dir(l.ID)+`/*"], "sync" = [] }`)
	default:
		return providers.Failed, s.explain(err, "revoking", l.ID, "")
	}
	return s.watch(ctx, l)
}

// watch looks an ended lease up until it is gone.
func (s *Session) watch(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		_, err := s.lifecycle(ctx, "sys/leases/lookup", map[string]any{"lease_id": l.ID})
		switch meansOf(err) {
		case "":
		case gone:
			return providers.Proven, nil
		case dead:
			return s.diedWithToken(err, "looking up", l)
		case forbidden:
			return providers.Accepted, nil // it has ended; that it is gone cannot be seen
		default:
			return providers.Failed, s.explain(err, "looking up", l.ID, "")
		}
		if !providers.Sleep(ctx, wait) {
			return providers.Failed, fmt.Errorf(
				"vault: revoking %s: the lease has ended and Vault has not removed it yet (does the server behind the engine answer?): %w", l.ID, ctx.Err())
		}
	}
}

// maySync is false where the policy is known to forbid a synchronous revocation: it is asked once for each kind of lease.
func (s *Session) maySync(l providers.Lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.forbidden[path.Dir(l.ID)]
}

func (s *Session) noSync(l providers.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden[path.Dir(l.ID)] = true
}

// forgetNoSync has it asked anew, when the other way is closed too: somebody may have opened the first.
func (s *Session) forgetNoSync(l providers.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.forbidden, path.Dir(l.ID))
}

// Defer hands a lease to Vault's own queue, which goes on trying: by an asynchronous revocation, or where the policy forbids that by letting the lease
// end in a second.
func (s *Session) Defer(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	switch l.Scope["kind"] {
	case tokenKind, batchKind: // an accessor is no lease ID, and Vault's word that there is no such lease no proof
		return providers.Failed, providers.Refused(fmt.Errorf("vault: the token with accessor %s cannot be handed over: there is no queue for tokens", l.ID))
	}
	if l.Scope["kind"] == certificateKind {
		return providers.Failed, errors.New("vault: it has no queue for certificates")
	}
	if s.maySync(l) {
		_, err := s.lifecycle(ctx, "sys/leases/revoke", map[string]any{"lease_id": l.ID, "sync": false})
		switch meansOf(err) {
		case "":
			return providers.Accepted, nil
		case gone:
			return providers.Proven, nil
		case dead:
			return s.diedWithToken(err, "handing over", l)
		case forbidden:
			s.noSync(l)
		default:
			return providers.Failed, s.explain(err, "handing over", l.ID, "")
		}
	}
	_, err := s.lifecycle(ctx, "sys/leases/renew", map[string]any{"lease_id": l.ID, "increment": 1})
	switch meansOf(err) {
	case "", ended:
		return providers.Accepted, nil
	case gone:
		return providers.Proven, nil
	case dead:
		return s.diedWithToken(err, "handing over", l)
	}
	return providers.Failed, s.explain(err, "handing over", l.ID, "")
}
