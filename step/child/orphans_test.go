//go:build linux

package child

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is a shell command that leaves a process behind as daemons do: a session of its own, its parent gone.
const daemon = `setsid sh -c 'sh -c "echo \$\$ > %s; exec %s" </dev/null >/dev/null 2>&1 &' ; while ! test -s %[1]s; do sleep 0.01; done`

func TestDaemonsAreGoneAfterWait(t *testing.T) {
	t.Parallel()
	withAndWithoutMask(t, func(t *testing.T, mask string) {
		dir := t.TempDir()
		pids, out := filepath.Join(dir, "pid"), filepath.Join(dir, "report")
		start := time.Now()
		code, _, errs := run(t, wrapped(t, wrapping{Mask: mask, Report: out, Grace: patient}, "sh", "-c", fmt.Sprintf(daemon, pids, "sleep 60")+"; exit 3"))
		if code != 3 || errs != "" {
			t.Errorf("exit %d %q", code, errs)
		}
		if pid := number(t, pids); alive(pid) {
			t.Errorf("%d is still there", pid)
		}
		if r := readReport(t, out); r.Orphans != 1 || len(r.Left) != 0 || r.Killed {
			t.Errorf("%+v", r)
		}
		if took := time.Since(start); took > patient/2 {
			t.Errorf("a daemon that ends when it is asked to took %v", took)
		}
	})
}

func TestADaemonThatIgnoresTermIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pid")
	script := filepath.Join(t.TempDir(), "stubborn")
	program(t, script, fmt.Sprintf("#!/bin/sh\ntrap '' TERM HUP\necho $$ > %s\nwhile :; do sleep 1; done\n", pids))
	leave := fmt.Sprintf("(setsid %s </dev/null >/dev/null 2>&1 &); while ! test -s %s; do sleep 0.01; done", script, pids)
	start := time.Now()
	code, _, _ := run(t, wrapped(t, wrapping{Grace: 500 * time.Millisecond}, "sh", "-c", leave))
	if took := time.Since(start); code != 0 || took < 500*time.Millisecond || took > patient/2 {
		t.Errorf("exit %d after %v", code, took)
	}
	if pid := number(t, pids); alive(pid) {
		t.Errorf("%d is still there", pid)
	}
	for _, p := range processes() {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); strings.Contains(string(b), script) {
			t.Errorf("%q is still there", b)
		}
	}
}

func TestTheWholeTreeIsGoneWhenTheCommandIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := fmt.Sprintf(`for i in 1 2 3; do (setsid sh -c 'trap "" TERM; echo $$ > %s/'$i'; while :; do sleep 0.5; done' &); done; trap "" TERM; echo ready; while :; do sleep 0.5; done`, dir)
	const grace = time.Second
	cmd := wrapped(t, wrapping{Grace: grace}, "sh", "-c", script)
	_, wait := begin(t, cmd)
	var pids []int
	for i := 1; i <= 3; i++ {
		pids = append(pids, number(t, fmt.Sprintf("%s/%d", dir, i)))
	}
	start := time.Now()
	_ = cmd.Process.Signal(unix.SIGTERM)
	if code := wait(); code != 137 {
		t.Errorf("exit %d", code)
	}
	// One grace for all of them, not one for the command and another for what it left.
	if took := time.Since(start); took > 2*grace {
		t.Errorf("it took %v", took)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("%d is still there", pid)
		}
	}
}

func TestProcessesThatKeepStartingOthersAreEnded(t *testing.T) {
	t.Parallel()
	// Each of them starts its successor and ends; none is there long enough to be asked first and killed later.
	path := filepath.Join(t.TempDir(), "hop")
	program(t, path, "#!/bin/sh\ntrap '' TERM\nsetsid $0 >/dev/null 2>&1 &\n")
	code, _, errs := run(t, wrapped(t, wrapping{Grace: 200 * time.Millisecond}, "sh", "-c", path+" & sleep 0.2"))
	if code != 0 || strings.Contains(errs, "warning") {
		t.Errorf("exit %d %q", code, errs)
	}
	for _, p := range processes() {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); strings.Contains(string(b), path) {
			t.Errorf("%q is still there", b)
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
	}
}

func TestZombiesAreReapedWhileTheCommandRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := wrapped(t, wrapping{}, "sh", "-c", fmt.Sprintf(`for i in 1 2 3 4 5; do (setsid sh -c "echo \$\$ > %s/$i; sleep 0.05" &); done; echo ready; exec sleep 60`, dir))
	_, wait := begin(t, cmd)
	for i := 1; i <= 5; i++ {
		pid := number(t, fmt.Sprintf("%s/%d", dir, i))
		eventually(t, "the end of an orphan and of its zombie", func() bool { _, err := lookAt(pid); return err != nil })
	}
	_ = cmd.Process.Signal(unix.SIGTERM)
	if code := wait(); code != 128+15 {
		t.Errorf("exit %d", code)
	}
}

func TestSparedChildrenAreNeitherReapedNorEnded(t *testing.T) {
	// The guard: a child in a session of its own, started while the command runs.
	var guard int
	c, err := Start(Options{Argv: []string{"sleep", "60"}, Env: os.Environ(), Grace: 200 * time.Millisecond, Spare: func(pid int) bool { return pid == guard }})
	if err != nil {
		t.Fatal(err)
	}
	g := wrapped(t, wrapping{}, "sleep", "60") // setsid
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	guard = g.Process.Pid
	eventually(t, "the guard's own child", func() bool { return len(childrenOf(guard)) > 0 })
	c.Terminate("")
	r := c.Wait(nil)
	if !alive(guard) || len(childrenOf(guard)) == 0 || r.Orphans != 0 {
		t.Errorf("%+v", r)
	}
	_ = g.Process.Signal(unix.SIGTERM)
	if code := exitCode(t, g.Wait()); code != 128+15 {
		t.Errorf("its status was lost: %d", code)
	}
}

func TestAnotherUsersOrphanIsReportedAndNotWaitedFor(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make another user's process")
	}
	if mountedNoSuid("/tmp") {
		t.Skip("/tmp is mounted nosuid")
	}
	// The wrapper becomes nobody; what its command leaves behind becomes root by a set-user-id program, as with sudo.
	dir, err := os.MkdirTemp("/tmp", "with-creds-child-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"": 0o755, "/wrapper": 0o755, "/root": 0o755 | os.ModeSetuid} {
		if name != "" {
			if err := os.WriteFile(dir+name, b, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := wrapped(t, wrapping{Grace: 300 * time.Millisecond}, "sh", "-c", fmt.Sprintf("%s/root role:root %[1]s/is-root & while ! test -e %[1]s/is-root; do sleep 0.01; done", dir))
	cmd.Path = dir + "/wrapper"
	cmd.SysProcAttr.Credential = nobody
	start := time.Now()
	code, _, errs := run(t, cmd)
	if code != 0 || !strings.Contains(errs, "could not be ended") || time.Since(start) > patient/2 {
		t.Errorf("exit %d after %v: %q", code, time.Since(start), errs)
	}
	if pid := found(dir + "/root\x00role:root\x00" + dir + "/is-root"); pid > 0 {
		_ = unix.Kill(pid, unix.SIGKILL)
	} else {
		t.Error("the process was not there: the test shows nothing")
	}
}

func TestStatLinesWithAnyNameAreRead(t *testing.T) {
	line := "17 (a ) S 1 (x\n) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 424242 23"
	p, err := parseStat(17, line)
	if err != nil || p != (process{pid: 17, parent: 4, group: 5, session: 6, state: 'R', start: 424242}) {
		t.Errorf("%+v %v", p, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) R", "1 (x) R a b c d e f g h i j k l m n o p q r s t u"} {
		if _, err := parseStat(1, bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestChildrenAreFoundWithoutTheKernelsList(t *testing.T) {
	t.Parallel()
	cmd := wrapped(t, wrapping{}, "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(unix.SIGTERM); _ = cmd.Wait() }()
	eventually(t, "its child", func() bool { return len(childrenOf(cmd.Process.Pid)) == 1 })
	if a, b := childrenOf(cmd.Process.Pid), childrenByScan(cmd.Process.Pid); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%v and %v", a, b)
	}
}
