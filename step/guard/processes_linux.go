package guard

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// ignoreSignals leaves nothing but SIGKILL and SIGSTOP to end or stop a guard.
func ignoreSignals() {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGALRM,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGXCPU, syscall.SIGVTALRM, syscall.SIGPROF)
}

// endProcesses kills the command's process group, every process that carries the run's mark, and all that descend from those; again and
// again until none is found, for a process may start another while the list is read.
func endProcesses(run string, c *Command) error {
	if c == nil { // not told of yet, and yet it may have been started a moment ago
		c = &Command{Group: -1}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		found := victims(processes(), run, *c)
		if len(found) == 0 {
			return nil
		}
		for _, pid := range found {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("guard: %d processes of the command cannot be killed", len(found))
		}
	}
}

// A process is what /proc says of one.
type process struct {
	pid, parent, group int
	start              uint64
	dead               bool // a zombie: nothing left to kill
}

// victims are the processes of the command's group (unless that number now names another group), those with the run's mark in
// their environment, and their descendants; never the guard itself, nor the guard of a run within this run, which has work of its own to do when that is
// killed.
func victims(all []process, run string, c Command) []int {
	reused := slices.ContainsFunc(all, func(p process) bool { return p.pid == c.Group && p.start != c.Start && c.PID == c.Group })
	mark := []byte(RunVariable + "=" + run)
	self := os.Getpid()
	doomed := map[int]bool{}
	for _, p := range all {
		if p.group == c.Group && !reused || marked(p.pid, mark) {
			doomed[p.pid] = true
		}
	}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if doomed[p.parent] && !doomed[p.pid] && !IsGuard(p.pid) {
				doomed[p.pid], grew = true, true
			}
		}
	}
	var pids []int
	for _, p := range all {
		if doomed[p.pid] && !p.dead && p.pid != self && p.pid != 1 {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// IsGuard reports whether a process is the guard of some run, by what it was started as (see Spawn).
func IsGuard(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	args := strings.Split(string(line), "\x00")
	return len(args) == 4 && args[0] == program && args[1] == Arg && args[2] != "" && args[3] == ""
}

// Running lists the processes that carry a run's mark.
func Running(run string) []int {
	var pids []int
	mark := []byte(RunVariable + "=" + run)
	for _, p := range processes() {
		if !p.dead && marked(p.pid, mark) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// marked reports whether a process was started with the mark in its environment.
func marked(pid int, mark []byte) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, mark) {
			return true
		}
	}
	return false
}

func processes() []process {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// readProcess reads /proc/PID/stat (proc_pid_stat(5)). The name in it may hold spaces and parentheses; the last one ends it.
func readProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 20 {
		return process{}, false
	}
	parent, _ := strconv.Atoi(f[1])
	group, _ := strconv.Atoi(f[2])
	start, _ := strconv.ParseUint(f[19], 10, 64)
	return process{pid: pid, parent: parent, group: group, start: start, dead: f[0] == "Z" || f[0] == "X"}, true
}

// startTime names a process beyond its number; 0 when there is none, or when it has ended and nobody has waited for it (the first process of a
// container often does not).
func startTime(pid int) uint64 {
	p, _ := readProcess(pid)
	if p.dead {
		return 0
	}
	return p.start
}
