package harness

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// serverRoot is where servers keep their data: in memory where there is plenty, because a cluster is a thousand small files (measured
// on a busy disk: 0.5 s to start against 0.07 s). "" is the system's temporary directory.
func serverRoot() string {
	const shm, plenty = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(shm, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < plenty {
		return ""
	}
	return shm
}

// procAttr makes the server run as its account, in a process group of its own (a Ctrl-C at the tests is theirs to handle), and
// end with the process that started it.
func procAttr(as *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if as != nil {
		attr.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return attr
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var children []int
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The second field, the name, may hold anything: the rest begins after its last parenthesis (proc(5)).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			children = append(children, id)
		}
	}
	return children
}
