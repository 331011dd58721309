//go:build unix

package command

import (
	"os"
	"os/exec"
	"syscall"
)

// prepare puts the program into a process group of its own, which ends as one, and gives it the pipe by which others know that it is at work. What it
// returns is called when the program has ended.
func (s *Session) prepare(c *exec.Cmd) (release func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.ExtraFiles = []*os.File{w}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	held := s.hold(r)
	return func() {
		held()
		r.Close()
		w.Close()
	}, nil
}
