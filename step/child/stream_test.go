//go:build linux

package child

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

func mountedNoSuid(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOSUID != 0
}

func TestStdoutAndStderrStayTwoStreams(t *testing.T) {
	t.Parallel()
	code, out, errs := run(t, wrapped(t, wrapping{Mask: "hunter2"}, "sh", "-c", "echo out hunter2; echo err hunter2 >&2"))
	if code != 0 || out != "out ***\n" || errs != "err ***\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestOrderIsKeptWhereBothStreamsAreOneFile(t *testing.T) {
	t.Parallel()
	script := "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"
	want := "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\no6\ne6\no7\ne7\no8\ne8\no9\ne9\n"
	t.Run("a pipe", func(t *testing.T) {
		cmd := wrapped(t, wrapping{Mask: "x"}, "sh", "-c", script)
		var both bytes.Buffer
		cmd.Stdout, cmd.Stderr = &both, &both // os/exec makes one pipe
		if run(t, cmd); both.String() != want {
			t.Errorf("%q", both.String())
		}
	})
	t.Run("a file", func(t *testing.T) {
		f, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd := wrapped(t, wrapping{Mask: "x"}, "sh", "-c", script)
		cmd.Stdout, cmd.Stderr = f, f
		run(t, cmd)
		if b, _ := os.ReadFile(f.Name()); string(b) != want {
			t.Errorf("%q", b)
		}
	})
}

func TestTwoDescriptorsAreOneOutputWhereWhatIsWrittenEndsUpInOneSequence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	open := func(flags int) int {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		fd, err := descriptor(f)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	again := func(fd int) int {
		n, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(n) })
		return n
	}
	once, appended := open(0), open(os.O_APPEND)
	for name, c := range map[string]struct {
		a, b         int
		one, oneLock bool
	}{
		"itself":                       {once, once, true, true},
		"opened once":                  {once, again(once), true, true},
		"opened twice":                 {once, open(0), false, false},
		"appended to twice":            {appended, open(os.O_APPEND), true, false},
		"appended to by one of two":    {appended, once, false, false},
		"appended to, and opened once": {appended, again(appended), true, true},
	} {
		if got := sameOutput(c.a, c.b); got != c.one {
			t.Errorf("%s: one output is %v", name, got)
		}
		if got := oneLock(c.a, c.b); got != c.oneLock { // where kcmp(2) is denied
			t.Errorf("%s: one open file by its locks is %v", name, got)
		}
	}
}

func TestBytesLeaveAsSoonAsTheyAreWritten(t *testing.T) {
	cmd := wrapped(t, wrapping{Mask: "x"}, "sh", "-c", "while read line; do printf '%s> ' $line; done")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	best := time.Hour // a timer would delay each of them, another process only some
	for i := range 50 {
		start := time.Now()
		fmt.Fprintln(in, i)
		if got, err := r.ReadString('>'); err != nil || strings.TrimSpace(got) != fmt.Sprint(i)+">" {
			t.Fatalf("%q %v", got, err)
		}
		best = min(best, time.Since(start))
	}
	in.Close()
	_ = cmd.Wait()
	if best > 50*time.Millisecond {
		t.Errorf("a prompt took %v", best)
	}
}

func TestACommandThatClosesItsStdoutEarlyGoesOn(t *testing.T) {
	t.Parallel()
	code, out, errs := run(t, wrapped(t, wrapping{Mask: "x"}, "sh", "-c", "echo one; exec >&-; sleep 0.1; echo two >&2; exit 6"))
	if code != 6 || out != "one\n" || errs != "two\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestTheCommandGetsSigpipeWhenTheReaderIsGone(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for _, script := range []string{
			"exec yes",                               // writes without a pause
			"while echo y; do sleep 0.2; done",       // with a pause: its next write finds the reader gone
			"echo y; sleep 0.3; exec cat /dev/zero ", // and more than a pipe holds
		} {
			path := filepath.Join(t.TempDir(), "report")
			cmd := wrapped(t, wrapping{Mask: mask, Report: path}, "sh", "-c", script)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			first, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || first != "y\n" {
				t.Fatalf("%q %v", first, err)
			}
			out.Close()
			code := exitCode(t, cmd.Wait())
			if r := readReport(t, path); code != 128+13 || r.OutputError != "<nil>" {
				t.Errorf("%q: exit %d, %+v", script, code, r)
			}
		}
	})
}

func TestAFullDiskEndsTheCommandAndIsReported(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	path := filepath.Join(t.TempDir(), "report")
	cmd := wrapped(t, wrapping{Mask: "x", Report: path}, "yes")
	cmd.Stdout = full
	if code, _, _ := run(t, cmd); code == 0 {
		t.Error("the command did not notice")
	}
	if r := readReport(t, path); !strings.Contains(r.OutputError, "no space left on device") {
		t.Errorf("%+v", r)
	}
	// What fits in a pipe the command cannot notice; the caller can.
	cmd = wrapped(t, wrapping{Mask: "x", Report: path}, "echo", "hello")
	cmd.Stdout = full
	run(t, cmd)
	if r := readReport(t, path); !strings.Contains(r.OutputError, "no space left on device") {
		t.Errorf("%+v", r)
	}
	// And without a mask the command's own error is the only one.
	cmd = wrapped(t, wrapping{Report: path}, "cat", "/dev/zero")
	cmd.Stdout = full
	if code, _, errs := run(t, cmd); code != 1 || !strings.Contains(errs, "No space left") {
		t.Errorf("%d %q", code, errs)
	}
}

