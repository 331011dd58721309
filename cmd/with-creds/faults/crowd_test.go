//go:build linux

package faults

import (
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Two hundred runs at once on one machine do not disturb each other, though the database has fewer connections than that. (Not in parallel with the other tests: it is the one that
// takes the whole machine.)
func TestTwoHundredRunsAtOnceAllEndWellAndLeaveNothing(t *testing.T) {
	const runs = 200
	s := newSite(t)
	s.policies()
	role := s.role(createRole, "1h", "24h")
	s.pg.Exec("postgres", "create role crowd nologin")
	direct := map[string]string{
		"PGHOST": s.pg.Host, "PGPORT": strconv.Itoa(s.pg.Port), "PGUSER": s.pg.User, "PGPASSWORD": s.pg.Password, "PGDATABASE": "postgres", "PGSSLMODE": "disable",
	}
	login := s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"})
	kinds := []struct {
		env  map[string]string
		spec string
	}{{direct, "postgres:crowd"}, {login, "vault:database/creds/" + role}}

	all := make([]*run, runs)
	for i := range all {
		kind := kinds[i%len(kinds)]
		all[i] = newRun(t, kind.env, "--revoke-timeout=5m", "-c", kind.spec+" U0=username P0=password", "--", "sh", "-c", "echo $U0 >given; exit "+fmt.Sprint(i%100))
	}
	began := time.Now()
	for _, r := range all {
		r.start()
	}
	var took []time.Duration
	var largest int64
	users := map[string]bool{}
	for i, r := range all {
		if code := r.wait(); code != i%100 {
			t.Errorf("run %d: exit code %d, want %d; stderr:\n%s", i, code, i%100, &r.stderr)
			continue
		}
		account := r.receipt()
		for _, c := range account.Credentials {
			if c.Revocation == nil || c.Revocation.Proof != providers.Proven {
				t.Errorf("run %d: %+v", i, c.Revocation)
			}
		}
		users[r.read("given")] = true
		took = append(took, account.Ended.Sub(account.Started))
		largest = max(largest, r.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	if t.Failed() {
		return
	}
	slices.Sort(took)
	t.Logf("%d runs at once: %v together; a run took %v in the middle, %v at most; of memory %d MB at most (VmHWM)", runs,
		time.Since(began).Round(time.Millisecond), took[len(took)/2], took[len(took)-1], largest>>10)
	if len(users) != runs {
		t.Errorf("%d different users for %d runs", len(users), runs)
	}
	all[0].eventually("nothing is left", func() bool {
		return len(s.left(role)) == 0 && len(s.pg.Roles("wc_crowd_")) == 0 && len(s.vault.Leases("auth/approle/login")) == 0
	})
	for _, r := range all {
		r.eventually("no guard is left", func() bool { return len(r.journals()) == 0 })
	}
}
