//go:build linux

package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// python is the directory of an interpreter that has psycopg.
func python(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(harness.Cache(t), "psycopg", "bin")
	if _, err := os.Stat(filepath.Join(dir, "pip")); err != nil {
		harness.Missing(t, "psycopg in %s", dir)
	}
	return dir
}

func TestProgramWithoutVaultCodeOutlivesItsLogin(t *testing.T) {
	pg, vault := harness.Postgres(t), harness.Vault(t)
	vault.EnablePostgres(pg)
	vault.DatabaseRole("brief", "postgresql", `create role "{{name}}" login password '{{password}}' valid until '{{expiration}}'; grant select on all tables in schema public to "{{name}}"`, "3s", "6s")
	bin, home := build(t), t.TempDir()
	c := exec.Command(filepath.Join(bin, "with-creds"), "-c", "vault:database/creds/brief as=postgres-files", "--", filepath.Join(python(t), "python3"), "worker.py")
	c.Dir = "python"
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "VAULT_ADDR=" + vault.Addr, "VAULT_TOKEN=" + vault.RootToken, "PGHOST=" + pg.Host, "PGPORT=" + strconv.Itoa(pg.Port),
		"INTERVAL=0.1", "PYTHONDONTWRITEBYTECODE=1",
	}
	said := &harness.Transcript{}
	c.Stdout, c.Stderr, c.WaitDelay = said, said, time.Minute
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	users := func() map[string]bool {
		all := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^(v-\S+) sees 100 items$`).FindAllStringSubmatch(said.String(), -1) {
			all[m[1]] = true
		}
		return all
	}
	for deadline := time.Now().Add(2 * time.Minute); len(users()) < 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it has not read with another login:\n%s", said)
		}
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if left := fmt.Sprint(pg.Roles("v-"), vault.Leases("database/creds")); left != "[] []" {
		t.Errorf("left: %s\n%s", left, said)
	}
}
