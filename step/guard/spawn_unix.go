//go:build unix

package guard

import (
	"os"
	"syscall"
)

// spawn starts the guard's process with one end of a socket as its descriptor 3, and returns the other.
func spawn(exe, run string) (*os.Process, *os.File, error) {
	// The lock keeps a fork elsewhere in this program from inheriting the parent's end before it is marked close-on-exec: a
	// command that held it would keep the guard from ever seeing this process die.
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
		err = syscall.SetNonblock(pair[0], true) // so that Close wakes a Read
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "guard"), os.NewFile(uintptr(pair[1]), "guard")
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	defer null.Close()
	process, err := os.StartProcess(exe, []string{"with-creds", Arg, run}, &os.ProcAttr{
		Dir:   "/",                          // holds no mount
		Env:   []string{"GOTRACEBACK=none"}, // no cookie of a CI agent, no secret, and no secret in a crash's trace either
		Files: []*os.File{null, null, null, theirs},
		Sys:   &syscall.SysProcAttr{Setsid: true}, // out of the reach of the terminal and of kill -9 -PGID
	})
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	return process, ours, nil
}
