//go:build linux

package faults

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

const slowRole = createRole + ` SELECT pg_sleep(2);`

// A run that is killed while Vault is still making what it asked for leaves nothing: its guard waits for the answer before it ends the login.
func TestKilledWhileARoleIsSlowlyMadeNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	for name, c := range map[string]struct {
		env    map[string]string
		within time.Duration // of the request the run is killed, at random
	}{
		"own token":                  {s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}), 2200 * time.Millisecond},
		"own token, default policy":  {s.appRole(map[string]any{"token_policies": "read", "token_ttl": "1h"}), 2200 * time.Millisecond},
		"borrowed token":             {s.token("default", "read", "revoke"), time.Second}, // before the answer: see providers/vault on what comes after
		"borrowed, default policy":   {s.token("default", "read"), time.Second},
		"own token, two credentials": {s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}), 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := s.role(slowRole, "1h", "24h")
			n := 1 + strings.Count(name, "two")
			r, after := s.killed(t, c.env, role, n, c.within)
			began := time.Now()
			r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
			t.Logf("killed %v after the request; all is gone %v later", after.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			// What is made late must not come back.
			time.Sleep(2500 * time.Millisecond)
			if left := s.left(role); len(left) > 0 {
				t.Errorf("it came back: %q", left)
			}
		})
	}
	t.Cleanup(func() {
		if !t.Failed() {
			s.noLoginIsLeft(t)
		}
	})
}

// noLoginIsLeft waits: Vault removes a token's lease a moment after the token.
func (s *site) noLoginIsLeft(t *testing.T) {
	t.Helper()
	var left []string
	if !within(patience, func() bool {
		left = s.vault.Leases("auth/approle/login")
		return len(left) == 0
	}) {
		t.Errorf("logins are left: %q", left)
	}
}

// killed starts a run, kills it at random within that time of its first request for a credential, and waits for its death.
func (s *site) killed(t *testing.T, env map[string]string, role string, n int, within time.Duration) (*run, time.Duration) {
	t.Helper()
	asked := make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	p := harness.NewProxy(t, s.vault.Addr, func(e *harness.Exchange) harness.HTTPFault {
		if strings.HasPrefix(e.Request.URL.Path, "/v1/database/creds/") {
			ask()
		}
		return nil
	})
	r := newRun(t, at(p.Addr, env), append(specs(n, role), "--", "sleep", "600")...).start()
	select {
	case <-asked:
	case <-r.ended:
	case <-time.After(patience):
		t.Fatalf("it has asked for nothing after %v; stderr:\n%s", patience, &r.stderr)
	}
	after := rand.N(within)
	time.Sleep(after)
	_ = r.cmd.Process.Kill()
	r.wait()
	return r, after
}

// A run that is killed after an answer was lost leaves nothing either, though what stands in front of Vault keeps the request alive and has told the run that it gave up: its guard
// knows that the answer was lost, and lets the login live until what was asked is over.
func TestKilledAfterALostAnswerNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	role := s.role(slowRole, "1h", "24h")
	made, asked := make(chan string, 1), make(chan struct{})
	reads := 0 // by the plan's goroutine alone
	p := harness.NewProxy(t, s.vault.Addr, func(e *harness.Exchange) harness.HTTPFault {
		if !strings.HasPrefix(e.Request.URL.Path, "/v1/database/creds/") {
			return nil
		}
		reads++
		if reads > 1 {
			close(asked)
			return harness.Answer(403, `{"errors":["permission denied"]}`) // so that the run goes on to its end
		}
		go func() { made <- s.readFor(e) }()
		return harness.Answer(504, "<html>gateway timeout", "Content-Type", "text/html")
	})
	r := newRun(t, at(p.Addr, s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"})), append(specs(1, role), "--", "true")...).start()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatalf("it has not asked again after %v; stderr:\n%s", patience, &r.stderr)
	}
	time.Sleep(200 * time.Millisecond)
	_ = r.cmd.Process.Kill()
	if code := r.wait(); code != 128+9 {
		t.Fatalf("it ended by itself, with %d; stderr:\n%s", code, &r.stderr)
	}
	select {
	case status := <-made:
		if status != "200 OK" {
			t.Errorf("Vault answered %s: nothing was made that could have been left", status)
		}
	case <-time.After(patience):
		t.Fatal("Vault did not answer")
	}
	r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
	s.noLoginIsLeft(t)
}

// readFor makes a request in the name of who made it, over a connection of its own, and returns Vault's status, or why there is none.
func (s *site) readFor(e *harness.Exchange) string {
	request, err := http.NewRequest(e.Request.Method, s.vault.Addr+e.Request.URL.RequestURI(), nil)
	if err != nil {
		return err.Error()
	}
	request.Header = e.Request.Header.Clone()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	answer.Body.Close()
	return answer.Status
}

// Kills around the request and its answer, which on a quiet machine takes some 10 ms.
func TestKilledAroundTheAnswerNothingIsLeft(t *testing.T) {
	t.Parallel()
	const kills = 30
	s := newSite(t, harness.VaultOnDisk())
	s.policies()
	env := s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"})
	var slowest time.Duration
	for range kills {
		role := s.role(createRole, "1h", "24h")
		r, after := s.killed(t, env, role, 1, 25*time.Millisecond)
		began := time.Now()
		r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
		if t.Failed() {
			t.Fatalf("killed %v after the request", after)
		}
		slowest = max(slowest, time.Since(began))
	}
	s.noLoginIsLeft(t)
	t.Logf("%d kills; the slowest clean-up took %v", kills, slowest.Round(time.Millisecond))
}
