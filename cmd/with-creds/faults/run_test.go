//go:build linux

package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// patience is how long a test waits for what must come. What it waits for comes at once on a quiet machine.
const patience = 90 * time.Second

// A run is one run of the binary in a place of its own.
type run struct {
	t      testing.TB
	dir    string // holds home, run and tmp, the receipt, and what the command writes (it is its working directory)
	cmd    *exec.Cmd
	stdout harness.Transcript
	stderr harness.Transcript
	ended  chan struct{}
}

// newRun makes a run of `with-creds ARGS…`, which names flags, specs, -- and the command, with that environment besides what every program has. It is not
// started yet.
func newRun(t testing.TB, env map[string]string, args ...string) *run {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return newRunIn(t, dir, env, args...)
}

// newRunIn is newRun in an empty directory.
func newRunIn(t testing.TB, dir string, env map[string]string, args ...string) *run {
	t.Helper()
	r := &run{t: t, dir: dir, ended: make(chan struct{})}
	for _, name := range []string{"home", "run", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.cmd = exec.Command(binary, append([]string{"--receipt", r.path("receipt.json")}, args...)...)
	r.cmd.Dir = dir
	r.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.path("home"), "XDG_RUNTIME_DIR=" + r.path("run"), "TMPDIR=" + r.path("tmp"),
	}
	for name, value := range env {
		r.cmd.Env = append(r.cmd.Env, name+"="+value)
	}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	r.cmd.WaitDelay = 10 * time.Second
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return r
}

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

// start starts it; wait must follow.
func (r *run) start() *run {
	r.t.Helper()
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // the code is in ProcessState
		close(r.ended)
	}()
	r.t.Cleanup(func() { _ = r.cmd.Process.Kill() }) // of one that a failed test did not wait for
	return r
}

// wait waits for its end and returns the exit code as a shell would tell it.
func (r *run) wait() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		_ = r.cmd.Process.Signal(syscall.SIGQUIT)
		r.t.Errorf("it has not ended after %v; stderr:\n%s", patience, &r.stderr)
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
	status := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// started reports whether the command was started.
func (r *run) started() bool {
	_, err := os.Stat(r.path("given"))
	return err == nil
}

// read is the content of a file of the run's; "" when there is none.
func (r *run) read(name string) string {
	text, err := os.ReadFile(r.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Error(err)
	}
	return strings.TrimSpace(string(text))
}

// untilFinish is a command that says that it runs and what it was given, runs until there is a file "finish", and exits with what that holds.
const untilFinish = `printf '%s\n' "$U0" "$P0" "$U1" "$P1" >given.tmp; mv given.tmp given
while ! test -s finish; do sleep 0.05; done; exit $(cat finish)`

// running waits until the command runs.
func (r *run) running() {
	r.t.Helper()
	r.eventually("the command runs", r.started)
}

// tell tells untilFinish to end with that code.
func (r *run) tell(code int) {
	r.t.Helper()
	tmp := r.path("finish.tmp")
	if err := os.WriteFile(tmp, fmt.Append(nil, code), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, r.path("finish")); err != nil {
		r.t.Fatal(err)
	}
}

// finish tells it, and waits for the run's end.
func (r *run) finish(code int) int {
	r.t.Helper()
	r.tell(code)
	return r.wait()
}

// eventually waits until something holds, with patience.
func (r *run) eventually(what string, holds func() bool) {
	r.t.Helper()
	if !within(patience, holds) {
		r.t.Fatalf("after %v still not: %s; stderr:\n%s", patience, what, &r.stderr)
	}
}

func within(limit time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// receipt reads the receipt, strictly.
func (r *run) receipt() receipt.Receipt {
	r.t.Helper()
	var account receipt.Receipt
	text, err := os.ReadFile(r.path("receipt.json"))
	if err != nil {
		r.t.Errorf("%v; stderr:\n%s", err, &r.stderr)
		return account
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&account); err != nil {
		r.t.Errorf("%v in\n%s", err, text)
	}
	return account
}

// journals are those that the run's guard has left or still keeps. It removes them when all is known to be gone.
func (r *run) journals() []string {
	left, _ := filepath.Glob(r.path("home/.local/state/with-creds/journal/*"))
	return left
}

// guarded reports whether the run's guard is still at work: it holds a lock on its journal.
func (r *run) guarded() bool {
	for _, path := range r.journals() {
		f, err := os.Open(path)
		if err != nil {
			continue // it has just been removed
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		f.Close()
		if err != nil {
			return true
		}
	}
	return false
}

// privateFiles are those that are left.
func (r *run) privateFiles() []string {
	left, _ := filepath.Glob(r.path("run/*"))
	return left
}

// says fails the test for each of the texts that stderr does not hold.
func (r *run) says(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stderr.String(), text) {
			r.t.Errorf("stderr does not say %q:\n%s", text, &r.stderr)
		}
	}
}
