//go:build linux

package engines

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// long is set to 1 by make rotation: two minutes with a role of three seconds, at most ten. Otherwise lives are several times as long, for a machine that is
// busy, and the run ends when the login has been replaced twice.
const long = "WITH_CREDS_TEST_LONG"

func TestAWorkerThatReconnectsFromItsFileOutlivesEveryLogin(t *testing.T) {
	w, pg := withPostgres(t)
	ttl, maximum, plan := "12s", "24s", workPlan{Users: 3, Patience: 2 * time.Second}
	if os.Getenv(long) == "1" {
		ttl, maximum, plan = "3s", "10s", workPlan{For: 2 * time.Minute, Users: 12, Patience: time.Second}
	}
	w.Vault.DatabaseRole("brief", "postgresql", `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT ON items TO "{{name}}";`, ttl, maximum)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	w.Flags = []string{"--on-rotate", "HUP", "--env-file", "auto"}
	w.Env = append(w.Env, "WORKER="+self, workVariable+"="+string(text))
	r := w.Run("vault:database/creds/brief as=postgres-files PGUSER=username PGPASSWORD=password", `exec "$WORKER"`).Succeeded(providers.Proven)
	var did workReport
	if err := json.Unmarshal([]byte(r.Stdout), &did); err != nil {
		t.Fatalf("%v in %s%s", err, r.Stdout, r.Stderr)
	}
	replaced := r.Receipt.Credentials[0].Replacements
	if did.HangUps == 0 || did.HangUps > replaced {
		t.Errorf("told %d times, of %d replacements", did.HangUps, replaced)
	}
	for name, f := range did.Files {
		t.Logf("%s: %d logins in %v by %d users, %d failed; the old ones were good for %v beside the new", name, f.Logins, f.Took.Round(time.Second), f.Users, len(f.Failed), f.Overlaps)
		if len(f.Failed) > 0 {
			t.Errorf("%s: %d of %d logins failed: %q", name, len(f.Failed), f.Logins, f.Failed)
		}
		if f.Users < plan.Users || replaced < f.Users-1 {
			t.Errorf("%s: %d users, and %d replacements in the receipt", name, f.Users, replaced)
		}
		// Each was good while the new one was there already, and had ended before the run did.
		if f.Ended < plan.Users-1 || slices.Contains(f.Overlaps, 0) {
			t.Errorf("%s: of %d old logins %d ended, and were good for %v beside the new", name, f.Users-1, f.Ended, f.Overlaps)
		}
	}
	if t.Failed() {
		t.Log(r.Stderr)
	}
	if left := pg.Roles("v-"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
