//go:build unix && !linux

package child

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes give the command a group of its own, unless there is a terminal: there the keyboard's signals must reach
// it, and without job control of ours they do only in the group that is in the foreground already.
func attributes(Options) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: !onTerminal()}
}

func onTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func group(pid int) int {
	if g, err := unix.Getpgid(pid); err == nil && g != unix.Getpgrp() {
		return g
	}
	return 0 // it shares this process's group, which nobody may kill for the command's sake
}

func send(p *os.Process, s os.Signal) error {
	n, ok := s.(syscall.Signal)
	if g := group(p.Pid); ok && g > 0 {
		return unix.Kill(-g, n)
	}
	if n == unix.SIGINT || n == unix.SIGQUIT || n == unix.SIGTSTP || n == unix.SIGWINCH {
		return nil // the terminal has sent it to the whole group
	}
	return p.Signal(s)
}
