//go:build unix

package bind

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	hasModes   = true
	systemTemp = "/tmp"
)

// ownedByUs reports whether a file belongs to the user whose rights this process has.
func ownedByUs(info os.FileInfo) bool { return owner(info) == os.Geteuid() }

func owner(info os.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// trusted reports why others could rename or replace what is made in a directory: it is someone else's, or it or one above
// it is open to others' writing and not sticky. The path has no link in it.
//
// A sticky directory may belong to anyone: in a user namespace the host's root is shown as an unknown user.
func trusted(dir string) error {
	for path := dir; ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		sticky := info.Mode()&os.ModeSticky != 0
		uid := owner(info)
		switch open := info.Mode().Perm(); {
		case !info.IsDir():
			return fmt.Errorf("%s is no directory", path)
		case !sticky && open&0o002 != 0:
			return fmt.Errorf("everyone can replace what is in %s (mode %#o, not sticky)", path, open)
		case path == dir && !sticky && open&0o020 != 0:
			return fmt.Errorf("a group can replace what is in %s (mode %#o, not sticky)", path, open)
		case path == dir && !sticky && uid != 0 && uid != os.Geteuid():
			return fmt.Errorf("%s belongs to another user (uid %d)", path, uid)
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}
