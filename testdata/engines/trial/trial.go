//go:build linux

package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// product is the binary under test, built once.
var product string

// Main builds with-creds, runs a package's tests, and returns the exit code.
func Main(m *testing.M) int {
	code, err := withProduct(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func withProduct(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "with-creds-bin-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	product = filepath.Join(dir, "with-creds")
	build := exec.Command("go", "build", "-o", product, "./cmd/with-creds")
	build.Dir = root()
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building with-creds: %w\n%s", err, out)
	}
	return run(), nil
}

// root is that of with-creds' own module, whoever's tests these are.
func root() string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "..", "..", "..")
}

// A World is a Vault, and a token with the least policy that a pipeline's job would have.
type World struct {
	T     *testing.T
	Vault *harness.VaultServer
	Env   []string // more for the command
	Flags []string // more for with-creds
}

// New starts a Vault for a test, which runs beside others.
func New(t *testing.T, opts ...harness.VaultOption) *World {
	t.Helper()
	t.Parallel()
	return &World{T: t, Vault: harness.Vault(t, opts...)}
}

// In is the same world for a part of its test.
func (w *World) In(t *testing.T) *World {
	part := *w
	part.T, part.Env = t, slices.Clone(w.Env)
	return &part
}

// Mount mounts an engine at its own name and waits until it answers: some begin with an upgrade of their storage.
func (w *World) Mount(engine string) {
	w.T.Helper()
	w.Vault.Mount(engine, engine)
}

// token may ask for what the path issues, and revoke leases of its kind.
func (w *World) token(path string) string {
	w.T.Helper()
	name := strings.ReplaceAll(path, "/", "-")
	w.Vault.Policy(name, fmt.Sprintf("path %q { capabilities = [\"read\", \"update\"] }\n", path)+harness.RevokingPolicy(path+"/")+
		fmt.Sprintf("\npath %q { capabilities = [\"update\"] }\n", strings.SplitN(path, "/", 2)[0]+"/revoke"))
	return w.Vault.Token(name)
}

// A Run is what came of one.
type Run struct {
	T              *testing.T
	Code           int
	Stdout, Stderr string
	Receipt        receipt.Receipt
}

// A Going run has begun.
type Going struct {
	t              *testing.T
	c              *exec.Cmd
	dir            string // where it runs
	stdout, stderr bytes.Buffer
}

// Start begins `with-creds -c SPEC -- sh -euc SCRIPT`.
func (w *World) Start(spec, script string) *Going {
	w.T.Helper()
	return w.begin(spec, product, slices.Concat(w.Flags, []string{"-c", spec, "--", "sh", "-euc", script})...)
}

