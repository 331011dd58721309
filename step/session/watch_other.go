//go:build !linux

package session

// Ancestor finds none on this system.
func Ancestor(int, []string) int { return 0 }

// Agent is none on this system.
func Agent([]string) int { return 0 }
