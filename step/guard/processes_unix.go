//go:build unix && !linux

package guard

import "syscall"

// endProcesses kills the command's process group; without /proc what left it cannot be found.
func endProcesses(_ string, c *Command) error {
	if c != nil {
		syscall.Kill(-c.Group, syscall.SIGKILL)
	}
	return nil
}
