package bind

import "golang.org/x/sys/unix"

const sharedMemory = "/dev/shm"

// inRAM reports whether a directory is on tmpfs or ramfs, and how many bytes are free there.
func inRAM(dir string) (ram bool, free uint64) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return false, 0
	}
	switch uint32(s.Type) {
	case unix.TMPFS_MAGIC:
		if s.Blocks == 0 {
			return true, 1 << 62 // mounted with size=0: without a limit
		}
		return true, s.Bavail * uint64(s.Bsize)
	case unix.RAMFS_MAGIC:
		return true, 1 << 62 // ramfs has no limit
	}
	return false, 0
}
