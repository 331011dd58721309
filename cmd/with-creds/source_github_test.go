//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// githubRow is a GitHub with an App and the row for it: tokens of an installation of its own for each source.
func githubRow(t testing.TB) server {
	t.Helper()
	gh := harness.GitHub(t)
	return server{
		secrets: []string{"WITH_CREDS_GITHUB_PRIVATE_KEY"}, log: gh.Log, nameless: true,
		name: "github", address: gh.Address(),
		source: func(t testing.TB, address string, o order) *source {
			t.Helper()
			account := newSourceName()
			gh.Install(account, o.life)
			s := githubSource(gh)
			s.env["GITHUB_API_URL"], s.env["GITHUB_SERVER_URL"] = "http://"+address+"/api/v3", "http://"+address
			s.left = func() []string {
				return slices.DeleteFunc(gh.Live(), func(login string) bool { return login != account })
			}
			s.usable = func(_ testing.TB, _, token string) bool { return gh.Usable(token) }
			s.discard = func() int { return gh.Forget(account) }
			for _, spec := range o.specs(fmt.Sprintf("github:installation?owner=%s&repositories=app&permissions=contents:read", account)) {
				s.specs = append(s.specs, strings.NewReplacer("=password", "=token", "=@password", "=@token").Replace(spec))
			}
			return s
		},
		moments: []moment{
			{name: "finding the installation", holds: "GET /api/v3/orgs/"},
			{name: "installation found", holds: "GET /api/v3/orgs/", answer: true},
			{name: "issuing", holds: "POST /api/v3/app/installations/", joined: true},
			{name: "issued and not known", holds: "POST /api/v3/app/installations/", answer: true, joined: true},
			{name: "replacing", holds: "POST /api/v3/app/installations/", nth: 2, lasting: true, order: order{files: true, life: shortLife}, joined: true},
			{name: "revoking", holds: "DELETE /api/v3/installation/token"},
			{name: "revoked and not known", holds: "DELETE /api/v3/installation/token", answer: true},
		},
	}
}
