//go:build !windows

package bench_test

import "testing"

// What is compared must do the same: otherwise the figures say nothing.
func TestEachWayGivesTheCommandALoginAndAllButOneRevokeIt(t *testing.T) {
	w := newWorld(t)
	for _, way := range append(contenders, byAgent) {
		t.Run(way.name, func(t *testing.T) {
			// The agent closes its command's stdin, and psql does not mind.
			out, _ := w.run(way, w.vault.Addr, "psql", "-XAtc", "select count(*) from items")
			if out != "100" {
				t.Errorf("the command read %q, want 100", out)
			}
			if left := w.vault.Leases("database/creds"); (len(left) > 0) != way.keeps {
				t.Errorf("leases left: %q", left)
			}
			if left := w.postgres.Roles("v-"); (len(left) > 0) != way.keeps {
				t.Errorf("roles left: %q", left)
			}
			w.clear()
		})
	}
}
