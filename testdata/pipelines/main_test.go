// Package pipelines_test runs what pipelines/ gives to each CI, in that CI's own runner or the nearest thing to it, with the real with-creds, Vault and
// PostgreSQL. It is apart from the rest because of what it needs: Node.js, Groovy, and act, which is built once.
package pipelines_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

func TestMain(m *testing.M) {
	harness.HearSignals()
	os.Exit(withProductOnPath(m.Run))
}

func withProductOnPath(run func() int) int {
	dir, err := os.MkdirTemp("", "with-creds-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "./cmd/with-creds")
	build.Dir, build.Stderr = root(), os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are, so that it runs in an image that holds nothing else
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building with-creds:", err)
		return 1
	}
	os.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return run()
}

// root is the repository's.
func root() string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "..", "..")
}

// need skips, or in a full run fails, where a program is missing.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			harness.Missing(t, "%s", p)
		}
	}
}

const audience = "https://vault.example"

// A world is what a company has: a database, and a Vault in front of it that trusts the CI's identities.
type world struct {
	t      testing.TB
	pg     *harness.PostgresServer
	vault  *harness.VaultServer
	issuer *harness.Issuer
}

// newWorld has the roles readonly and readwrite of the database, and a role ci for jobs of acme/app.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, pg: harness.Postgres(t), vault: harness.Vault(t), issuer: harness.NewIssuer(t, "https://ci.example")}
	w.vault.EnablePostgres(w.pg)
	w.vault.Mount("kv", "kv-v2")
	w.vault.Policy("ci", `path "database/creds/*" { capabilities = ["read"] }
path "kv/data/*" { capabilities = ["read"] }
`+harness.RevokingPolicy("database/creds/"))
	w.vault.EnableJWT(w.issuer)
	w.vault.JWTRole("ci", map[string]any{
		"bound_audiences": []string{audience}, "bound_claims": map[string]any{"repository": "acme/app"}, "token_policies": "ci", "token_ttl": "1h",
	})
	return w
}

func jobClaims() map[string]any {
	return map[string]any{"sub": "repo:acme/app", "aud": audience, "repository": "acme/app"}
}

// place are the variables that say where the database is.
func (w *world) place() map[string]string {
	return map[string]string{"PGHOST": w.pg.Host, "PGPORT": strconv.Itoa(w.pg.Port), "PGDATABASE": "app", "PGSSLMODE": "disable"}
}

// live lists what is issued at this moment.
func (w *world) live() []string {
	w.t.Helper()
	return append(w.pg.Roles("v-"), w.vault.Leases("database/creds")...)
}

// nothingLeft waits until nothing is.
func (w *world) nothingLeft() {
	w.t.Helper()
	eventually(w.t, "nothing is left in Vault and the database", func() error {
		if live := w.live(); len(live) > 0 {
			return fmt.Errorf("%q", live)
		}
		return nil
	})
}

// eventually waits up to a minute.
func eventually(t testing.TB, what string, look func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s: %v", what, err)
		}
	}
}

// there is an error while a file is not there.
func there(path string) error {
	_, err := os.Stat(path)
	return err
}

// environ is a list of variables for a process: the machine's PATH, a home of its own, and these.
func environ(t testing.TB, more ...map[string]string) []string {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "TMPDIR=" + t.TempDir()}
	for _, m := range more {
		for name, value := range m {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// git makes a repository of a directory, for what reads one.
func git(t testing.TB, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "x"}} {
		c := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withoutSecrets wants none of these in what a CI shows.
func withoutSecrets(t testing.TB, shown string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if s != "" && strings.Contains(shown, s) {
			t.Errorf("%q is shown in\n%s", s, shown)
		}
	}
}

// run runs a program to its end and returns what it said on both streams, and its exit code.
func run(t testing.TB, c *exec.Cmd) (string, int) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = time.Minute
	if err := c.Run(); c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), c.ProcessState.ExitCode()
}
