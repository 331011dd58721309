//go:build linux

package child

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	outer "github.com/creack/pty"
	"golang.org/x/sys/unix"
)

func TestTheCommandSeesTheTerminalWhereItWouldHaveOne(t *testing.T) {
	t.Parallel()
	look := `for i in 0 1 2; do test -t $i && printf "tty " >&3 || printf "no " >&3; done`
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.command("LOOK='" + look + "'")
		file := filepath.Join(t.TempDir(), "out")
		for _, c := range []struct{ redirect, want string }{
			{"", "tty tty tty"},
			{">/dev/null", "tty no tty"},
			{"| cat", "tty no tty"},
			{"</dev/null", "no tty tty"},
			{"</dev/null | cat", "no no tty"},
			{"2>/dev/null", "tty tty no"},
			{"2>&1 | cat", "tty no no"},
			{"</dev/null >/dev/null 2>/dev/null", "no no no"},
		} {
			got := strings.TrimSpace(s.command(`w sh -c "$LOOK" 3>` + file + " " + c.redirect + "; cat " + file))
			if got != c.want {
				t.Errorf("%q: %q, want %q", c.redirect, got, c.want)
			}
		}
	})
}

func TestTheCommandsTerminalIsLikeTheRealOne(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		plain := s.command("stty -a; stty size < /dev/tty; ps -o stat= -p $$ | tr -d S")
		if got := s.command("w sh -c 'stty -a; stty size < /dev/tty; '; ps -o stat= -p $$ | tr -d S"); got != plain {
			t.Errorf("with:\n%s\nwithout:\n%s", got, plain)
		}
		// In front, as a command is that a shell has started.
		if got := s.command(`w sh -c 'ps -o tpgid=,pgid= -p $$'`); len(strings.Fields(got)) != 2 || strings.Fields(got)[0] != strings.Fields(got)[1] {
			t.Errorf("foreground and own group: %q", got)
		}
	})
}

func TestOutputOnATerminalIsMasked(t *testing.T) {
	t.Parallel()
	s := newScreen(t, wrapping{Mask: "hunter2"})
	if got := s.command(`w sh -c 'printf "a hunt""er2\n"; printf "b hunt""er2\n" >&2; printf "c hunt""er2\n" > /dev/tty; printf "%s\n" d'`); got != "a ***\r\nb ***\r\nc ***\r\nd\r\n" {
		t.Errorf("%q", got)
	}
	if got := s.command(`w sh -c 'printf "a hunt""er2\n"; printf "b hunt""er2\n" >&2' | cat`); strings.Count(got, "***\r\n") != 2 || strings.Contains(got, "\r\r") {
		t.Errorf("%q", got)
	}
}

func TestACommandWhoseOutputIsCapturedDrawsOnTheTerminalAsItLikes(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		before := s.modes()
		s.send(`x=$(w sh -c 'stty -opost <&2; printf "1\n2\n3" >&2; read line <&2; stty opost <&2; printf "4\n5\n" >&2; read line <&2; echo choice'); echo "got $x"` + "\n")
		s.expect("1\n2\n3")
		s.send("\n")
		s.expect("4\r\n5\r\n")
		s.send("\n")
		s.expect("got choice\r\n")
		s.expect(prompt)
		if s.modes() != before {
			t.Error("the terminal was not put back")
		}
	})
}

func TestAPromptWithoutALineEndAppearsAtOnce(t *testing.T) {
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.send("w sh -c 'while read x; do printf \"pro\"\"mpt %s> \" $x; done'\n")
		s.expect("\r\n")
		best := time.Hour
		for i := range 20 {
			start := time.Now()
			s.send(fmt.Sprintf("%d\n", i))
			s.expect(fmt.Sprintf("prompt %d> ", i))
			best = min(best, time.Since(start))
		}
		s.send("\x04")
		s.expect(prompt)
		if best > 50*time.Millisecond {
			t.Errorf("it took %v", best)
		}
	})
}

func TestChangesOfTheWindowReachTheCommand(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for _, line := range []string{"w sh -c \"$S\"", "w sh -c \"$S\" 2>&1 < /dev/tty"} {
			s := newScreen(t, wrapping{Mask: mask})
			s.command(`S='trap "stty size" WINCH; echo rea""dy; while :; do sleep 0.02; done'`)
			s.send(line + "\n")
			s.expect("ready")
			s.resize(41, 77)
			s.expect("41 77\r\n")
			s.send("\x03")
			if rest := s.expect(prompt); strings.Contains(rest, "41 77") {
				t.Errorf("it was told more than once: %q", rest)
			}
		}
	})
}

