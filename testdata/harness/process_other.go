//go:build !linux && !windows

package harness

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// serverRoot is where servers keep their data: the system's temporary directory.
func serverRoot() string { return "" }

// procAttr makes the server run as its account. There is no parent-death signal here: t.Cleanup alone ends it.
func procAttr(as *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		attr.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return attr
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	out, _ := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	var children []int
	for _, field := range strings.Fields(string(out)) {
		if id, err := strconv.Atoi(field); err == nil {
			children = append(children, id)
		}
	}
	return children
}
