//go:build linux

package engines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// product is the binary under test, built once.
var product string

func TestMain(m *testing.M) {
	code, err := withProduct(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withProduct(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "with-creds-bin-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	product = filepath.Join(dir, "with-creds")
	if out, err := exec.Command("go", "build", "-o", product, "github.com/with-creds/with-creds/cmd/with-creds").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building with-creds: %w\n%s", err, out)
	}
	return run(), nil
}

// A world is a Vault, and a token with the least policy that a pipeline's job would have.
type world struct {
	t     *testing.T
	vault *harness.VaultServer
	env   []string // more for the command
	flags []string // more for with-creds
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return &world{t: t, vault: harness.Vault(t)}
}

// mount mounts an engine at its own name and waits until it answers: some begin with an upgrade of their storage.
func (w *world) mount(engine string) {
	w.t.Helper()
	w.vault.Mount(engine, engine)
}

// token may ask for what the path issues, and revoke leases of its kind.
func (w *world) token(path string) string {
	w.t.Helper()
	name := strings.ReplaceAll(path, "/", "-")
	w.vault.Policy(name, fmt.Sprintf("path %q { capabilities = [\"read\", \"update\"] }\n", path)+harness.RevokingPolicy(path+"/")+
		fmt.Sprintf("\npath %q { capabilities = [\"update\"] }\n", strings.SplitN(path, "/", 2)[0]+"/revoke"))
	return w.vault.Token(name)
}

// A run is what came of one.
type run struct {
	t              *testing.T
	code           int
	stdout, stderr string
	receipt        receipt.Receipt
}

// start begins `with-creds -c SPEC -- sh -euc SCRIPT`; the result waits for its end.
func (w *world) start(spec, script string) (wait func() run) {
	w.t.Helper()
	dir := w.t.TempDir()
	path, _, _ := strings.Cut(strings.TrimPrefix(strings.Fields(spec)[0], "vault:"), "?")
	args := append([]string{"--receipt", filepath.Join(dir, "receipt.json")}, w.flags...)
	c := exec.Command(product, append(args, "-c", spec, "--", "sh", "-euc", script)...)
	c.Dir = dir
	c.Env = append([]string{
		"PATH=" + os.Getenv("PATH") + ":/usr/sbin", "HOME=" + dir, "XDG_RUNTIME_DIR=" + shortDir(w.t), "LC_ALL=C.UTF-8",
		"VAULT_ADDR=" + w.vault.Addr, "VAULT_TOKEN=" + w.token(path),
	}, w.env...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	return func() run {
		w.t.Helper()
		_ = c.Wait() // the code is in ProcessState
		r := run{t: w.t, code: c.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
		text, err := os.ReadFile(filepath.Join(dir, "receipt.json"))
		if err == nil {
			err = json.Unmarshal(text, &r.receipt)
		}
		if err != nil {
			w.t.Fatalf("no receipt: %v; exit code %d\n%s%s", err, r.code, r.stdout, r.stderr)
		}
		return r
	}
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

// run is start and its end.
func (w *world) run(spec, script string) run {
	w.t.Helper()
	return w.start(spec, script)()
}

// succeeded wants exit code 0 and this proof of the one credential's revocation; "" for one where there is nothing to revoke.
func (r run) succeeded(proof providers.Proof) run {
	r.t.Helper()
	if r.code != 0 {
		r.t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if len(r.receipt.Credentials) != 1 {
		r.t.Fatalf("%d credentials in the receipt", len(r.receipt.Credentials))
	}
	got := providers.Proof("")
	if revocation := r.receipt.Credentials[0].Revocation; revocation != nil {
		got = revocation.Proof
	}
	if got != proof {
		r.t.Errorf("revocation is %q in the receipt, want %q\n%s", got, proof, r.stderr)
	}
	return r
}

// says wants lines in what the command printed.
func (r run) says(lines ...string) run {
	r.t.Helper()
	printed := strings.Split(r.stdout, "\n")
	for _, line := range lines {
		if !slices.ContainsFunc(printed, func(p string) bool { return strings.TrimSpace(p) == line }) {
			r.t.Errorf("the command did not print %q:\n%s%s", line, r.stdout, r.stderr)
		}
	}
	return r
}

// hides wants that a secret is nowhere in the output.
func (r run) hides(secrets ...string) run {
	r.t.Helper()
	for _, s := range secrets {
		if s == "" || strings.Contains(r.stdout+r.stderr, s) {
			r.t.Errorf("a secret is in the output, or was never known")
		}
	}
	return r
}

// has ends the test where a client is not installed.
func has(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		harness.Missing(t, "%s (Debian: apt-get install %s)", program, debianPackage)
	}
}

// eventually waits up to a minute.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}
