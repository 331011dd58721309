//go:build unix

package guard

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock takes a file for this process alone, until it is closed; at once or not at all.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
