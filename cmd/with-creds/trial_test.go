//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A trial is one run of the binary in a place of its own, and all that is needed to find afterwards what it left: it is started from
// a link to the binary that no other trial uses, so its processes are known by what they execute, the guard included; and with a
// variable of its own in the environment, so those of the command are known by that.
type trial struct {
	t       testing.TB
	dir     string   // holds home and tmp, the receipt, and what the command writes (it is its working directory)
	private []string // where private files may go
	exe     string
	mark    string
	source  *source // nil: none to look at
	cmd     *exec.Cmd
	stderr  *harness.Transcript
	ended   chan struct{} // closed when the process has been waited for
}

// runtimeDir is an XDG_RUNTIME_DIR of the test's own, in RAM as a user's is: otherwise private files would go to a place that all runs share.
func runtimeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "with-creds-trial-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newTrial makes a trial of `with-creds FLAGS… -- COMMAND…` with the source's specs and administrator's login. It is not started yet.
func newTrial(t testing.TB, s *source, flags []string, command ...string) *trial {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{t: t, dir: dir, exe: filepath.Join(dir, "with-creds"), mark: "WC_TRIAL=" + dir, source: s, stderr: &harness.Transcript{}, ended: make(chan struct{})}
	tr.private = []string{runtimeDir(t), tr.path("tmp")}
	for _, name := range []string{"home", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := linkOrCopy(product(t), tr.exe); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--receipt", tr.path("receipt.json")}, flags...)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tr.path("home"), "XDG_RUNTIME_DIR=" + tr.private[0], "TMPDIR=" + tr.private[1], tr.mark,
	}
	if s != nil {
		for _, spec := range s.specs {
			args = append(args, "-c", spec)
		}
		for name, value := range s.env {
			env = append(env, name+"="+value)
		}
	}
	tr.cmd = exec.Command(tr.exe, append(append(args, "--"), command...)...)
	tr.cmd.Args[0] = "with-creds"
	tr.cmd.Dir, tr.cmd.Env, tr.cmd.Stderr = dir, env, tr.stderr
	tr.cmd.WaitDelay = 10 * time.Second
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a test can kill the group and survive
	t.Cleanup(tr.clear)
	return tr
}

func (tr *trial) path(name string) string { return filepath.Join(tr.dir, name) }

// start starts it; wait must follow.
func (tr *trial) start() {
	tr.t.Helper()
	if err := tr.cmd.Start(); err != nil {
		tr.t.Fatal(err)
	}
	go func() {
		_ = tr.cmd.Wait() // the code is in ProcessState
		close(tr.ended)
	}()
}

// wait waits for the end of with-creds and returns its exit code as a shell would tell it.
func (tr *trial) wait() int {
	tr.t.Helper()
	select {
	case <-tr.ended:
	case <-time.After(2 * time.Minute):
		tr.t.Fatalf("it has not ended after two minutes; stderr:\n%s", tr.stderr)
	}
	status := tr.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// run is start and wait.
func (tr *trial) run() int {
	tr.t.Helper()
	tr.start()
	return tr.wait()
}

// file waits for a file that the command writes and moves into place, and returns what it holds.
func (tr *trial) file(name string) string {
	tr.t.Helper()
	var text []byte
	if !within(time.Minute, func() (err error) {
		text, err = os.ReadFile(tr.path(name))
		return err
	}) {
		tr.t.Fatalf("the command has not written %s after a minute; stderr:\n%s", name, tr.stderr)
	}
	return strings.TrimSpace(string(text))
}

// receipt reads the receipt, strictly.
func (tr *trial) receipt() receipt.Receipt {
	tr.t.Helper()
	text, err := os.ReadFile(tr.path("receipt.json"))
	if err != nil {
		tr.t.Fatal(err)
	}
	var r receipt.Receipt
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&r); err != nil {
		tr.t.Fatalf("%v in\n%s", err, text)
	}
	return r
}

// leftovers lists what there still is of the run: processes, journals, private files, credentials on the server, logins of its own.
func (tr *trial) leftovers() []string { return append(tr.leftHere(), tr.leftThere()...) }

