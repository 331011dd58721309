//go:build linux

package child

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestExitCodeIsTheCommandsOwn(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for _, code := range []int{0, 1, 7, 125, 126, 127, 255} {
			if got, _, _ := run(t, wrapped(t, wrapping{Mask: mask}, "sh", "-c", fmt.Sprintf("exit %d", code))); got != code {
				t.Errorf("exit %d came back as %d", code, got)
			}
		}
	})
}

func TestExitCodeOfAKilledCommandIs128PlusTheSignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGKILL, unix.SIGSEGV, unix.SIGPIPE, unix.SIGTERM, unix.SIGUSR1, unix.Signal(40)} {
		path := filepath.Join(t.TempDir(), "report")
		code, _, _ := run(t, wrapped(t, wrapping{Report: path}, "sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$", sig)))
		if r := readReport(t, path); code != 128+int(sig) || r.Signal != sig || r.Stopped != 0 {
			t.Errorf("killed by %v: exit %d, %+v", sig, code, r)
		}
	}
}

func TestACommandThatCannotStartHasTheExitCodeOfEnv(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	busy := file("busy", "", 0o755)
	exe, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.Write(exe); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 200_000)
	for _, c := range []struct {
		name string
		argv []string
		code int
		says string
		look bool // that shows it beforehand
	}{
		{"no such name", []string{"no-such-command"}, 127, "not found in PATH", true},
		{"a line as one word", []string{"sleep 1"}, 127, "leave out the quotes", true},
		{"a line as one word, with a path", []string{"/bin/sleep 1"}, 127, "leave out the quotes", true},
		{"no such file", []string{dir + "/nothing"}, 127, "no such file", true},
		{"empty name", []string{""}, 127, "not found", true},
		{"directory", []string{dir}, 126, "is a directory", true},
		{"not executable", []string{file("plain", "echo no\n", 0o644)}, 126, "permission denied", true},
		{"interpreter missing", []string{file("lost", "#!/no/such/interpreter\n", 0o755)}, 127, "interpreter", false},
		{"for another machine", []string{file("alien", "\x7fELF\x00\x00\x00\x00garbage\n", 0o755)}, 126, "neither a program", false},
		{"being written", []string{busy}, 126, "open for writing", false},
		{"one argument too long", []string{"true", long}, 126, "bytes of arguments", false},
		{"file in place of a directory", []string{busy + "/x"}, 126, "not a directory", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Start(Options{Argv: c.argv, Env: os.Environ()})
			if err == nil {
				t.Fatal("it started")
			}
			if ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d, %v; want %d, %q", ExitCode(err), err, c.code, c.says)
			}
			look := Look(Options{Argv: c.argv, Env: os.Environ()})
			if (look != nil) != c.look || look != nil && (look.Error() != err.Error() || ExitCode(look) != c.code) {
				t.Errorf("a look says %v; the start %v", look, err)
			}
			if !strings.Contains(c.name, "open") && !strings.Contains(c.name, "machine") {
				if env := exec.Command("env", append([]string{"--"}, c.argv...)...); c.code != 126 || len(c.argv) == 1 {
					_ = env.Run()
					if got := env.ProcessState.ExitCode(); got != c.code {
						t.Errorf("env exits with %d here", got)
					}
				}
			}
		})
	}
	if _, err := Start(Options{}); ExitCode(err) != 125 {
		t.Errorf("no command at all: %v", err)
	}
	if _, err := Start(Options{Argv: []string{"true"}, Dir: dir + "/gone"}); ExitCode(err) != 125 {
		t.Errorf("no such working directory: %v", err)
	}
}

func TestCommandIsLookedUpInItsOwnPath(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	for _, path := range []string{dir + "/tool", other + "/tool", dir + "/here"} {
		program(t, path, "#!/bin/sh\necho $0\n")
	}
	if err := os.Chmod(dir+"/tool", 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, name, want string }{
		{dir + ":" + other, "tool", other + "/tool"}, // the first is not executable: the search goes on
		{"", "here", "./here"},                       // an empty element is the working directory
	} {
		cmd := wrapped(t, wrapping{Dir: dir}, c.name)
		cmd.Env = []string{"PATH=" + c.path}
		if code, out, errs := run(t, cmd); code != 0 || strings.TrimSpace(out) != c.want {
			t.Errorf("PATH=%s %s: %d %q %q", c.path, c.name, code, out, errs)
		}
	}
}

func TestAScriptWithoutAFirstLineIsRunByTheShell(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "script")
	program(t, path, "echo \"$0 $1\"; exit 3\n")
	code, out, _ := run(t, wrapped(t, wrapping{}, path, "an argument"))
	if code != 3 || out != path+" an argument\n" {
		t.Errorf("%d %q", code, out)
	}
	plain := exec.Command("env", path, "an argument")
	if b, _ := plain.Output(); string(b) != out {
		t.Errorf("env prints %q", b)
	}
}

