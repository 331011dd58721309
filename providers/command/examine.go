package command

import (
	"context"
	"fmt"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Examiner = (*Session)(nil)

// Examine looks whether the programs are there. It runs none: `with-creds provider check` does.
func (s *Session) Examine(_ context.Context, requests []providers.Request) []providers.Finding {
	var found []providers.Finding
	seen := map[string]bool{}
	for _, r := range requests {
		q, err := parseRequest(r)
		if err != nil || seen[q.argv[0]] {
			continue
		}
		seen[q.argv[0]] = true
		path, err := s.find(q.argv[0])
		if err != nil {
			found = append(found, providers.Finding{Level: providers.Fail, Says: err.Error(), Fix: "name a program that is there and may be run"})
			continue
		}
		found = append(found, providers.Finding{
			Level: providers.OK, // of no promise: it was not asked
			Says:  fmt.Sprintf("%s is there and may be run; whether it keeps the leash and ends what a killed run left, `with-creds provider check %s` shows", path, r.Path),
		})
	}
	return found
}
