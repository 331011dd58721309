package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
)

// Issue asks for one credential, in one round trip unless the engine says that it wants to be asked the other way.
//
// When the answer is lost after the request may have reached Vault: with a token of the session's own the request is repeated, for that token
// takes along what the first attempt left; with a borrowed token it is not, and the error says that a lease may be left.
func (s *Session) Issue(ctx context.Context, r providers.Request) (providers.Credential, error) {
	to, err := routeOf(r)
	if err != nil {
		return providers.Credential{}, err
	}
	generated, err := generate(&to)
	if err != nil {
		return providers.Credential{}, err
	}
	s.mu.Lock()
	s.issuer = true
	s.mu.Unlock()
	tries := careful
	if s.Own() != nil {
		tries = repeated
	}
	ctx = context.WithValue(ctx, issuerKey{}, s)
	began := time.Now()
	answer, err := s.client.call(ctx, tries, to.verb, to.path, to.query, to.body)
	if meansOf(err) == unsupported && !to.forced {
		to = to.other() // the first was turned away by the engine's router: it had no effect
		answer, err = s.client.call(ctx, tries, to.verb, to.path, to.query, to.body)
	}
	if err != nil {
		return providers.Credential{}, s.explainIssue(err, to)
	}
	return s.credential(to, answer.secret, generated, began)
}

// doing is the word for the request, in messages.
func (to route) doing() string {
	if to.verb == get {
		return "reading"
	}
	return "writing to"
}

func (s *Session) explainIssue(err error, to route) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	hint := ""
	switch f.meaning {
	case forbidden:
		right := "read"
		if to.verb == put {
			right = "update"
		}
		hint = fmt.Sprintf("the policy needs %q on this path", right)
	case missing:
		hint = missingHint(to.path, f.data)
	case unsupported:
		hint = "this path issues nothing"
	case lost:
		if s.Own() == nil {
			hint = "a lease may have been issued all the same: it ends with its TTL, and Vault's audit log has its name"
		}
	}
	return s.explain(err, to.doing(), to.path, hint)
}

// missingHint reads what Vault says beside a 404.
func missingHint(path string, data map[string]any) string {
	if metadata, ok := data["metadata"].(map[string]any); ok {
		if at, _ := metadata["deletion_time"].(string); at != "" {
			return "this version was deleted at " + firstLine(at)
		}
		if destroyed, _ := metadata["destroyed"].(bool); destroyed {
			return "this version was destroyed"
		}
	}
	if warnings, ok := data["warnings"].([]string); ok && strings.Contains(strings.Join(warnings, " "), "versioned K/V") {
		mount, rest, _ := strings.Cut(path, "/")
		return "this is a key-value store of version 2: write " + mount + "/data/" + rest
	}
	return "nothing is there: is the engine mounted at this path, and the namespace right?"
}

// credential makes a credential of a good answer.
func (s *Session) credential(to route, secret *api.Secret, generated []providers.Field, began time.Time) (providers.Credential, error) {
	var c providers.Credential
	if secret != nil {
		c.Lease = s.lease(secret, began)
		for _, w := range secret.Warnings {
			c.Warnings = append(c.Warnings, withoutSecret(firstLine(w), s.client.token()))
		}
	}
	var problem string
	switch {
	case secret == nil:
		problem = "the answer is empty: this path issues nothing"
	case secret.WrapInfo != nil:
		problem = "the answer is wrapped, which is not supported"
	case secret.Auth != nil:
		problem = "the answer is a login, which is not for a command"
	case len(secret.Data) == 0:
		problem = "the answer holds no data"
	default:
		c.Fields = with(to.told, append(fieldsOf(secret.Data), generated...))
		if len(c.Fields) == 0 {
			problem = "the answer holds no value"
		}
	}
	if problem == "" {
		if c.Lease.IsZero() {
			c.Lease, c.Rotates = leaseless(to.path, secret, began)
		}
		return c, nil
	}
	err := providers.Refused(fmt.Errorf("vault: %s %s: %s", to.doing(), to.path, problem))
	if left := s.giveBack(secret, c.Lease, began); left != nil {
		err = fmt.Errorf("%w; %w", err, left)
	}
	return providers.Credential{}, err
}

// giveBack revokes what came with an answer that cannot be used: it leaves nothing behind.
func (s *Session) giveBack(secret *api.Secret, l providers.Lease, began time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if !l.IsZero() {
		if proof, err := s.Revoke(ctx, l); proof != providers.Proven {
			return fmt.Errorf("its lease %s could not be revoked: %w", l.ID, err)
		}
	}
	if secret == nil || secret.Auth == nil {
		return nil
	}
	login, err := newSession(s.client.conn, s.run)
	if err != nil {
		return err
	}
	defer login.client.close()
	login.client.setToken(secret.Auth.ClientToken)
	login.own = ownLease(result{secret: secret}, began)
	if proof, err := login.Close(ctx); proof != providers.Proven {
		return fmt.Errorf("its token, with accessor %s, could not be revoked (%s): %w", login.own.ID, proof, err)
	}
	return nil
}

// with puts what a person said before what the engine says of the same name.
func with(told, fields []providers.Field) []providers.Field {
	return append(slices.Clip(told), slices.DeleteFunc(fields, func(f providers.Field) bool {
		return slices.ContainsFunc(told, func(t providers.Field) bool { return t.Name == f.Name })
	})...)
}

// lease reads the lease of an answer; the zero Lease where there is none. It ends with the sooner of what the answer says and the session's own token.
func (s *Session) lease(secret *api.Secret, began time.Time) providers.Lease {
	if secret.LeaseID == "" {
		return providers.Lease{}
	}
	l := providers.Lease{
		Provider: Name, ID: secret.LeaseID, Issued: began, Renewable: secret.Renewable,
		Expires: began.Add(time.Duration(secret.LeaseDuration) * time.Second),
	}
	if end, lasts := lastsUntil(secret, began); lasts {
		l.Scope = map[string]string{"kind": lastingKind}
		if end.After(began) {
			l.Expires = end
		}
		l.MaxExpire = l.Expires
		return l
	}
	if !l.Renewable {
		l.MaxExpire = l.Expires
	}
	return s.withinToken(l)
}

// withinToken bounds a lease by the session's own token: it dies with it, about a tenth of a second later.
func (s *Session) withinToken(l providers.Lease) providers.Lease {
	own := s.Own()
	if own == nil {
		return l
	}
	if !own.Expires.IsZero() && own.Expires.Before(l.Expires) {
		l.Expires = own.Expires
	}
	if !own.MaxExpire.IsZero() && (l.MaxExpire.IsZero() || own.MaxExpire.Before(l.MaxExpire)) {
		l.MaxExpire = own.MaxExpire
	}
	return l
}
