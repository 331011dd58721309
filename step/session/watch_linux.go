package session

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Watch calls ended, once, when a process has ended. It holds on to the process itself and not to its number, which may be another's by then
// (pidfd_open(2)). Where there is no such call, or a container's filter of system calls does not know it, the process is known by when it was started.
func Watch(pid int, ended func()) error {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // of the call, for it asks for no permission
		began, alive := startOf(pid)
		if !alive {
			return fmt.Errorf("watching process %d: %w", pid, unix.ESRCH)
		}
		go poll(func() bool {
			now, alive := startOf(pid)
			return alive && now == began
		}, ended)
		return nil
	case err != nil:
		return fmt.Errorf("watching process %d: %w", pid, err)
	}
	go func() {
		defer unix.Close(fd)
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if n > 0 || err != nil && err != unix.EINTR {
				ended()
				return
			}
		}
	}()
	return nil
}

// stat is what /proc says of a process: its name, and the fields that follow it, of which the first is its state (proc_pid_stat(5)); no fields when there is
// none.
func stat(pid int) (name string, fields []string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name is in parentheses, and may hold some.
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if err != nil || begin < 0 || end < begin {
		return "", nil
	}
	return string(text[begin+1 : end]), strings.Fields(string(text[end+1:]))
}

// startOf is when a process was started, in the kernel's ticks. One that nobody has waited for is alive no longer.
func startOf(pid int) (ticks string, alive bool) {
	_, fields := stat(pid)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}

// Ancestor is the nearest ancestor of a process that runs a program of one of these names (as /proc/PID/comm has them); 0 when there is none.
func Ancestor(pid int, names []string) int {
	for range 64 {
		name, fields := stat(pid)
		if len(fields) < 2 {
			return 0
		}
		if slices.Contains(names, name) {
			return pid
		}
		var err error
		if pid, err = strconv.Atoi(fields[1]); err != nil || pid <= 1 {
			return 0
		}
	}
	return 0
}

// Agent is the one process on this machine that has an argument of one of these names, whatever its directory; 0 when there is none, or more than one: a
// job must not end with somebody else's.
func Agent(names []string) int {
	if len(names) == 0 {
		return 0
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	found := 0
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		for arg := range strings.SplitSeq(string(line), "\x00") {
			if slices.Contains(names, filepath.Base(arg)) {
				if found != 0 && found != pid {
					return 0
				}
				found = pid
			}
		}
	}
	return found
}
