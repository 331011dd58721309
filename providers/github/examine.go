package github

import (
	"cmp"
	"context"
	"fmt"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Examiner = (*Session)(nil)

// Examine finds the installation of each request: one round trip for each owner. No token is asked for, so whether the permissions are granted is
// seen at the first run.
func (s *Session) Examine(ctx context.Context, requests []providers.Request) []providers.Finding {
	found := []providers.Finding{{
		Level: providers.Warn, Promise: "P2",
		Says: "GitHub's tokens live an hour and nothing shortens that: one that a lost machine held ends within the hour, not within the leash",
	}}
	for _, r := range requests {
		q, err := parseRequest(r)
		if err != nil {
			continue
		}
		q.owner = cmp.Or(q.owner, s.target.Owner)
		id, account, err := s.installation(ctx, q)
		if err != nil {
			found = append(found, providers.Finding{Level: providers.Fail, Says: fmt.Sprintf("finding the App's installation%s: %v", of(q.owner), err)})
			continue
		}
		found = append(found, providers.Finding{
			Level: providers.OK, Promise: "P1",
			Says: fmt.Sprintf("installation %d%s is there; a token is ended at the end, and proven to be let in no more", id, of(account)),
		})
	}
	return found
}