// Example runs a program of examples/, from the root of the repository, by the line that its head names:
//
//	with-creds -c 'SPEC' -- examples/…
//
// args are put behind it, for what is the test's own.
func (w *World) Example(name string, args ...string) Run {
	w.T.Helper()
	text, err := os.ReadFile(filepath.Join(root(), "examples", name))
	if err != nil {
		w.T.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^#? +(with-creds -c '([^']+)' -- .*examples/` + regexp.QuoteMeta(name) + `)(?: .*)?$`).FindStringSubmatch(string(text))
	if line == nil {
		w.T.Fatalf("the head of %s does not say how it is run", name)
	}
	return w.begin(line[2], "sh", append([]string{"-euc", "cd " + root() + " && " + line[1] + ` "$@"`, "sh"}, args...)...).End()
}

// Shell begins a script that runs with-creds itself, with a token for what a spec asks; under is put before the shell.
func (w *World) Shell(spec, script string, under ...string) *Going {
	w.T.Helper()
	all := slices.Concat(under, []string{"sh", "-euc", script})
	return w.begin(spec, all[0], all[1:]...)
}

// begin runs a program with a token for what a spec asks.
func (w *World) begin(spec, program string, args ...string) *Going {
	w.T.Helper()
	g := &Going{t: w.T, dir: w.T.TempDir()}
	path, _, _ := strings.Cut(strings.TrimPrefix(strings.Fields(spec)[0], "vault:"), "?")
	g.c = exec.Command(program, args...)
	g.c.Dir = g.dir
	g.c.Env = append([]string{
		"PATH=" + filepath.Dir(product) + ":" + os.Getenv("PATH") + ":/usr/sbin", "HOME=" + g.dir, "XDG_RUNTIME_DIR=" + shortDir(w.T), "LC_ALL=C.UTF-8",
		"VAULT_ADDR=" + w.Vault.Addr, "VAULT_TOKEN=" + w.token(path), "WITH_CREDS_RECEIPT=" + filepath.Join(g.dir, "receipt.json"),
	}, w.Env...)
	g.c.Stdout, g.c.Stderr = &g.stdout, &g.stderr
	if err := g.c.Start(); err != nil {
		w.T.Fatal(err)
	}
	return g
}

// End waits for it.
func (g *Going) End() Run {
	g.t.Helper()
	_ = g.c.Wait() // the code is in ProcessState
	r := Run{T: g.t, Code: g.c.ProcessState.ExitCode(), Stdout: g.stdout.String(), Stderr: g.stderr.String()}
	text, err := os.ReadFile(filepath.Join(g.dir, "receipt.json"))
	if err == nil {
		err = json.Unmarshal(text, &r.Receipt)
	}
	if err != nil {
		g.t.Fatalf("no receipt: %v; exit code %d\n%s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Killed waits for the end of one whose with-creds was killed: its guard removes the journal last.
func (g *Going) Killed() {
	g.t.Helper()
	if err := g.c.Wait(); g.c.ProcessState.ExitCode() >= 0 {
		g.t.Errorf("it was not killed: %v\n%s", err, g.stderr.String())
	}
	Eventually(g.t, "the guard is done", func() bool {
		journals, _ := filepath.Glob(filepath.Join(g.dir, ".local/state/with-creds/journal/*"))
		return len(journals) == 0
	})
}

// shortDir is a private directory in RAM with a short path, for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "wc-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("private files are left: %v", left)
		}
		os.RemoveAll(dir)
	})
	return dir
}

// Run is Start and its end.
func (w *World) Run(spec, script string) Run {
	w.T.Helper()
	return w.Start(spec, script).End()
}

// Succeeded wants exit code 0 and this proof of the one credential's revocation; "" for one where there is nothing to revoke.
func (r Run) Succeeded(proof providers.Proof) Run {
	r.T.Helper()
	if r.Code != 0 {
		r.T.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if len(r.Receipt.Credentials) != 1 {
		r.T.Fatalf("%d credentials in the receipt", len(r.Receipt.Credentials))
	}
	got := providers.Proof("")
	if revocation := r.Receipt.Credentials[0].Revocation; revocation != nil {
		got = revocation.Proof
	}
	if got != proof {
		r.T.Errorf("revocation is %q in the receipt, want %q\n%s", got, proof, r.Stderr)
	}
	return r
}

// Says wants lines in what the command printed.
func (r Run) Says(lines ...string) Run {
	r.T.Helper()
	printed := strings.Split(r.Stdout, "\n")
	for _, line := range lines {
		if !slices.ContainsFunc(printed, func(p string) bool { return strings.TrimSpace(p) == line }) {
			r.T.Errorf("the command did not print %q:\n%s%s", line, r.Stdout, r.Stderr)
		}
	}
	return r
}

// Hides wants that a secret is nowhere in the output.
func (r Run) Hides(secrets ...string) Run {
	r.T.Helper()
	for _, s := range secrets {
		if s == "" || strings.Contains(r.Stdout+r.Stderr, s) {
			r.T.Errorf("a secret is in the output, or was never known")
		}
	}
	return r
}

// Lasts wants the receipt to say of the one credential that it ends by itself, about this long after it was issued: a minute is left to slow machines.
func (r Run) Lasts(about time.Duration) Run {
	r.T.Helper()
	c := r.Receipt.Credentials[0]
	if c.Revocation == nil || c.Revocation.Proof != providers.Expires {
		r.T.Fatalf("the receipt names no end: %+v", c.Revocation)
	}
	if life := c.Revocation.At.Sub(c.Issued); (life - about).Abs() > time.Minute {
		r.T.Errorf("the receipt says that it ends %v after it was issued, want %v", life, about)
	}
	return r
}

// Has ends the test where a client is not installed.
func Has(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		harness.Missing(t, "%s (Debian: apt-get install %s)", program, debianPackage)
	}
}

// Eventually waits up to a minute.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}
