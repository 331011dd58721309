//go:build linux

package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// What the README has a person tell Vault is typed as it stands; but for the key of GitHub's, which has to be one that the test can sign with.
func TestVaultTrustsTheJobsOfOneRepositoryByWhatTheReadmeTellsIt(t *testing.T) {
	pg, vault := harness.Postgres(t), harness.Vault(t)
	vault.EnablePostgres(pg)
	github := harness.NewIssuer(t, "https://token.actions.githubusercontent.com")
	readme := blocks(read(t, "README.md"))

	home, bin := t.TempDir(), build(t)
	for name, text := range map[string]string{"policy.hcl": those(t, readme, "hcl", 1)[0], "github.pem": github.PublicKey} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program, err := exec.Command(filepath.Join(root, "testdata/servers/install"), "--path", "vault").Output()
	if err == nil {
		err = os.Symlink(strings.TrimSpace(string(program)), filepath.Join(bin, "vault"))
	}
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "VAULT_ADDR=" + vault.Addr}
	c := exec.Command("bash", "-euo", "pipefail", "-c", strings.Replace(those(t, readme, "shell", 1)[0], "oidc_discovery_url="+github.Name, "jwt_validation_pubkeys=@github.pem", 1))
	c.Dir, c.Env = home, slices.Concat(env, []string{"VAULT_TOKEN=" + vault.Client.Token()})
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	for repository, code := range map[string]int{"acme/app": 0, "acme/fork": 125} {
		c := exec.Command(filepath.Join(bin, "with-creds"), "-c", "vault:database/creds/readonly as=postgres", "--vault-auth", "jwt", "--vault-role", "ci", "--",
			"psql", "-h", pg.Host, "-d", "app", "-Atc", "select count(*) from items")
		c.Dir, c.Env = home, slices.Concat(env, []string{"PGPORT=" + strconv.Itoa(pg.Port), "WITH_CREDS_VAULT_JWT=" +
			github.Token(map[string]any{"sub": "repo:" + repository, "aud": "https://vault.example", "repository": repository})})
		out, _ := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != code || (code == 0) != strings.Contains(string(out), "1 proven") {
			t.Errorf("a job of %s: exit code %d, want %d\n%s", repository, got, code, out)
		}
	}
}
