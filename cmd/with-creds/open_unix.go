//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// noFollow refuses a symbolic link in the place of the file itself, and does not wait for a writer when it is a pipe.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// notMine says why somebody else may have written the file; nil when nobody can have.
func notMine(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case !ok:
		return errors.New("its owner cannot be known; name it with --config")
	case int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to another user (uid %d); name it with --config if you trust it", stat.Uid)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others can write it (mode %04o): chmod go-w it", info.Mode().Perm())
	}
	return nil
}