func TestCtrlCReachesTheCommandOnce(t *testing.T) {
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for name, line := range map[string]string{
			"alone":         `w "$SELF" role:traps`,
			"in a pipeline": `w "$SELF" role:traps | sh -c 'trap "" INT QUIT; cat'`,
			"from a script": `sh -c 'trap : INT QUIT; w "$SELF" role:traps; exit 0'`,
			"stdin a file":  `w "$SELF" role:traps < /dev/null`,
		} {
			t.Run(name, func(t *testing.T) {
				s := newScreen(t, wrapping{Mask: mask})
				s.command("trap : INT") // the shell itself goes on
				s.send(line + "\n")
				s.expect("ready\r\n")
				for _, key := range []struct{ typed, want string }{{"\x03", "got interrupt\r\n"}, {"\x1c", "got quit\r\n"}} {
					s.send(key.typed)
					s.expect(key.want)
				}
				time.Sleep(100 * time.Millisecond)
				if rest := s.all()[s.seen:]; strings.Contains(rest, "got") {
					t.Errorf("more than once: %q", rest)
				}
				pid := theCommand(t, "role:traps")
				_ = unix.Kill(pid, unix.SIGPWR)
				s.expect(prompt)
			})
		}
	})
}

// theCommand finds the one process with that word among its arguments that is not the wrapper.
func theCommand(t *testing.T, word string) (pid int) {
	t.Helper()
	for _, p := range processes() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		args := strings.Split(string(b), "\x00")
		if len(args) > 1 && args[1] == word {
			pid = p.pid
		}
	}
	if pid == 0 {
		t.Fatalf("no process %s", word)
	}
	return pid
}

func TestCtrlCDoesNotBeginTheGraceAtATerminal(t *testing.T) {
	t.Parallel()
	// psql and many shells live on after it.
	s := newScreen(t, wrapping{Mask: "x", Grace: 300 * time.Millisecond})
	s.send("w sh -c 'trap \"echo interr\"\"upted\" INT; echo rea\"\"dy; sleep 1; sleep 1; echo liv\"\"ed' | sh -c 'trap \"\" INT; cat'\n")
	s.expect("ready")
	s.send("\x03")
	s.expect("interrupted")
	s.expect("lived")
}

func TestCtrlZStopsTheJobAndTheShellContinuesIt(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for name, line := range map[string]string{
			"alone":         "w sed -u s/^/got-/",
			"in a pipeline": "w sed -u s/^/got-/ | cat",
			"from a script": "sh -c 'w sed -u s/^/got-/; echo en\"\"ded'",
		} {
			t.Run(name, func(t *testing.T) {
				s := newScreen(t, wrapping{Mask: mask})
				s.send(line + "\n")
				s.expect("\r\n")
				s.send("one\n")
				s.expect("got-one\r\n")
				for range 2 {
					s.send("\x1a")
					s.expect("Stopped")
					s.expect(prompt)
					if got := s.command("echo the shell has the ''terminal"); got != "the shell has the terminal\r\n" {
						t.Fatalf("%q", got)
					}
					s.send("fg\n")
					s.expect("fg\r\n")
					s.expect("\r\n") // fg says what it continues
					s.send("two\n")
					s.expect("got-two\r\n")
				}
				s.send("\x04")
				rest := s.expect(prompt)
				if strings.Contains(line, "ended") && !strings.Contains(rest, "ended") {
					t.Errorf("%q", rest)
				}
				if got := s.command("jobs; echo $?"); got != "0\r\n" {
					t.Errorf("after the end: %q", got)
				}
			})
		}
	})
}

func TestCtrlZIsNotForgottenWhileTheCommandAsksForTheTerminal(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		// It has been sent the signal of Ctrl-Z when it is stopped for its first read, as when somebody types it in that moment.
		file := filepath.Join(t.TempDir(), "reader")
		if err := os.WriteFile(file, []byte(`
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
os.kill(os.getpid(), signal.SIGTSTP)
print("got", open("/dev/tty").readline())
`), 0o600); err != nil {
			t.Fatal(err)
		}
		s := newScreen(t, wrapping{Mask: mask})
		s.send("true | w python3 " + file + "\n")
		s.expect("Stopped")
		s.expect(prompt)
		s.send("fg\n")
		s.expect("fg\r\n")
		s.send("line\n")
		s.expect("got line")
	})
}

func TestAJobThatIsContinuedWhileItStopsGoesOn(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(self(t), "role:continued")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group that the kernel stops
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	eventually(t, "its end", func() bool {
		p, err := lookAt(cmd.Process.Pid)
		if err == nil && p.state == 'T' {
			t.Fatal("it is stopped, and nobody will continue it")
		}
		return err != nil || p.ended()
	})
}

