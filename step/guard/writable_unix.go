//go:build unix

package guard

import "golang.org/x/sys/unix"

// writable says why no file could be made in a directory.
func writable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