func TestLongArgumentListsArriveWhole(t *testing.T) {
	t.Parallel()
	argv := []string{"sh", "-c", `printf '%s\n' "$@" | sha256sum`, "sh"}
	h := sha256.New()
	for i := range 2000 {
		arg := fmt.Sprintf("%d-%s", i, strings.Repeat("é ", 16))
		argv = append(argv, arg)
		fmt.Fprintln(h, arg)
	}
	argv = append(argv, strings.Repeat("y", 100_000))
	fmt.Fprintln(h, argv[len(argv)-1])
	code, out, errs := run(t, wrapped(t, wrapping{}, argv...))
	if code != 0 || !strings.HasPrefix(out, hex.EncodeToString(h.Sum(nil))) {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestStdinAndStdoutAreBinarySafe(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		const total = 100 << 20
		cmd := wrapped(t, wrapping{Mask: mask}, "cat")
		in, out := sha256.New(), sha256.New()
		block := make([]byte, 1<<20)
		if _, err := rand.Read(block); err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = r, out, os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.Close()
		for range total >> 20 {
			block[0]++
			in.Write(block)
			if _, err := w.Write(block); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		if code := exitCode(t, cmd.Wait()); code != 0 {
			t.Fatalf("exit %d", code)
		}
		if string(in.Sum(nil)) != string(out.Sum(nil)) {
			t.Error("what came out is not what went in")
		}
	})
}

func TestWhatIsLeftInStdinIsLeftForTheNext(t *testing.T) {
	t.Parallel()
	// A wrapper that read ahead would take the second line.
	cmd := wrapped(t, wrapping{Mask: "x"}, "sh", "-c", "read line; echo got $line")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprint(w, "one\ntwo\n")
	w.Close()
	cmd.Stdin = r
	if _, out, _ := run(t, cmd); out != "got one\n" {
		t.Errorf("%q", out)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "two\n" {
		t.Errorf("left in stdin: %q", rest)
	}
}

func TestInheritedDescriptorsReachTheCommand(t *testing.T) {
	t.Parallel()
	// make's jobserver is handed down so.
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		script := []string{"sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd"}
		with, without := wrapped(t, wrapping{Mask: mask}, script...), exec.Command(script[0], script[1:]...)
		for _, cmd := range []*exec.Cmd{with, without} {
			for _, text := range []string{"three ", "four "} {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(w, text)
				w.Close()
				defer r.Close()
				cmd.ExtraFiles = append(cmd.ExtraFiles, r)
			}
		}
		_, want, _ := run(t, without)
		if _, out, errs := run(t, with); !strings.HasPrefix(out, "three four ") || out != want {
			t.Errorf("with %q, without %q; %q", out, want, errs)
		}
	})
}

func TestLimitsAndGroupAreAsWithoutTheWrapper(t *testing.T) {
	t.Parallel()
	script := "ulimit -c; ulimit -n; umask; pwd"
	plain, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, out, _ := run(t, wrapped(t, wrapping{}, "sh", "-c", script)); out != string(plain) {
		t.Errorf("with %q, without %q", out, plain)
	}
	_, out, _ := run(t, wrapped(t, wrapping{}, "sh", "-c", "echo $$; cut -d' ' -f5 /proc/$$/stat"))
	if f := strings.Fields(out); len(f) != 2 || f[0] != f[1] {
		t.Errorf("the command does not lead its group: %q", out)
	}
}

func TestProcessNamesTheCommandForGood(t *testing.T) {
	c, err := Start(Options{Argv: []string{"sleep", "60"}, Env: os.Environ(), Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	pid, group, start := c.Process()
	p, err := lookAt(pid)
	if err != nil || p.group != group || p.start != start || start == 0 {
		t.Errorf("%d %d %d, the system says %+v, %v", pid, group, start, p, err)
	}
	c.Terminate("enough")
	if r := c.Wait(nil); r.Signal != unix.SIGTERM || r.Reason != "enough" || r.Stopped != unix.SIGTERM || r.Killed {
		t.Errorf("%+v", r)
	}
	if err := c.Signal(unix.SIGTERM); err == nil {
		t.Error("a command that is gone was signalled")
	}
}

func TestOSExecElsewhereKeepsItsOwnChildren(t *testing.T) {
	// Its processes end, and become zombies, while a command runs: their status must be theirs to collect.
	c, err := Start(Options{Argv: []string{"sleep", "60"}, Env: os.Environ(), Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan Result)
	go func() { done <- c.Wait(nil) }()
	for i := range 50 {
		cmd := exec.Command("sh", "-c", fmt.Sprintf("exit %d", i))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			time.Sleep(20 * time.Millisecond) // it is a zombie by now
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != i {
			t.Errorf("exit %d came back as %d", i, got)
		}
	}
	helper := exec.Command("sleep", "60")
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	c.Terminate("")
	if r := <-done; r.Orphans != 0 {
		t.Errorf("%+v", r)
	}
	if !alive(helper.Process.Pid) {
		t.Error("a process that was none of the command's was ended")
	}
	_ = helper.Process.Kill()
	_ = helper.Wait()
}
