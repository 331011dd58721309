package receipt

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// duplicate is what /proc/self/fd/N stands for. Opened by that name a file would be written to from its beginning, a pipe of another user's would be refused, and so
// would a socket.
func duplicate(path string) (*os.File, error) {
	n, err := strconv.Atoi(filepath.Base(path))
	if err != nil {
		return nil, os.ErrNotExist
	}
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}
