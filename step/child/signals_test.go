//go:build linux

package child

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSignalsAreForwardedOnce(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP, 39} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := wrapped(t, wrapping{Mask: "x"}, self(t), "role:traps")
			out, wait := begin(t, cmd)
			_ = cmd.Process.Signal(sig)
			eventually(t, "the signal", func() bool { return strings.Contains(out.String(), "got") })
			time.Sleep(100 * time.Millisecond) // a second one would come now
			_ = cmd.Process.Signal(unix.SIGPWR)
			if code := wait(); code != 5 || out.String() != "got "+sig.String()+"\n" {
				t.Errorf("exit %d, %q", code, out)
			}
		})
	}
}

func TestSignalsReachTheWholeGroup(t *testing.T) {
	t.Parallel()
	cmd := wrapped(t, wrapping{}, "sh", "-c", `trap 'echo outer; wait; exit 4' TERM; sh -c 'trap "echo inner; exit" TERM; echo ready; while :; do sleep 0.02; done' & wait`)
	out, wait := begin(t, cmd)
	_ = cmd.Process.Signal(unix.SIGTERM)
	if code := wait(); code != 4 || !strings.Contains(out.String(), "inner") || !strings.Contains(out.String(), "outer") {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestACommandThatIgnoresTermIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	cmd := wrapped(t, wrapping{Grace: 600 * time.Millisecond, Report: path}, "sh", "-c", `trap '' TERM; echo ready; while :; do sleep 0.1; done`)
	_, wait := begin(t, cmd)
	start := time.Now()
	_ = cmd.Process.Signal(unix.SIGTERM)
	code := wait()
	if took := time.Since(start); took < 600*time.Millisecond || took > patient/2 {
		t.Errorf("it took %v", took)
	}
	if r := readReport(t, path); code != 137 || !r.Killed || r.Stopped != unix.SIGTERM {
		t.Errorf("exit %d, %+v", code, r)
	}
}

func TestASecondSignalShortensTheGraceAndAThirdEndsIt(t *testing.T) {
	begin := time.Now()
	w := &wait{Child: &Child{o: Options{Grace: time.Minute}}}
	for _, c := range []struct{ at, ends time.Duration }{
		{0, time.Minute},
		{20 * time.Millisecond, time.Minute}, // timeout(1) signals its child and then the group it is in: one request
		{sameSignal - 1, time.Minute},
		{10 * time.Second, 10*time.Second + patience},
		{10*time.Second + sameSignal - 1, 10*time.Second + patience},
		{10*time.Second + sameSignal, 10*time.Second + sameSignal},
		{30 * time.Second, 10*time.Second + sameSignal}, // never later than it was
	} {
		w.hurry(unix.SIGTERM, begin.Add(c.at))
		if got := w.deadline.Sub(begin); got != c.ends {
			t.Errorf("a signal at %v: killed at %v, want %v", c.at, got, c.ends)
		}
	}
	short := &wait{Child: &Child{o: Options{Grace: patience / 2}}}
	short.hurry(unix.SIGTERM, begin)
	short.hurry(unix.SIGTERM, begin.Add(sameSignal))
	if got := short.deadline.Sub(begin); got != patience/2 {
		t.Errorf("a second signal gave it more time: %v", got)
	}
}

func TestManySignalsEndACommandThatIgnoresThem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	cmd := wrapped(t, wrapping{Grace: time.Hour, Report: path}, "sh", "-c", `trap '' TERM INT; echo ready; while :; do sleep 0.05; done`)
	_, wait := begin(t, cmd)
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGTERM} {
		_ = cmd.Process.Signal(sig)
		time.Sleep(4 * sameSignal)
	}
	if code := wait(); code != 137 {
		t.Errorf("exit %d", code)
	}
	if r := readReport(t, path); !r.Killed || r.Stopped != unix.SIGINT {
		t.Errorf("%+v", r)
	}
}

func TestTerminateEndsAStoppedCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	cmd := wrapped(t, wrapping{Terminate: 300 * time.Millisecond, Report: path, Grace: 30 * time.Second}, "sh", "-c", `echo ready; kill -STOP $$; echo no`)
	_, wait := begin(t, cmd)
	if code := wait(); code != 128+15 {
		t.Errorf("exit %d", code)
	}
	if r := readReport(t, path); r.Reason != "expired" || r.Killed {
		t.Errorf("%+v", r)
	}
}

func TestIgnoredSignalsStayIgnoredInTheCommand(t *testing.T) {
	t.Parallel()
	// nohup, and a script's background jobs.
	cmd := wrapped(t, wrapping{}, "grep", "SigIgn", "/proc/self/status")
	cmd.Args = append([]string{"sh", "-c", `trap '' HUP INT TSTP USR1 WINCH; exec "$0" "$@"`}, cmd.Args...)
	cmd.Path = "/bin/sh"
	_, out, errs := run(t, cmd)
	var mask uint64
	if _, err := fmt.Sscanf(out, "SigIgn: %x", &mask); err != nil {
		t.Fatal(err, out, errs)
	}
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTSTP} {
		if mask&(1<<(sig-1)) == 0 {
			t.Errorf("%v is not ignored any more (%x)", sig, mask)
		}
	}
}

func TestSignalsNeverIncludesTheRuntimesOwn(t *testing.T) {
	for _, s := range []os.Signal{unix.SIGURG, unix.SIGCHLD, unix.SIGKILL, unix.SIGSTOP, unix.SIGSEGV} {
		if slices.Contains(Signals(), s) {
			t.Errorf("%v", s)
		}
	}
}

func TestNoSignalOfTheCommandIsBlockedOrIgnored(t *testing.T) {
	t.Parallel()
	look := []string{"grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"}
	without, err := exec.Command(look[0], look[1:]...).Output() // what runs the tests may have signals ignored that Go knows nothing of
	if err != nil {
		t.Fatal(err)
	}
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		if _, out, _ := run(t, wrapped(t, wrapping{Mask: mask}, look...)); out != string(without) {
			t.Errorf("%q; without the wrapper %q", out, without)
		}
	})
}
