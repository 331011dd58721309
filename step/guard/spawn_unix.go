//go:build unix

package guard

import (
	"os"
	"syscall"
)

// spawn starts the guard's process.
func spawn(exe, run string) (*os.Process, *os.File, error) {
	return Spawn(exe, "/", Arg, run) // the root holds no mount
}

// Self is this very binary, also when its file was replaced or removed since.
func Self() string { return selfExe }

// Spawn starts this program once more, to outlive what kills this process: with a session of its own and no terminal, none of the standard streams,
// and an environment that holds neither a secret nor a mark by which a CI agent finds the processes of a job. Its descriptor 3 is one end of a
// socket; the other is returned.
func Spawn(exe, dir string, args ...string) (*os.Process, *os.File, error) {
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
	process, err := os.StartProcess(exe, append([]string{program}, args...), &os.ProcAttr{
		Dir:   dir,
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
