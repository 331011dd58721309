//go:build linux

package child

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/mask"
	"github.com/with-creds/with-creds/testdata/harness"
)

// The test binary plays with-creds' own part in a process of its own: "wrap [options] -- CMD…" is a run without
// credentials. Other roles are commands that tell what they see.
//
// A test that calls Start in this process, or looks for a process by a name that others use, is not parallel.
func TestMain(m *testing.M) {
	if code, ok := Monitor(os.Args); ok {
		os.Exit(code)
	}
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(role(os.Args[2:]))
		}
	}
	harness.HearSignals()
	os.Exit(m.Run())
}

var roles map[string]func([]string) int

func init() {
	roles = map[string]func([]string) int{"role:wrap": wrapper, "role:traps": traps, "role:root": root, "role:until": untilThere, "role:continued": continued}
}

// continued stops itself with the rest of a job that is continued as soon as that rest has stopped.
func continued([]string) int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGCONT)
	halt(syscall.SIGTSTP, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGCONT) })
	return 0
}

// root stays for a while as nobody but root may end it, and says so with a file.
func root(args []string) int {
	if err := syscall.Setreuid(0, 0); err != nil {
		return 1
	}
	if err := os.WriteFile(args[0], nil, 0o644); err != nil {
		return 1
	}
	os.Stdout.Close() // else the test would wait for it too
	os.Stderr.Close()
	time.Sleep(2 * patient)
	return 0
}

// untilThere waits for a file. A shell would do it with sleep(1), and dash cannot be stopped while it starts that (vfork(2)).
func untilThere(args []string) int {
	fmt.Println("begun")
	for {
		if _, err := os.Stat(args[0]); err == nil {
			fmt.Println("done")
			return 0
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// traps says each signal it gets, and ends with 5 on SIGPWR. It has no children who would be stopped by a signal to the group.
func traps([]string) int {
	got := make(chan os.Signal, 8)
	signal.Notify(got)
	fmt.Println("ready")
	for s := range got {
		switch s {
		case syscall.SIGPWR:
			return 5
		case syscall.SIGURG, syscall.SIGCHLD: // the Go runtime's own
		default:
			fmt.Println("got", s)
		}
	}
	return 0
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// wrapper runs a command as with-creds does. Its options come in a JSON object before the command.
func wrapper(args []string) int {
	var w wrapping
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		fmt.Fprintln(os.Stderr, "wrapper:", err)
		return 99
	}
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, Signals()...)
	o := Options{
		Argv: args[1:], Env: os.Environ(), Dir: w.Dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Grace: w.Grace,
		Warnf: func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "warning: "+format+LineEnd(os.Stderr), args...)
		},
	}
	if len(w.Secrets) > 0 {
		m := mask.New(mask.Options{})
		m.Add(w.Secrets...)
		o.Mask = func(dst io.Writer) io.WriteCloser { return m.Stream(dst) }
	}
	if w.Mask != "" {
		o.Mask = func(dst io.Writer) io.WriteCloser { return &replacer{dst: dst, old: []byte(w.Mask)} }
	}
	c, err := Start(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitCode(err)
	}
	if w.Pid != "" {
		if err := os.WriteFile(w.Pid+".part", fmt.Append(nil, c.pid), 0o600); err == nil {
			_ = os.Rename(w.Pid+".part", w.Pid)
		}
	}
	if w.Terminate > 0 {
		time.AfterFunc(w.Terminate, func() { c.Terminate("expired") })
	}
	r := c.Wait(signals)
	if w.Report != "" {
		b, _ := json.Marshal(report{r, fmt.Sprint(r.Output)})
		_ = os.WriteFile(w.Report, b, 0o600)
	}
	return r.Code
}

type wrapping struct {
	Grace     time.Duration
	Mask      string   // replaced by "***" in the output; empty: not copied
	Secrets   []string // masked as with-creds masks them
	Dir       string
	Pid       string // a file for the command's number
	Report    string // a file for the Result
	Terminate time.Duration
}

type report struct {
	Result
	OutputError string
}

func (r *report) UnmarshalJSON(b []byte) error {
	type plain struct {
		Code, Orphans       int
		Signal, Stopped     syscall.Signal
		Reason, OutputError string
		Killed              bool
		Left                []int
	}
	var p plain
	err := json.Unmarshal(b, &p)
	r.Result = Result{Code: p.Code, Signal: p.Signal, Stopped: p.Stopped, Reason: p.Reason, Killed: p.Killed, Orphans: p.Orphans, Left: p.Left}
	r.OutputError = p.OutputError
	return err
}

// replacer masks within one write; enough to see that bytes have gone through a mask.
type replacer struct {
	dst io.Writer
	old []byte
}

func (r *replacer) Write(p []byte) (int, error) {
	if bytes.Contains(p, r.old) {
		if _, err := r.dst.Write(bytes.ReplaceAll(p, r.old, []byte("***"))); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return r.dst.Write(p)
}

func (r *replacer) Close() error { return nil }

// program writes a file that can be executed at once: nothing is started while it is open for writing, which would hold it open too (ETXTBSY).
func program(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// wrapped returns a command line that runs argv under a wrapper process.
func wrapped(t *testing.T, w wrapping, argv ...string) *exec.Cmd {
	t.Helper()
	if w.Grace == 0 {
		w.Grace = 5 * time.Second
	}
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self(t), append([]string{"role:wrap", string(b)}, argv...)...)
	// A session of its own: no controlling terminal, wherever the tests are run.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// begin starts a wrapper whose command says "ready" on stdout when it may be disturbed.
func begin(t *testing.T, cmd *exec.Cmd) (stdout *transcript, wait func() int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var first []byte
	one := make([]byte, 1)
	for !bytes.Contains(first, []byte("ready\n")) {
		if _, err := r.Read(one); err != nil {
			t.Fatalf("the command ended before it was ready: %q %v", first, err)
		}
		first = append(first, one...)
	}
	rest := &transcript{}
	copied := make(chan struct{})
	go func() { defer close(copied); _, _ = io.Copy(rest, r) }()
	return rest, func() int {
		t.Helper()
		code := exitCode(t, cmd.Wait())
		<-copied
		r.Close()
		return code
	}
}

// A transcript is what has been written so far.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	if e.ExitCode() < 0 {
		t.Fatalf("the wrapper itself died: %v", err)
	}
	return e.ExitCode()
}

// run runs a wrapper to its end.
func run(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &errs
	}
	code = exitCode(t, cmd.Run())
	return code, out.String(), errs.String()
}

// number waits for a process to write a number into a file and reads it.
func number(t *testing.T, path string) int {
	t.Helper()
	var n int
	eventually(t, "a number in "+filepath.Base(path), func() bool {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(b), "\n") && len(b) == 0 {
			return false
		}
		_, err = fmt.Sscan(string(b), &n)
		return err == nil && n > 0
	})
	return n
}

func readReport(t *testing.T, path string) report {
	t.Helper()
	var r report
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// alive reports whether a process is there and has not ended.
func alive(pid int) bool {
	p, err := lookAt(pid)
	return err == nil && !p.ended()
}

// patient is how long a test waits for what must come. It comes in milliseconds, but the machine may have other work.
const patient = time.Minute

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}

// masks are the two ways a stream can go; most behaviour must be the same in both.
var masks = map[string]string{"masked": "no such text in any output", "passed as it is": ""}

func withAndWithoutMask(t *testing.T, f func(t *testing.T, mask string)) {
	for name, mask := range masks {
		t.Run(name, func(t *testing.T) { f(t, mask) })
	}
}