func TestInTheBackgroundTheCommandIsStoppedForReading(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.command("w sh -c 'read x; echo got $x; sleep 0.2' &")
		eventually(t, "a stopped job", func() bool { return strings.Contains(s.command("jobs"), "Stopped") })
		s.send("fg\n")
		s.expect("sleep 0.2'\r\n")
		s.send("hello\n")
		s.expect("got hello")
		s.expect(prompt)
	})
}

func TestAJobOfTheBackgroundFindsTheTerminalAsAnyOtherWhenItComesInFront(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreenOf(t, wrapping{Mask: mask}) // it edits its lines, in modes of its own
		plain := s.command("stty -a; stty size")
		s.command("w sh -c 'read x; stty -a; stty size' &")
		eventually(t, "a stopped job", func() bool { return strings.Contains(s.command("jobs"), "Stopped") })
		s.send("fg\n")
		s.expect("stty size'\r\n")
		s.send("go\n")
		s.expect("go\r\n")
		if got := s.expect(prompt); !strings.HasSuffix(got, plain) { // before it, the echo once more where it was typed before the job was in front
			t.Errorf("%q, of a job begun in front %q", got, plain)
		}
	})
}

func TestInTheBackgroundTheCommandRuns(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.send("w sh -c 'sleep 0.3; echo do\"\"ne' & wait\n")
		if got := s.expect("done\r\n"); strings.Contains(got, "Stopped") {
			t.Errorf("%q", got)
		}
		s.expect(prompt)
		// A job begun in front and continued behind.
		file := filepath.Join(t.TempDir(), "file")
		s.send(`w "$SELF" role:until ` + file + "\n")
		s.expect("begun")
		s.send("\x1a")
		s.expect("Stopped")
		s.expect(prompt)
		s.command("bg")
		s.send("touch " + file + "\n")
		s.expect("done\r\n")
	})
}

func TestModesAreRestoredWhenTheCommandIsKilled(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		// Within a script, so that it is not the shell that puts them back.
		got := s.command(`sh -c 'stty -g; w sh -c "stty raw -echo; kill -9 \$\$"; echo code $?; stty -g'`)
		lines := strings.Fields(strings.ReplaceAll(got, "code 137", ""))
		if !strings.Contains(got, "code 137") || len(lines) < 2 || lines[0] != lines[len(lines)-1] {
			t.Errorf("%q", got)
		}
	})
}

func TestModesThatTheCommandSetsLast(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		if got := s.command(`w stty -echo; stty -a | grep -o -e '-echo\b'`); !strings.Contains(got, "-echo") {
			t.Errorf("stty -echo was undone: %q", got)
		}
		s.send("w stty echo\n")
		s.expect(prompt)
		if got := s.command(`stty -a | grep -o -e '-echo\b'`); got != "" {
			t.Errorf("stty echo was undone: %q", got)
		}
	})
}

func TestModesAreRestoredWhenTheWrapperItselfIsKilled(t *testing.T) {
	t.Parallel()
	s := newScreen(t, wrapping{Mask: "x"})
	s.send(`sh -c 'w sleep 61.5; stty -a | grep -o -e "-*icanon" -e "-*opost"'` + "\n")
	s.expect("\r\n")
	eventually(t, "the command", func() bool { return !s.sane() || found("sleep\x0061.5") > 0 })
	pid := found("sleep\x0061.5")
	eventually(t, "the command in front", func() bool { pid = found("sleep\x0061.5"); return pid > 0 })
	wrapper := parentOf(t, parentOf(t, pid))
	_ = unix.Kill(wrapper, unix.SIGKILL)
	s.expect("icanon")
	eventually(t, "the terminal's own modes", s.sane)
	eventually(t, "the command's end", func() bool { return !alive(pid) }) // its terminal hung up
}

func found(cmdline string) int {
	for _, p := range processes() {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); string(b) == cmdline+"\x00" {
			return p.pid
		}
	}
	return 0
}

