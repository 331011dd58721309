package vault

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Close revokes the session's own token and closes its connections. Vault answers a token's revocation when the token is deleted, and marks the
// leases left under it for its queue; it is not the way to see a lease gone (revoke each first, with Revoke).
//
// A token that its policies do not let revoke itself (they lack the default policy), and a batch token, end by themselves: Expires.
func (s *Session) Close(ctx context.Context) (providers.Proof, error) {
	own := s.Own()
	if own == nil {
		s.client.close()
		return providers.Proven, nil
	}
	if own.Scope["kind"] == batchKind {
		s.client.close()
		return providers.Expires, nil
	}
	if err := s.settleLost(ctx); err != nil {
		return providers.Failed, err
	}
	answer, err := s.lifecycle(ctx, "auth/token/revoke-self", struct{}{})
	if err == nil && answer.status != http.StatusNoContent {
		err = &failure{meaning: passing, text: fmt.Sprintf("an answer that is not Vault's (%d)", answer.status)}
	}
	switch meansOf(err) {
	case "", dead, gone:
		s.client.close()
		return providers.Proven, nil
	case forbidden:
		if own.Expires.IsZero() {
			break // it never ends
		}
		s.run.Warnf(`vault: the token of this run may not revoke itself (its policies lack "update" on auth/token/revoke-self): it ends at %s`,
			own.Expires.Format(time.RFC3339))
		s.client.close()
		return providers.Expires, nil
	}
	return providers.Failed, s.explain(err, "revoking the run's token", own.ID, "")
}

// lostOne notes that the answer to a request which may leave a lease was lost just now, also for who takes over.
func (s *Session) lostOne() {
	s.mu.Lock()
	s.lost = time.Now()
	s.mu.Unlock()
	s.run.Changed()
}

// settleLost waits until a request whose answer was lost is over at Vault, for the lease of one that outlives the token is nobody's. A cut connection ends it at once, but
// something in between may keep its own to Vault open.
func (s *Session) settleLost(ctx context.Context) error {
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	if left := time.Until(lost.Add(settling)); !lost.IsZero() && left > 0 {
		if !providers.Sleep(ctx, left) {
			return fmt.Errorf("vault: revoking the run's token: waiting for a request whose answer was lost: %w", ctx.Err())
		}
	}
	return nil
}
