//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
)

// A command that lives longer than anything it is given does not notice. The lives here are ten times as long as they need to be on a quiet machine: a lease of twelve seconds is renewed
// with four to spare.
func TestACommandThatReadsItsFileOutlivesEveryCredentialWithoutAFailedLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	for name, c := range map[string]struct {
		env         map[string]string
		ttl, maxTTL string // of the role
		logins      int    // of with-creds' own there must have been, at least
	}{
		"the lease's maximum, own token":      {s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}), "12s", "24s", 1},
		"the lease's maximum, borrowed token": {s.token("default", "read"), "12s", "24s", 0},
		"the token's maximum":                 {s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "12s", "token_max_ttl": "24s"}), "1h", "24h", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := s.role(createRole, c.ttl, c.maxTTL)
			env := maps.Clone(c.env)
			env[workerVariable], env[databaseVariable] = "50s", fmt.Sprintf("%s:%d", s.pg.Host, s.pg.Port)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			r := newRun(t, env, "--leash=12s", "--on-rotate=HUP",
				"-c", "vault:database/creds/"+role+" LOGIN=@'{username} {password}' P=@password U=@username", "--", self).start()
			if code := r.wait(); code != 0 {
				t.Errorf("exit code %d; stderr:\n%s", code, &r.stderr)
			}
			var report workReport
			if err := json.Unmarshal([]byte(r.read("report.json")), &report); err != nil {
				t.Fatalf("%v; stderr:\n%s", err, &r.stderr)
			}
			if len(report.Failed) > 0 {
				t.Errorf("%d of %d logins failed: %q; stderr:\n%s", len(report.Failed), report.Logins, report.Failed, &r.stderr)
			}
			account := r.receipt()
			if n := account.Credentials[0].Replacements; n == 0 || len(report.Users) < 2 || report.HangUps == 0 {
				t.Errorf("%d replacements, %d users, told %d times: the command has not outlived its credential", n, len(report.Users), report.HangUps)
			}
			if len(account.Sessions) < c.logins {
				t.Errorf("%d logins, want at least %d", len(account.Sessions), c.logins)
			}
			for _, session := range account.Sessions {
				if s.tokenLives(session.Lease) {
					t.Errorf("the login %s lives", session.Lease)
				}
			}
			t.Logf("%d logins by %d users, %d replacements, %d renewals since the last, %d logins of the run's own",
				report.Logins, len(report.Users), account.Credentials[0].Replacements, account.Credentials[0].Renewals, len(account.Sessions))
			r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() && len(r.privateFiles()) == 0 })
		})
	}
}

// What is in a variable cannot follow: it is told as soon as it is known, and when it ends.
func TestAVariableThatCannotBeExtendedIsToldWithItsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	for name, env := range map[string]map[string]string{
		"own token": s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}), "borrowed token": s.token("default", "read"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := s.role(createRole, "3s", "10s")
			r := newRun(t, env, append(specs(1, role), "--", "sh", "-c", untilFinish)...).start()
			r.running()
			r.eventually("it is told", func() bool { return strings.Contains(r.stderr.String(), "cannot be extended") })
			r.says("what U0, P0 hold ends at ")
			r.eventually("it has ended", func() bool { return len(s.left(role)) == 0 })
			if code := r.finish(7); code != 7 {
				t.Errorf("exit code %d, want the command's own; stderr:\n%s", code, &r.stderr)
			}
			if v := r.revocation(r.receipt(), role); v.Proof != providers.Proven {
				t.Errorf("%+v", v)
			}
		})
	}
}

// With --on-expiry=kill the command does not go on with a credential that has ended.
func TestOnExpiryKillEndsTheCommandWithItsCredential(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	for name, c := range map[string]struct {
		env         map[string]string
		ttl, maxTTL string
	}{
		"the lease's end": {s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}), "3s", "10s"},
		"the token's end": {s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "3s", "token_max_ttl": "8s"}), "1h", "24h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := s.role(createRole, c.ttl, c.maxTTL)
			r := newRun(t, c.env, append(specs(1, role), "--on-expiry=kill", "--grace=1s", "--", "sh", "-c", untilFinish)...).start()
			r.running()
			if code := r.wait(); code != 143 {
				t.Errorf("exit code %d, want 143; stderr:\n%s", code, &r.stderr)
			}
			r.says("ending the command", "--on-expiry=kill")
			r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
		})
	}
}

// Somebody ends the run's login, as an operator in an incident, or a Vault that has lost it. The run logs in again, has what is in files replaced, and sees with the new login that
// what hung on the old one is gone: for that the default policy is enough.
func TestALoginThatSomebodyHasEndedIsReplacedAndWhatHungOnItSeenGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	role := s.role(createRole, "1h", "24h")
	env := s.appRole(map[string]any{"token_policies": "read", "token_ttl": "1h"})
	r := newRun(t, env, "--leash=6s", "-c", "vault:database/creds/"+role+" U0=@username P0=@password", "--", "sh", "-c", untilFinish).start()
	r.running()
	if err := s.vault.Client.Sys().RevokePrefix("auth/approle/login"); err != nil {
		t.Fatal(err)
	}
	r.eventually("the credential is replaced", func() bool { return strings.Contains(r.stderr.String(), "replaced vault:") })
	if code := r.finish(0); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, &r.stderr)
	}
	account := r.receipt()
	if c := account.Credentials[0]; len(c.Replaced) != 1 || c.Replaced[0].Revocation == nil || c.Replaced[0].Revocation.Proof != providers.Proven ||
		c.Revocation == nil || c.Revocation.Proof != providers.Proven {
		t.Errorf("%+v", c)
	}
	if len(account.Sessions) != 2 {
		t.Errorf("%+v", account.Sessions)
	}
	r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
}
