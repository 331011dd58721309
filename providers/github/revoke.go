package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Renew is refused for a token: GitHub's last an hour. It renews a login to Vault.
func (s *Session) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	if l.Scope[scopeVault] != "" {
		return s.renewLogin(ctx, l, increment)
	}
	return l, providers.Refused(errors.New("github: a token cannot be renewed, only replaced"))
}

// Revoke ends a token by showing it, and then shows it once more: a 401 is the proof. One that this session does not know, as after a power
// cut, cannot be ended; it ends by itself.
func (s *Session) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	if l.Provider == Name && l.Scope[scopeVault] != "" {
		return s.revokeLogin(ctx, l)
	}
	if l.Provider != Name || !strings.HasPrefix(l.ID, "ghs-") {
		return providers.Failed, providers.Final(fmt.Errorf("github: %q is not a lease of this provider", l.ID))
	}
	token := s.tokenOf(l)
	switch {
	case s.isGone(l):
		return providers.Proven, nil
	case !l.Expires.IsZero() && time.Now().After(l.Expires.Add(drift)):
		s.forget(l)
		return providers.Proven, nil
	case token == nil:
		return providers.Expires, nil
	}
	if err := s.end(ctx, token); err != nil {
		return providers.Failed, fmt.Errorf("github: revoking %s: %w", l.ID, err)
	}
	s.forget(l)
	return providers.Proven, nil
}

func (s *Session) end(ctx context.Context, t *token) error {
	if _, err := s.do(ctx, t.ends, http.MethodDelete, "installation/token", nil, nil); status(err) == http.StatusUnauthorized {
		return nil // it is gone already
	} else if err != nil {
		return err
	}
	// What ends a token and what asks for one are several machines at GitHub.
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := s.do(ctx, t.proves, http.MethodGet, "installation/repositories?per_page=1", nil, nil)
		if status(err) == http.StatusUnauthorized {
			return nil
		}
		if err != nil && (status(err) != http.StatusForbidden || limited(err)) {
			return fmt.Errorf("it was ended, and whether it is gone could not be asked: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it was ended, and is still let in: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}