func TestASlowReaderHoldsTheCommandBack(t *testing.T) {
	t.Parallel()
	cmd := wrapped(t, wrapping{Mask: "x"}, "sh", "-c", "head -c 3000000 /dev/zero; echo done >&2")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errs := &transcript{}
	cmd.Stdout, cmd.Stderr = w, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	time.Sleep(300 * time.Millisecond)
	if errs.String() != "" {
		t.Fatal("the command wrote 3 MB that nobody had read")
	}
	n, err := io.Copy(io.Discard, r)
	if code := exitCode(t, cmd.Wait()); code != 0 || n != 3000000 || err != nil || errs.String() != "done\n" {
		t.Errorf("exit %d, %d bytes, %v, %q", code, n, err, errs)
	}
}

func TestOutputIsWaitedForAfterTheCommandsEnd(t *testing.T) {
	t.Parallel()
	// A pager reads when it likes. Nothing is lost, whatever the grace is.
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := wrapped(t, wrapping{Mask: "x", Grace: 100 * time.Millisecond, Pid: pid}, "head", "-c", "120000", "/dev/zero")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	command := number(t, pid)
	eventually(t, "the command's end", func() bool { return !alive(command) })
	time.Sleep(300 * time.Millisecond) // more than the grace
	if n, err := io.Copy(io.Discard, r); n != 120000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if code := exitCode(t, cmd.Wait()); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestASignalEndsTheWaitForAReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, pid := filepath.Join(dir, "report"), filepath.Join(dir, "pid")
	cmd := wrapped(t, wrapping{Mask: "x", Grace: 300 * time.Millisecond, Report: path, Pid: pid}, "head", "-c", "120000", "/dev/zero")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	command := number(t, pid)
	eventually(t, "the command's end", func() bool { return !alive(command) })
	start := time.Now()
	_ = cmd.Process.Signal(unix.SIGTERM)
	code := exitCode(t, cmd.Wait())
	if took := time.Since(start); code != 0 || took > patient/2 {
		t.Errorf("exit %d after %v", code, took)
	}
	if r := readReport(t, path); !strings.Contains(r.OutputError, "nobody read it") {
		t.Errorf("%+v", r)
	}
}

func TestAProcessThatKeepsThePipeOpenDoesNotHangTheRun(t *testing.T) {
	t.Parallel()
	t.Run("a child of the command", func(t *testing.T) {
		start := time.Now()
		code, out, _ := run(t, wrapped(t, wrapping{Mask: "x", Grace: 300 * time.Millisecond}, "sh", "-c", `setsid sh -c 'trap "" TERM; sleep 60' & echo said`))
		if took := time.Since(start); code != 0 || out != "said\n" || took > patient/2 {
			t.Errorf("exit %d, %q after %v", code, out, took)
		}
	})
	t.Run("a process that is none of the command's", func(t *testing.T) {
		// It opens the command's stdout by /proc, and so holds what no descendant holds, and writes without end.
		pids := filepath.Join(t.TempDir(), "pid")
		cmd := wrapped(t, wrapping{Mask: "x", Grace: 300 * time.Millisecond}, "sh", "-c", "echo $$ > "+pids+".part; mv "+pids+".part "+pids+"; echo ready; read line; echo said")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, wait := begin(t, cmd)
		stranger := exec.Command("sh", "-c", fmt.Sprintf("exec > /proc/%d/fd/1; echo opened >&2; exec yes stranger", number(t, pids)))
		stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		opened, err := stranger.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := stranger.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
		if _, err := opened.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // it writes
		start := time.Now()
		in.Close()
		if code := wait(); code != 0 || time.Since(start) > patient/2 {
			t.Errorf("exit %d after %v", code, time.Since(start))
		}
		if !strings.Contains(out.String(), "said\n") || !strings.Contains(out.String(), "stranger\n") {
			t.Errorf("%d bytes without what the command or the stranger wrote", len(out.String()))
		}
	})
}

func TestANonBlockingStdoutIsWrittenWhole(t *testing.T) {
	t.Parallel()
	// Node and others make a pipe they share non-blocking.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := descriptor(w)
	if err != nil {
		t.Fatal(err)
	}
	cmd := wrapped(t, wrapping{Mask: "x"}, "head", "-c", "1000000", "/dev/zero")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil { // which makes it blocking
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	w.Close()
	time.Sleep(100 * time.Millisecond)
	n, err := io.Copy(io.Discard, r)
	if code := exitCode(t, cmd.Wait()); code != 0 || n != 1000000 || err != nil {
		t.Errorf("exit %d, %d bytes, %v", code, n, err)
	}
}

func TestNullStreamsAreTheNullDevice(t *testing.T) {
	c, err := Start(Options{Argv: []string{"sh", "-c", "readlink /proc/self/fd/0 /proc/self/fd/1 >&2; test $(readlink /proc/self/fd/0) = /dev/null"}, Env: os.Environ(), Mask: func(w io.Writer) io.WriteCloser { return &replacer{dst: w, old: []byte("x")} }})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Wait(nil); r.Code != 0 {
		t.Errorf("%+v", r)
	}
}

func TestNoDescriptorIsLeftOpen(t *testing.T) {
	once := func() {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c, err := Start(Options{Argv: []string{"true"}, Env: os.Environ(), Stdout: w, Stderr: w, Mask: func(w io.Writer) io.WriteCloser { return &replacer{dst: w, old: []byte("x")} }})
		if err != nil {
			t.Fatal(err)
		}
		c.Wait(nil)
		if _, err := Start(Options{Argv: []string{"/no/such"}, Stdout: w, Mask: func(w io.Writer) io.WriteCloser { return &replacer{dst: w, old: []byte("x")} }}); err == nil {
			t.Fatal("started")
		}
		r.Close()
		w.Close()
	}
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	once()
	before := open()
	for range 5 {
		once()
	}
	if after := open(); after > before { // fewer: what a test before this one had left to be closed
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
