//go:build unix && !linux

package session

import (
	"errors"
	"fmt"
	"syscall"
)

// Watch calls ended, once, when there is no process of that number any more: that is all one can ask for on every such system.
func Watch(pid int, ended func()) error {
	alive := func() bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
	if !alive() {
		return fmt.Errorf("watching process %d: %w", pid, syscall.ESRCH)
	}
	go poll(alive, ended)
	return nil
}
