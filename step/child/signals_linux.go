package child

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// realTimeSignals leaves out the first three, which C libraries use for themselves.
func realTimeSignals() []syscall.Signal {
	list := []syscall.Signal{unix.SIGPWR}
	for n := syscall.Signal(35); n <= 64; n++ {
		list = append(list, n)
	}
	return list
}

// ignoredSignals tells which signals are ignored now. os/signal knows it of SIGHUP and SIGINT only.
func ignoredSignals() func(syscall.Signal) bool {
	ignored := signalSet("self", "SigIgn")
	return func(s syscall.Signal) bool { return has(ignored, s) }
}

// pending reports whether a signal has been sent to a process, stopped as it is, and not been delivered.
func pending(pid int, s syscall.Signal) bool { return has(signalSet(strconv.Itoa(pid), "ShdPnd"), s) }

// signalSet reads one of the sets of signals in /proc/PID/status (proc_pid_status(5)); empty if there is none.
func signalSet(pid, name string) (set uint64) {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			set, _ = strconv.ParseUint(strings.TrimSpace(v), 16, 64)
		}
	}
	return set
}

func has(set uint64, s syscall.Signal) bool { return s > 0 && s <= 64 && set&(1<<(s-1)) != 0 }
