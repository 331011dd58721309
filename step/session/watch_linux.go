package session

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Watch calls ended, once, when a process has ended. It holds on to the process itself and not to its number, which may be another's by then
// (pidfd_open(2)).
func Watch(pid int, ended func()) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
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

// Ancestor is the nearest ancestor of a process that runs a program of one of these names (as /proc/PID/comm has them); 0 when there is none.
func Ancestor(pid int, names []string) int {
	for range 64 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0
		}
		// The name is in parentheses, and may hold some (proc_pid_stat(5)).
		begin, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if begin < 0 || end < begin {
			return 0
		}
		if slices.Contains(names, string(stat[begin+1:end])) {
			return pid
		}
		rest := strings.Fields(string(stat[end+1:]))
		if len(rest) < 2 {
			return 0
		}
		if pid, err = strconv.Atoi(rest[1]); err != nil || pid <= 1 {
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
