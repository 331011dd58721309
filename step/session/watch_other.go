//go:build !linux

package session

import "errors"

// Watch is not there on this system: a session ends with its job's time.
func Watch(int, func()) error {
	return errors.New("a process cannot be watched on this system; --job-timeout is what ends a forgotten session")
}

// Ancestor finds none on this system.
func Ancestor(int, []string) int { return 0 }

// Agent is none on this system.
func Agent([]string) int { return 0 }