// inFront reports whether a process is in its terminal's foreground group, and runs.
func inFront(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	f := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	return len(f) > 5 && f[0] != "T" && f[2] == f[5] // proc_pid_stat(5): state, pgrp, tpgid
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	p, err := lookAt(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p.parent
}

func TestTheCommandOutlivesItsMonitor(t *testing.T) {
	t.Parallel()
	s := newScreen(t, wrapping{Mask: "x"})
	file := filepath.Join(t.TempDir(), "file")
	s.send(`w sh -c 'trap "" HUP; echo rea""dy $$; while ! test -e ` + file + `; do sleep 0.05; done; exit 9'; echo code $?` + "\n")
	s.expect("ready ")
	var pid int
	_, _ = fmt.Sscan(s.expect("\r\n"), &pid)
	monitor := parentOf(t, pid)
	_ = unix.Kill(monitor, unix.SIGKILL)
	eventually(t, "another parent", func() bool { return parentOf(t, pid) != monitor })
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect("code 9")
	s.expect(prompt)
	if !s.sane() {
		t.Error("the terminal was not put back")
	}
}

func TestWhatIsTypedIsSeenAtOnceAndASecretIsNot(t *testing.T) {
	t.Parallel()
	secret := "Z" + rand.Text()
	s := newScreen(t, wrapping{Secrets: []string{secret}})
	s.send("w sh -c 'echo rea\"\"dy; exec cat'\n")
	s.expect("ready\r\n")
	// Each of these letters begins a form of the secret, or may.
	for _, key := range secret[:5] {
		s.send(string(key))
		s.expect(string(key))
	}
	s.send("\x15\n") // deletes the line
	s.expect("\r\n")
	s.send("\x1a")
	s.expect("^Z")
	s.expect("Stopped")
	s.expect(prompt)
	s.send("fg\n")
	s.expect("exec cat'\r\n")
	eventually(t, "the wrapper's taking the terminal back", func() bool { return !s.sane() }) // until then the terminal itself shows what is typed
	// Pasted, and printed by the command.
	s.send(secret + "\n")
	s.expect("***")
	s.expect("***")
	s.send("\x04")
	s.expect(prompt)
	if strings.Contains(s.all(), secret[5:]) {
		t.Error("the secret was shown")
	}
}

func TestOurOwnLinesBeginAtTheLeft(t *testing.T) {
	t.Parallel()
	s := newScreen(t, wrapping{Mask: "x"})
	if LineEnd(s.file) != "\n" {
		t.Error("on a terminal as it is")
	}
	s.send("w sh -c 'echo rea\"\"dy; read line'\n")
	s.expect("ready\r\n")
	if LineEnd(s.file) != "\r\n" {
		t.Error("on a terminal in raw mode")
	}
}

func TestAPasswordIsAskedForOnTheTerminal(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for name, line := range map[string]string{
			"stdin":                       `w bash -c 'read -s -p "Pass""word: " x; echo; echo length ${#x}'`,
			"/dev/tty":                    `w bash -c 'read -s -p "Pass""word: " x < /dev/tty; echo; echo length ${#x}' < /dev/null`,
			"/dev/tty, output to a pager": `w bash -c 'read -s -p "Pass""word: " x < /dev/tty; echo; echo length ${#x}' < /dev/null | cat`,
		} {
			t.Run(name, func(t *testing.T) {
				s := newScreen(t, wrapping{Mask: mask})
				s.send(line + "\n")
				s.expect("Password: ")
				s.send("secret\n")
				if got := s.expect("length 6"); strings.Contains(got, "secret") {
					t.Errorf("it was echoed: %q", got)
				}
				s.expect(prompt)
			})
		}
	})
}

func TestAnInteractiveShellHasJobControlOfItsOwn(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.send("PS1='inner> ' w bash --norc --noprofile --noediting -i\n")
		s.expect("\r\n")
		if got := s.expect("inner> "); strings.Contains(got, "job control") {
			t.Errorf("%q", got)
		}
		s.send("sleep 62.5\n")
		s.expect("\r\n")
		eventually(t, "the inner shell's command in front", func() bool { return inFront(found("sleep\x0062.5")) })
		s.send("\x1a")
		s.expect("Stopped")
		s.expect("inner> ")
		s.send("suspend -f\n") // and the shell as a whole
		s.expect("Stopped")
		s.expect(prompt)
		s.send("fg\n")
		s.expect("\r\n")
		s.send("\n")
		s.expect("inner> ")
		s.send("fg\n")
		s.expect("sleep 62.5\r\n")
		eventually(t, "the inner shell's command in front", func() bool { return inFront(found("sleep\x0062.5")) })
		s.send("\x03")
		s.expect("inner> ")
		s.send("exit 4\n")
		s.expect(prompt)
		if got := s.command("echo $?"); got != "4\r\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestAHangUpEndsTheCommand(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.send("w sh -c 'echo rea\"\"dy $$; exec sleep 60'\n")
		s.expect("ready ")
		var pid int
		_, _ = fmt.Sscan(s.expect("\r\n"), &pid)
		s.file.Close()
		eventually(t, "the command's end", func() bool { return !alive(pid) })
	})
}

