//go:build !windows

// Package bench_test measures what a run costs beside the other ways to do the same: the whole process, from its start to its
// end, and how long the command waits. `make bench` prints the tables that README.md shows.
package bench_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// A world is a Vault before a PostgreSQL, a login for everybody, and a place with the programs.
type world struct {
	t        testing.TB
	vault    *harness.VaultServer
	postgres *harness.PostgresServer
	dir      string // home and working directory of what is measured; its bin is first on the PATH
	env      []string
	agent    string // the agent's configuration, but for the command and the address
}

// policy is the README's least one, with the path by which the vault command revokes.
const policy = `
path "database/creds/readonly" { capabilities = ["read"] }
path "sys/leases/revoke/database/creds/readonly/*" { capabilities = ["update"] }
`

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, vault: harness.Vault(t), postgres: harness.Postgres(t), dir: t.TempDir()}
	w.vault.EnablePostgres(w.postgres)
	w.vault.Policy("bench", policy+harness.RevokingPolicy("database/creds/readonly/"))
	roleID, secretID := w.vault.AppRole("bench", map[string]any{"token_policies": "bench", "token_ttl": "1h"})
	w.put("role-id", roleID)
	w.put("secret-id", secretID)
	w.build()
	w.env = []string{
		"PATH=" + w.path("bin") + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "LC_ALL=C",
		"PGHOST=" + w.postgres.Host, "PGPORT=" + strconv.Itoa(w.postgres.Port), "PGDATABASE=app",
		"ROLE_ID=" + roleID, "SECRET_ID=" + secretID,
	}
	w.agent = fmt.Sprintf(`
auto_auth {
  method "approle" {
    config = { role_id_file_path = %q, secret_id_file_path = %q, remove_secret_id_file_after_reading = false }
  }
}
env_template "PGUSER" {
  contents = "{{ with secret \"database/creds/readonly\" }}{{ .Data.username }}{{ end }}"
}
env_template "PGPASSWORD" {
  contents = "{{ with secret \"database/creds/readonly\" }}{{ .Data.password }}{{ end }}"
}
`, w.path("role-id"), w.path("secret-id"))
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) put(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// build makes with-creds as `make build` does and gives the server's program the name under which scripts know it.
func (w *world) build() {
	w.t.Helper()
	bin := w.path("bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		w.t.Fatal(err)
	}
	c := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/with-creds")
	c.Dir, c.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		w.t.Fatalf("building with-creds: %v\n%s", err, out)
	}
	vault, err := exec.Command("../servers/install", "--path", "vault").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.Symlink(strings.TrimSpace(string(vault)), filepath.Join(bin, "vault")); err != nil {
		w.t.Fatal(err)
	}
	for _, script := range []string{"by-vault-cli", "by-curl"} {
		path, err := filepath.Abs(script)
		if err == nil {
			err = os.Symlink(path, filepath.Join(bin, script))
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// A way is one way to run a command with a credential.
type way struct {
	name  string
	keeps bool // it cannot revoke
	trips int  // what it must take to the command's start, of round trips one after another; 0: whatever it takes
	// argv is the command line for a command, with Vault at that address, and env what else it needs.
	argv func(w *world, vault string, command ...string) (argv, env []string)
}

func (w way) within(trips int) way {
	w.trips = trips
	return w
}

// withCreds is with-creds, asked for that many credentials.
func withCreds(name string, credentials int, login func(w *world) []string) way {
	return way{name: name, argv: func(w *world, _ string, command ...string) (argv, env []string) {
		argv = []string{"with-creds", "--quiet", "-c", "vault:database/creds/readonly as=postgres"}
		for i := 1; i < credentials; i++ {
			argv = append(argv, "-c", fmt.Sprintf("vault:database/creds/readonly USER_%d=username PASSWORD_%d=password", i, i))
		}
		return append(append(argv, "--"), command...), login(w)
	}}
}

func byAppRole(w *world) []string {
	return []string{
		"WITH_CREDS_VAULT_AUTH=approle", "WITH_CREDS_VAULT_ROLE_ID_FILE=" + w.path("role-id"), "WITH_CREDS_VAULT_SECRET_ID_FILE=" + w.path("secret-id"),
	}
}

func byToken(w *world) []string { return []string{"VAULT_TOKEN=" + w.vault.Token("bench")} }

func byScript(name, script string) way {
	return way{name: name, argv: func(_ *world, _ string, command ...string) (argv, env []string) {
		return append([]string{script}, command...), nil
	}}
}

var byAgent = way{name: "Vault Agent exec", keeps: true, argv: func(w *world, vault string, command ...string) (argv, env []string) {
	quoted := make([]string, len(command))
	for i, word := range command {
		quoted[i] = strconv.Quote(word)
	}
	config := fmt.Sprintf("%s\nvault {\n  address = %q\n}\nexec {\n  command = [%s]\n  restart_on_secret_changes = \"never\"\n}\n",
		w.agent, vault, strings.Join(quoted, ", "))
	w.put("agent.hcl", config)
	return []string{"vault", "agent", "-config=" + w.path("agent.hcl"), "-log-level=error"}, nil
}}

// run runs a command one way and returns the last line on stdout (the agent has a few of its own before) and how long the whole took.
func (w *world) run(way way, vault string, command ...string) (last string, took time.Duration) {
	w.t.Helper()
	argv, env := way.argv(w, vault, command...)
	path := w.path("bin/" + argv[0])
	var out, err bytes.Buffer
	c := &exec.Cmd{
		Path: path, Args: argv, Dir: w.dir, Env: append(append(env, "VAULT_ADDR="+vault), w.env...), Stdout: &out, Stderr: &err,
		WaitDelay: time.Minute,
	}
	began := time.Now()
	failed := c.Run()
	took = time.Since(began)
	if failed != nil {
		w.t.Fatalf("%s: %v\n%s%s", way.name, failed, out.String(), err.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1], took
}

// clear ends what a way has left.
func (w *world) clear() {
	w.t.Helper()
	w.vault.Write("sys/leases/revoke-prefix/database/creds", map[string]any{"sync": true})
}
