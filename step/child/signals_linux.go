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
	var mask uint64
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "SigIgn:"); ok {
				mask, _ = strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			}
		}
	}
	return func(s syscall.Signal) bool { return s > 0 && s <= 64 && mask&(1<<(s-1)) != 0 }
}