func TestAHangUpIsNoticedWhereItsSignalIsIgnored(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		s.command("trap '' HUP") // nohup
		s.send("w sh -c 'echo rea\"\"dy $$; read line'\n")
		s.expect("ready ")
		var pid int
		_, _ = fmt.Sscan(s.expect("\r\n"), &pid)
		s.file.Close()
		eventually(t, "the command's end", func() bool { return !alive(pid) })
	})
}

func TestOutputOnAnotherTerminalLooksLikeOne(t *testing.T) {
	t.Parallel()
	// A stream that is a terminal, but not this process's controlling one.
	master, slave, err := outer.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := outer.Setsize(master, &outer.Winsize{Rows: 12, Cols: 34}); err != nil {
		t.Fatal(err)
	}
	cmd := wrapped(t, wrapping{Mask: "hunter2"}, "sh", "-c", "test -t 1 && stty size <&1; echo hunter2")
	cmd.Stdout, cmd.Stderr = slave, slave
	if code := exitCode(t, cmd.Run()); code != 0 {
		t.Errorf("exit %d", code)
	}
	slave.Close()
	shown, _ := io.ReadAll(master) // ends with EIO, as nobody holds the other end
	if got := string(shown); !regexp.MustCompile(`^12 34\r\n\*\*\*\r\n$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

func TestModesThatAreSavedBeforeTheTerminalIsGivenAreTheRealOnes(t *testing.T) {
	t.Parallel()
	// vim in a pipeline saves them, asks for the terminal, and puts back what it saved.
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		s := newScreen(t, wrapping{Mask: mask})
		plain := s.command("stty -a")
		s.command(`true | w sh -c 'm=$(stty -g < /dev/tty); stty raw -echo < /dev/tty; stty $m < /dev/tty; printf "%s\n" "$m"'`)
		if got := s.command("stty -a"); got != plain {
			t.Errorf("before %q, after %q", plain, got)
		}
	})
}

// alone starts a wrapper as the leader of a session on a terminal, as the first process of a container with one.
func alone(t *testing.T, w wrapping, before []string, argv ...string) *screen {
	t.Helper()
	cmd := wrapped(t, w, argv...)
	if len(before) > 0 {
		needs(t, before[0])
		cmd = exec.Command(before[0], append(before[1:], cmd.Args...)...)
	}
	cmd.SysProcAttr = nil // pty.Start sets it
	f, err := outer.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return watch(t, cmd, f)
}

func TestCtrlZIsIgnoredWhereNobodyCouldContinueTheCommand(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		for name, before := range map[string][]string{
			"leader of its session":    nil,
			"and init, in a container": {"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"},
		} {
			t.Run(name, func(t *testing.T) {
				if before != nil && os.Getuid() != 0 {
					t.Skip("only root may make a namespace")
				}
				s := alone(t, wrapping{Mask: mask}, before, "sh", "-c", "echo rea''dy; cat; echo ended")
				s.expect("ready\r\n")
				s.send("one\n")
				s.expect("one\r\none\r\n")
				s.send("\x1a")
				time.Sleep(300 * time.Millisecond)
				s.send("two\n")
				s.expect("two\r\n")
				s.expect("two\r\n")
				s.send("\x04")
				s.expect("ended\r\n")
			})
		}
	})
}

func TestAsInitOfAContainerOrphansAreReapedAndTheCodeIsKept(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may make a namespace")
	}
	needs(t, "unshare")
	cmd := wrapped(t, wrapping{Mask: "x"}, "sh", "-c", `test $PPID = 1 || echo the wrapper is not init; for i in 1 2 3; do (setsid true &); done; for i in $(seq 300); do ps -eo stat= | grep -q Z || break; sleep 0.1; done; ps -eo stat= | grep Z; (setsid sleep 60 &); kill -9 $$`)
	cmd.Args = append([]string{"unshare", "--pid", "--fork", "--mount-proc"}, cmd.Args...)
	cmd.Path, _ = exec.LookPath("unshare")
	code, out, errs := run(t, cmd)
	if code != 137 || out != "" {
		t.Errorf("exit %d %q %q", code, out, errs)
	}
}

func TestWhereThereCanBeNoPseudoTerminalTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	needs(t, "unshare")
	for name, gone := range map[string]string{"no devpts": "/dev/pts", "no /proc": "/proc"} {
		t.Run(name, func(t *testing.T) {
			s := newScreen(t, wrapping{Mask: "x"})
			got := s.command("unshare -m sh -c 'mount -t tmpfs none " + gone + "; w true; echo co\"\"de $?'")
			for _, want := range []string{"making a pseudo-terminal", "--mask off", "code 125"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q: no %q", got, want)
				}
			}
		})
	}
}
