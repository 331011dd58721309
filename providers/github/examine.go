package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Examiner = (*Session)(nil)

// Examine asks GitHub who the App is, and finds the installation of each request: one round trip, and one for each owner. No token is asked for, so whether the permissions are granted is
// seen at the first run.
func (s *Session) Examine(ctx context.Context, requests []providers.Request) []providers.Finding {
	var found []providers.Finding
	add := func(level providers.Level, promise, fix, format string, args ...any) {
		found = append(found, providers.Finding{Level: level, Promise: promise, Says: fmt.Sprintf(format, args...), Fix: fix})
	}
	began := time.Now()
	var app github.App
	if _, err := s.do(ctx, s.client, http.MethodGet, "app", nil, &app); err != nil {
		says, fix := providers.Advice(err)
		add(providers.Fail, "", cmp.Or(fix, "check that GITHUB_API_URL is GitHub's ("+s.target.API+"), and the network (HTTPS_PROXY)"), "asking GitHub about the App: %s", says)
		return found
	}
	add(providers.OK, "", "", "GitHub answers the App %s in %v", providers.OneLine(app.GetSlug(), 100), time.Since(began).Round(100*time.Microsecond))
	add(providers.Warn, "P2", "ask for no more repositories and permissions than the command needs",
		"GitHub's tokens live an hour and nothing shortens that: one that a lost machine held ends within the hour, not within the leash")
	for _, r := range requests {
		q, err := parseRequest(r)
		if err != nil {
			continue
		}
		q.owner = cmp.Or(q.owner, s.target.Owner)
		id, account, err := s.installation(ctx, q)
		if err != nil {
			says, fix := providers.Advice(err)
			add(providers.Fail, "", fix, "finding the App's installation%s: %s", of(q.owner), says)
			continue
		}
		add(providers.OK, "P1", "", "installation %d%s is there; a token is ended at the end, and proven to be let in no more", id, of(account))
	}
	return found
}
