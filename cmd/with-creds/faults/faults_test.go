//go:build linux

package faults

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// A fault is a row of the table: what becomes of a run one request of which is answered so. What is not said ends well: the request is repeated, or was not needed.
//
// The table of what each answer means to the product is answers in providers/vault/answers.go; this is what comes of it for a person.
type fault struct {
	name     string
	do       harness.HTTPFault
	want     string // "PHASE: outcome[ or outcome]; …"
	lies     bool   // it says that something is gone which is not
	answered bool   // Vault has done what was asked, and nobody has been told
	lasting  bool   // it is a row also of the matrix of faults that last
	waits    int    // what takes longer begins earlier
}

// outcomes are those that the table has for a fault at a phase.
func (f fault) outcomes(phase string) []outcome {
	for part := range strings.SplitSeq(f.want, "; ") {
		if names, wanted, ok := strings.Cut(part, ": "); ok && slices.Contains(strings.Split(names, "/"), phase) {
			var all []outcome
			for o := range strings.SplitSeq(wanted, " or ") {
				all = append(all, outcome(o))
			}
			return all
		}
	}
	return []outcome{survived}
}

const (
	// noUse: asking again is of no use, so the command is not started.
	noUse = "login/issue/issue, borrowed: refused"
	// unknown: Vault may have made a lease that nobody knows. An own token takes it along, so that the read is repeated; under a borrowed one it is not.
	unknown = "issue, borrowed: refused"
)

// said is an answer in Vault's form.
func said(status int, text string, headers ...string) harness.HTTPFault {
	return harness.Answer(status, `{"errors":["`+text+`"]}`, headers...)
}

// faultsOf are the rows: what issue 4 names, item 6, and what a network does.
func faultsOf(t *testing.T) []fault {
	elsewhere := harness.NewProxy(t, "http://127.0.0.1:1", func(e *harness.Exchange) harness.HTTPFault {
		t.Errorf("a redirect was followed, with a request for %s", e.Request.URL.Path)
		return harness.HangUp
	})
	return []fault{
		// Said of a lease, it is gone. Nobody else says so, but a login takes it for a bad request.
		{name: "400 invalid lease", do: said(400, "invalid lease"), want: noUse, lies: true},
		// Past its end: it is looked up until it is gone, or asked for again.
		{name: "400 lease expired", do: said(400, "lease expired"), want: noUse},
		{name: "400 failed to revoke entry", do: said(400, "failed to revoke entry: resp: (*logical.Response)(nil) err: dial tcp: connection refused"), want: noUse},
		// The same again would be as bad: the lease is left to Vault's queue, and a login to the guard.
		{name: "400 bad request", do: said(400, "error parsing JSON"), want: noUse + "; revoke/shorten/close: told; look up: survived or told"},
		// Not to revoke: then it is shortened. Not to shorten, or not to look: then Vault's promise is all there is. Not to end the login: it ends by itself.
		{name: "403 permission denied", do: said(403, "permission denied"), want: noUse + "; shorten/look up: told"},
		// The login is dead, and Vault ends by itself what hung on it. Nobody is left who could look.
		{name: "403 invalid token", do: said(403, "permission denied; invalid token"), want: noUse + "; revoke/shorten/look up: told", lies: true},
		// Vault has its own paths, and its own words: what says otherwise is something in front of it.
		{name: "404", do: said(404, "no handler for route"), want: noUse},
		{name: "401 of a load balancer", do: harness.Answer(401, "<html>who are you</html>", "Content-Type", "text/html"), want: noUse},
		{name: "403 of a firewall", do: harness.Answer(403, `{"message":"Forbidden"}`), want: noUse},
		// It was trusted before.
		{name: "TLS failure", do: harness.Answer(400, "Client sent an HTTP request to an HTTPS server.\n", "Content-Type", "text/plain"), want: noUse, lasting: true},
		{name: "412", do: said(412, "required index state not present")},
		{name: "429 Retry-After", do: said(429, "request path rate limited", "Retry-After", "1")},
		{name: "473 standby", do: said(473, "")},
		{name: "500 failed to revoke entry", do: said(500, "failed to revoke entry: database is down"), lasting: true},
		// A proxy's words: Vault may have heard the request.
		{name: "502", do: harness.Answer(502, "<html>bad gateway</html>", "Content-Type", "text/html"), want: unknown},
		{name: "503 sealed", do: said(503, "Vault is sealed"), lasting: true},
		// The token does not follow.
		{name: "redirect to another host", do: harness.Answer(307, "", "Location", elsewhere.Addr+"/v1/sys/health"), want: noUse},
		{name: "garbage", do: harness.Answer(200, "\x00\x01<html>not JSON"), want: noUse},
		{name: "huge", do: harness.HugeAnswer(34 << 20), want: noUse},
		{name: "refused for a while", do: harness.Refuse(500 * time.Millisecond), want: "issue, borrowed: refused"},
		{name: "hung up", do: harness.HangUp, want: unknown},
		{name: "reset before", do: harness.Reset, want: unknown, lasting: true},
		{name: "reset after", do: harness.ResetAfter, want: unknown, answered: true, lasting: true},
		{name: "truncated", do: harness.Truncate, want: unknown, answered: true},
		{name: "late by 3 s", do: harness.Delay(3 * time.Second), waits: 1},
		{name: "never answered, before", do: harness.Silence, want: noUse, lasting: true, waits: 2},
		{name: "never answered, after", do: harness.SilenceAfter, want: noUse, answered: true, waits: 2},
	}
}
