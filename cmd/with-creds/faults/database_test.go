//go:build linux

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A database that accepts connections and never answers must not hold up the others: Vault holds a lease's lock for minutes over it, and the
// token's revocation hangs behind.
func TestADatabaseThatNeverAnswersHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	for name, env := range map[string]map[string]string{
		"own token":      s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}),
		"borrowed token": s.token("default", "read", "revoke"),
		"default policy": s.token("default", "read"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := harness.NewSilent(t, s.pg.Host, s.pg.Port)
			healthy := s.role(createRole, "1h", "24h")
			hung := s.roleAt(silent)
			r := newRun(t, env, "--revoke-timeout=3s", "-c", "vault:database/creds/"+healthy+" U0=username P0=password",
				"-c", "vault:database/creds/"+hung+" U1=username P1=password", "--", "sh", "-c", untilFinish).start()
			r.running()
			silent.Silence()
			began := time.Now()
			r.tell(0)
			r.eventually("the healthy database's credential is gone", func() bool { return len(s.left(healthy)) == 0 })
			gone := time.Since(began)
			code := r.wait()
			ended := time.Since(began)
			if code != 125 {
				t.Errorf("exit code %d, want 125; stderr:\n%s", code, &r.stderr)
			}
			account := r.receipt()
			if v := r.revocation(account, healthy); v.Proof != providers.Proven || v.Error != "" {
				t.Errorf("the healthy one is %+v", v)
			}
			if v := r.revocation(account, hung); v.Proof != providers.Accepted && v.Proof != providers.Failed || v.Error == "" {
				t.Errorf("the hung one is %+v", v)
			}
			if len(s.left(hung)) == 0 {
				t.Error("the hung one is gone, so this test shows nothing")
			}
			// The timeout, and three attempts of five seconds for the attempt under way, handing over and closing.
			t.Logf("the healthy one was gone after %v, the run ended after %v of at most 18 s", gone.Round(time.Millisecond), ended.Round(time.Millisecond))
			if ended > patience {
				t.Errorf("the run took %v to end", ended)
			}
			silent.Speak()
			r.eventually("the other is gone too, and the guard", func() bool { return len(s.left(hung)) == 0 && !r.guarded() })
		})
	}
}

// roleAt is a role of the same database, reached through something silent.
func (s *site) roleAt(silent *harness.Silent) string {
	s.t.Helper()
	name := s.role(createRole, "1h", "24h")
	through := *s.pg
	through.Host, through.Port = silent.Host, silent.Port
	s.vault.DatabaseConnection(name, &through)
	s.vault.DatabaseRole(name, name, createRole, "1h", "24h")
	return name
}

// revocation is what the receipt says of a role's credential.
func (r *run) revocation(account receipt.Receipt, role string) receipt.Revocation {
	r.t.Helper()
	for _, c := range account.Credentials {
		if strings.HasSuffix(c.Source, "/"+role) && c.Revocation != nil {
			return *c.Revocation
		}
	}
	r.t.Errorf("the receipt says nothing of the revocation of %s: %+v", role, account)
	return receipt.Revocation{}
}

// A database that is stopped when the command ends is told, and what it was to drop is dropped when it is back: by Vault's own queue, or the guard.
func TestADatabaseThatIsStoppedIsToldAndSeenToWhenItIsBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	var runs []*run
	var roles []string
	for _, env := range []map[string]string{
		s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}),
		s.token("default", "read", "revoke"),
		s.token("default", "read"),
	} {
		role := s.role(createRole, "1h", "24h")
		roles = append(roles, role)
		args := append(specs(2, role), "--revoke-timeout=2s", "--", "sh", "-c", untilFinish)
		runs = append(runs, newRun(t, env, args...).start())
	}
	for _, r := range runs {
		r.running()
	}
	s.pg.Stop()
	for _, r := range runs {
		r.tell(0)
	}
	for _, r := range runs {
		if code := r.wait(); code != 125 {
			t.Errorf("exit code %d, want 125; stderr:\n%s", code, &r.stderr)
		}
		for _, c := range r.receipt().Credentials {
			if c.Revocation == nil || c.Revocation.Proof == providers.Proven || c.Revocation.Error == "" {
				t.Errorf("the receipt says %+v with the database stopped", c.Revocation)
			}
		}
		r.says("is not proven to be revoked")
	}
	s.pg.Start()
	back := time.Now()
	for i, r := range runs {
		r.eventually("all is gone", func() bool { return len(s.left(roles[i])) == 0 })
		t.Logf("all of run %d is gone %v after the database came back", i, time.Since(back).Round(time.Millisecond))
	}
	for i, r := range runs {
		r.eventually("the guard has ended", func() bool { return !r.guarded() })
		t.Logf("the guard of run %d has ended %v after the database came back", i, time.Since(back).Round(time.Millisecond))
	}
}

// A database that was away while the command ran and is back when it ends is no failure.
func TestADatabaseThatWasAwayWhileTheCommandRanIsNoFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	// Renewed every few seconds: the database is asked to move VALID UNTIL.
	role := s.role(createRole, "20s", "24h")
	r := newRun(t, s.token("default", "read", "revoke"), append(specs(1, role), "--", "sh", "-c", untilFinish)...).start()
	r.running()
	s.pg.Stop()
	r.eventually("a renewal has failed and is told", func() bool { return strings.Contains(r.stderr.String(), "trying again") })
	s.pg.Start()
	if code := r.finish(7); code != 7 {
		t.Errorf("exit code %d, want the command's own; stderr:\n%s", code, &r.stderr)
	}
	if v := r.revocation(r.receipt(), role); v.Proof != providers.Proven {
		t.Errorf("%+v", v)
	}
	r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 && !r.guarded() })
}
