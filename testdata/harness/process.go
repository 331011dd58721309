//go:build !windows

package harness

import (
	"errors"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An account is whom a server runs as when the tests run as root.
type account struct{ uid, gid uint32 }

func accountOf(t testing.TB, name string) *account {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		Missing(t, "the account %s (it comes with the server's Debian package): %v", name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &account{uint32(uid), uint32(gid)}
}

// A process is a server's that runs.
type process struct {
	pid   int
	ended chan struct{}
}

// startProcess runs the command from a thread that lives as long as it does, because a parent-death signal is sent when the
// starting thread ends, not the process (golang.org/issue/27505).
func startProcess(c *exec.Cmd) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		if err == nil {
			p.pid = c.Process.Pid
		}
		started <- err
		if err == nil {
			_ = c.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// end sends the signal and waits; after ten seconds it kills.
func (p *process) end(sig syscall.Signal) {
	p.pause(false)
	_ = syscall.Kill(p.pid, sig)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.ended
	}
}

// pause stops or continues the process and every one it started.
func (p *process) pause(on bool) {
	sig := syscall.SIGCONT
	if on {
		sig = syscall.SIGSTOP
	}
	_ = syscall.Kill(p.pid, sig) // first, so that it starts no more
	for _, child := range childrenOf(p.pid) {
		_ = syscall.Kill(child, sig)
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
