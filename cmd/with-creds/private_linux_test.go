package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the account these tests run with-creds as when they are root's: for root nothing is private.
const nobody = 65534

// ofOneUser makes `with-creds FLAGS… -- COMMAND…` of an account that is not root's, in a directory of its own.
func ofOneUser(t *testing.T, s *source, command ...string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "with-creds-private-") // t.TempDir() is closed to other accounts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe := filepath.Join(dir, "with-creds")
	if err := linkOrCopy(product(t), exe); err != nil {
		t.Fatal(err)
	}
	// The limit that the command must find again is one that nobody else would set.
	args := []string{"-c", `ulimit -S -c 7777 && exec "$@"`, "sh", exe, "--quiet"}
	for _, spec := range s.specs {
		args = append(args, "-c", spec)
	}
	c := exec.Command("sh", append(append(args, "--"), command...)...)
	c.Dir = dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "GOTRACEBACK=crash"}
	for name, value := range s.env {
		c.Env = append(c.Env, name+"="+value)
	}
	c.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		c.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return c
}

// The command is a process of the same user's. It may look at its own processes and not at those of with-creds.
const lookAround = `
look() { if cat /proc/$1/environ /proc/$1/maps >/dev/null 2>&1; then echo "$2 is open"; else echo "$2 is closed"; fi; }
sleep 60 &
look $! 'a process of its own'
kill $!
look $PPID with-creds
for cmdline in /proc/[0-9]*/cmdline; do
	[ "$(tr '\0' ' ' <$cmdline 2>/dev/null)" = "with-creds guard $WITH_CREDS_RUN " ] || continue
	pid=${cmdline%/cmdline}
	look ${pid#/proc/} 'the guard'
done
echo "core limit $(ulimit -S -c)"
`

func TestMemoryAndEnvironmentOfTheRunAndItsGuardAreClosedToTheSameUser(t *testing.T) {
	row, _ := postgresRow(t)
	c := ofOneUser(t, row.direct(t, 1), "sh", "-c", lookAround)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	const want = "a process of its own is open\nwith-creds is closed\nthe guard is closed\ncore limit 7777\n"
	if string(out) != want {
		t.Errorf("the command finds\n%swant\n%s%s", out, want, stderr.String())
	}
}

func TestACrashOfTheRunDumpsNoCore(t *testing.T) {
	t.Parallel() // Go's runtime takes ten seconds to end so
	control := exec.Command("sh", "-c", "ulimit -S -c 7777; kill -ABRT $$")
	control.Dir = t.TempDir()
	if _ = control.Run(); !control.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
		t.Skip("nothing dumps core here")
	}
	row, _ := postgresRow(t)
	s := row.direct(t, 1)
	c := ofOneUser(t, s, "sh", "-c", "kill -SEGV $PPID; sleep 60")
	var stderr strings.Builder
	c.Stderr = &stderr
	_ = c.Run()
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.CoreDump() {
		t.Errorf("killed by a signal: %t, with a core: %t; want a signal and no core\n%s", status.Signaled(), status.CoreDump(), stderr.String())
	}
	if !within(30*time.Second, func() error {
		if left := s.left(); len(left) > 0 {
			return os.ErrExist
		}
		return nil
	}) {
		t.Errorf("left: %q", s.left())
	}
}
