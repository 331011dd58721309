//go:build linux

package child

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSignalsAreForwardedOnce(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP, 39} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := wrapped(t, wrapping{Mask: "x"}, self(t), "role:traps")
			out, wait := begin(t, cmd)
			_ = cmd.Process.Signal(sig)
			time.Sleep(100 * time.Millisecond)
			_ = cmd.Process.Signal(unix.SIGPWR)
			if code := wait(); code != 5 || out.String() != "got "+sig.String()+"\n" {
				t.Errorf("exit %d, %q", code, out)
			}
		})
	}
}

func TestSignalsReachTheWholeGroup(t *testing.T) {
	cmd := wrapped(t, wrapping{}, "sh", "-c", `sh -c 'trap "echo inner; exit" TERM; echo ready; while :; do sleep 0.02; done' & trap 'echo outer; wait; exit 4' TERM; wait`)
	out, wait := begin(t, cmd)
	_ = cmd.Process.Signal(unix.SIGTERM)
	if code := wait(); code != 4 || !strings.Contains(out.String(), "inner") || !strings.Contains(out.String(), "outer") {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestACommandThatIgnoresTermIsKilledAfterTheGrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	cmd := wrapped(t, wrapping{Grace: 600 * time.Millisecond, Report: path}, "sh", "-c", `trap '' TERM; echo ready; while :; do sleep 0.1; done`)
	_, wait := begin(t, cmd)
	start := time.Now()
	_ = cmd.Process.Signal(unix.SIGTERM)
	code := wait()
	if took := time.Since(start); took < 600*time.Millisecond || took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := readReport(t, path); code != 137 || !r.Killed || r.Stopped != unix.SIGTERM {
		t.Errorf("exit %d, %+v", code, r)
	}
}

func TestASecondSignalShortensTheGraceAndAThirdEndsIt(t *testing.T) {
	for signals, limits := range map[int][2]time.Duration{2: {patience, patience + 2*time.Second}, 3: {0, patience}} {
		cmd := wrapped(t, wrapping{Grace: time.Minute}, "sh", "-c", `trap '' TERM INT; echo ready; while :; do sleep 0.05; done`)
		_, wait := begin(t, cmd)
		var last time.Time
		for range signals {
			last = time.Now()
			_ = cmd.Process.Signal(unix.SIGTERM)
			time.Sleep(sameSignal + 50*time.Millisecond)
		}
		if code := wait(); code != 137 {
			t.Errorf("exit %d", code)
		}
		if took := time.Since(last); took < limits[0] || took > limits[1] {
			t.Errorf("%d signals: %v after the last", signals, took)
		}
	}
}

func TestOneRequestSentTwiceIsNotASecondSignal(t *testing.T) {
	// timeout(1) signals its child and then the group it is in.
	cmd := wrapped(t, wrapping{Grace: 20 * time.Second}, "sh", "-c", `trap '' TERM; echo ready; sleep 2; exit 6`)
	_, wait := begin(t, cmd)
	_ = cmd.Process.Signal(unix.SIGTERM)
	time.Sleep(20 * time.Millisecond)
	_ = cmd.Process.Signal(unix.SIGTERM)
	if code := wait(); code != 6 {
		t.Errorf("exit %d: the grace was cut short", code)
	}
}

func TestTerminateEndsAStoppedCommand(t *testing.T) {
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
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		_, out, _ := run(t, wrapped(t, wrapping{Mask: mask}, "grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"))
		if out != "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" {
			t.Errorf("%q", out)
		}
	})
}
