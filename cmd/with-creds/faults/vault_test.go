//go:build linux

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A Vault that goes and comes back while the command runs is no failure, if it is there at the end or soon after.
func TestAVaultThatComesBackIsNoFailure(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end func(*harness.VaultServer) }{
		"restarted": {(*harness.VaultServer).Stop, (*harness.VaultServer).Start},
		"sealed":    {(*harness.VaultServer).Seal, (*harness.VaultServer).Unseal},
		"frozen":    {(*harness.VaultServer).Pause, (*harness.VaultServer).Continue},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, harness.VaultOnDisk())
			s.policies()
			var runs []*run
			var roles []string
			for _, env := range []map[string]string{
				s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}), s.token("default", "read"),
			} {
				role := s.role(createRole, "1h", "24h")
				roles = append(roles, role)
				args := append(specs(2, role), "--revoke-timeout=2m", "--", "sh", "-c", untilFinish)
				runs = append(runs, newRun(t, env, args...).start())
			}
			for _, r := range runs {
				r.running()
			}
			outage.begin(s.vault)
			for i, r := range runs {
				r.tell(i * 7)
			}
			r := runs[0]
			r.eventually("it waits", func() bool { return strings.Contains(r.stderr.String(), "still revoking") })
			outage.end(s.vault)
			for i, r := range runs {
				if code := r.wait(); code != i*7 {
					t.Errorf("exit code %d, want %d; stderr:\n%s", code, i*7, &r.stderr)
				}
				for _, c := range r.receipt().Credentials {
					if c.Revocation == nil || c.Revocation.Proof != providers.Proven {
						t.Errorf("the receipt says %+v", c.Revocation)
					}
				}
				r.eventually("nothing is left", func() bool { return len(s.left(roles[i])) == 0 && !r.guarded() })
			}
		})
	}
}

// One that does not come back in time is told, and the guard goes on.
func TestAVaultThatIsAwayForLongIsToldAndTheGuardGoesOn(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end func(*harness.VaultServer) }{
		"stopped": {(*harness.VaultServer).Stop, (*harness.VaultServer).Start},
		"sealed":  {(*harness.VaultServer).Seal, (*harness.VaultServer).Unseal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, harness.VaultOnDisk())
			s.policies()
			role := s.role(createRole, "1h", "24h")
			env := s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"})
			r := newRun(t, env, append(specs(2, role), "--revoke-timeout=1s", "--", "sh", "-c", untilFinish)...).start()
			r.running()
			outage.begin(s.vault)
			if code := r.finish(0); code != 125 {
				t.Errorf("exit code %d, want 125; stderr:\n%s", code, &r.stderr)
			}
			r.says("is not proven to be revoked (failed)", "the guard goes on trying")
			account := r.receipt()
			for _, c := range account.Credentials {
				if c.Revocation == nil || c.Revocation.Proof != providers.Failed || c.Revocation.Error == "" {
					t.Errorf("the receipt says %+v", c.Revocation)
				}
			}
			if !r.guarded() {
				t.Error("there is no journal: a power cut now would leave nothing for sweep")
			}
			outage.end(s.vault)
			back := time.Now()
			r.eventually("the guard has ended it", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
			if s.tokenLives(account.Sessions[0].Lease) {
				t.Error("the run's token lives")
			}
			t.Logf("all is gone %v after Vault came back", time.Since(back).Round(time.Millisecond))
		})
	}
}

// A Vault that is sealed, or not there, when the run begins is waited for as long as its client would, and then the command is not started.
func TestAVaultThatIsNotThereIsToldAndTheCommandIsNotStarted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	role := s.role(createRole, "1h", "24h")
	env := s.token("default", "read")
	s.vault.Seal()
	env["VAULT_MAX_RETRIES"] = "1"
	r := newRun(t, env, append(specs(1, role), "--", "sh", "-c", untilFinish)...).start()
	if code := r.wait(); code != 125 || r.started() {
		t.Errorf("exit code %d, the command was started: %v", code, r.started())
	}
	r.says("sealed")
	s.vault.Unseal()
	r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
}