// leftHere is what is left on this machine.
func (tr *trial) leftHere() []string {
	var left []string
	for _, p := range tr.processes() {
		left = append(left, fmt.Sprintf("process %d: %s", p.pid, strings.Join(p.argv, " ")))
	}
	for _, path := range journals(tr.path("home")) {
		left = append(left, "journal "+path)
	}
	for _, dir := range tr.private {
		files, err := os.ReadDir(dir)
		if err != nil {
			tr.t.Fatal(err)
		}
		for _, f := range files {
			if path := filepath.Join(dir, f.Name()); !isWord(path) {
				left = append(left, "file "+path)
			}
		}
	}
	return left
}

// isWord reports whether all that is in a directory is what a session tells of its end.
func isWord(dir string) bool {
	files, err := os.ReadDir(dir)
	return err == nil && len(files) == 1 && files[0].Name() == "with-creds.ended"
}

// leftThere is what is left on the server.
func (tr *trial) leftThere() []string {
	if tr.source == nil {
		return nil
	}
	left := tr.source.left()
	if !tr.killedAtLogin() {
		left = append(left, tr.logins()...)
	}
	return left
}

func (tr *trial) logins() []string {
	if tr.source == nil || tr.source.logins == nil {
		return nil
	}
	return tr.source.logins()
}

// killedAtLogin reports whether nothing was ever asked for with the run's own login. If it died then, and its request was heard, there is a login which
// nobody knows and on which nothing hangs: that is the documented bound, see vault.Provider.Open. Once it has been used, the guard knew it before.
func (tr *trial) killedAtLogin() bool {
	return tr.source.logins != nil && tr.source.via != nil && !tr.source.via.requested("X-Vault-Token: ")
}

// cleanedUp waits until nothing is left and returns how long that took; what is left after the limit fails the test.
func (tr *trial) cleanedUp(limit time.Duration) time.Duration {
	tr.t.Helper()
	began := time.Now()
	if left := tr.stillLeft(limit); len(left) > 0 {
		tr.t.Errorf("left after %v:\n  %s\nstderr:\n%s", limit, strings.Join(left, "\n  "), tr.stderr)
	}
	return time.Since(began)
}

// stillLeft waits until nothing is left, and returns what is left after the limit.
func (tr *trial) stillLeft(limit time.Duration) []string {
	tr.t.Helper()
	var left []string
	if !within(limit, func() error {
		if left = tr.leftHere(); len(left) == 0 {
			left = tr.leftThere()
		}
		if len(left) > 0 {
			return errors.New("something is left")
		}
		return nil
	}) {
		left = tr.leftovers()
	}
	return left
}

// clear ends what a failed test would leave.
func (tr *trial) clear() {
	for range 3 {
		for _, p := range tr.processes() {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

// within repeats a look until it finds no error, or the limit has passed.
func within(limit time.Duration, look func() error) bool {
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if look() == nil {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// A process is one that belongs to a trial and has not ended (a zombie has).
type process struct {
	pid  int
	argv []string
	own  bool // it is with-creds, or its guard; not the command's
}

func (p process) guard() bool { return p.own && len(p.argv) == 3 && p.argv[1] == "guard" }

// processes finds the trial's processes.
func (tr *trial) processes() []process {
	names, err := os.ReadDir("/proc")
	if err != nil {
		tr.t.Fatal(err)
	}
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			continue // it has ended, or is a kernel's
		}
		own := strings.TrimSuffix(exe, " (deleted)") == tr.exe
		if !own && !slices.Contains(environOf(pid), tr.mark) {
			continue
		}
		argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if len(argv) == 0 {
			continue // it is ending
		}
		found = append(found, process{pid, strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00"), own})
	}
	return found
}

// guards are the trial's guards at this moment.
func (tr *trial) guards() []int {
	var pids []int
	for _, p := range tr.processes() {
		if p.guard() {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// guard waits until there is a guard other than those named, and returns it.
func (tr *trial) guard(except ...int) int {
	tr.t.Helper()
	var pid int
	if !within(time.Minute, func() error {
		for _, pid = range tr.guards() {
			if !slices.Contains(except, pid) {
				return nil
			}
		}
		return fmt.Errorf("no guard")
	}) {
		tr.t.Fatalf("there is no guard after a minute; stderr:\n%s", tr.stderr)
	}
	return pid
}

// environOf is a process's environment as it was started with; empty when it has ended.
func environOf(pid int) []string {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || len(env) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00")
}
