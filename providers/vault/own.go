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
