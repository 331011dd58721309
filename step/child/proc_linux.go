package child

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A process as /proc/PID/stat tells it (proc_pid_stat(5)).
type process struct {
	pid, parent, group, session int
	state                       byte   // 'Z': ended, not reaped
	start                       uint64 // clock ticks after boot; with pid it names a process for good
}

// ended reports whether the process is a zombie, or not even that.
func (p process) ended() bool { return p.state == 'Z' || p.state == 'X' }

func lookAt(pid int) (process, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}
	return parseStat(pid, string(b))
}

var errStat = errors.New("unreadable /proc stat line")

func parseStat(pid int, line string) (process, error) {
	// The name in parentheses may hold anything, parentheses and line ends included; what follows the last one does not.
	i := strings.LastIndexByte(line, ')')
	if i < 0 {
		return process{}, errStat
	}
	f := strings.Fields(line[i+1:])
	if len(f) < 20 {
		return process{}, errStat
	}
	p := process{pid: pid, state: f[0][0]}
	var errs [4]error
	p.parent, errs[0] = strconv.Atoi(f[1])
	p.group, errs[1] = strconv.Atoi(f[2])
	p.session, errs[2] = strconv.Atoi(f[3])
	p.start, errs[3] = strconv.ParseUint(f[19], 10, 64)
	return p, errors.Join(errs[:]...)
}

// childrenOf lists the children of a process. Each thread has its own list.
func childrenOf(pid int) []int {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return nil // gone
	}
	var pids []int
	for _, t := range threads {
		b, err := os.ReadFile(tasks + "/" + t.Name() + "/children")
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat("/proc/thread-self/children"); err != nil {
				return childrenByScan(pid) // a kernel without CONFIG_PROC_CHILDREN
			}
			continue // the thread is gone
		}
		for f := range bytes.FieldsSeq(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

func childrenByScan(pid int) []int {
	var pids []int
	for _, p := range processes() {
		if p.parent == pid {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := lookAt(pid); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// signalProcess signals exactly the process that was looked at, not another that has since got its number.
func signalProcess(p process, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.3, or under an old seccomp profile
		return unix.Kill(p.pid, sig)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if now, err := lookAt(p.pid); err != nil || now.start != p.start {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// A change is what waitid(2) says of a child.
type change struct {
	code   int32 // CLD_*
	status int   // the exit code, or the signal
}

// The values of si_code that waitid(2) names.
const (
	cldExited  = 1
	cldKilled  = 2
	cldDumped  = 3
	cldStopped = 5
)

func (c change) ended() bool   { return c.code >= cldExited && c.code <= cldDumped }
func (c change) stopped() bool { return c.code == cldStopped }

// peek returns what there is to know of a child without waiting for it. An end is left where it is: the child stays a
// zombie, so that neither its number nor its group's is given to another. A stop is taken note of once.
func peek(pid int) (change, error) {
	c, err := waitid(pid, unix.WEXITED|unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT)
	if err == nil && c.stopped() {
		return waitid(pid, unix.WSTOPPED|unix.WNOHANG)
	}
	return c, err
}

// reap buries an ended child; false when it has not ended.
func reap(pid int) bool {
	c, err := waitid(pid, unix.WEXITED|unix.WNOHANG)
	return err == nil && c.ended()
}

func waitid(pid, options int) (change, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, options, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return change{}, err
		}
		if info.Signo == 0 { // WNOHANG and nothing to say
			return change{}, nil
		}
		// siginfo_t continues with pid, uid and status; the union they are in is aligned like a pointer.
		offset := 3*4 + unsafe.Sizeof(uintptr(0)) - 4 + 2*4
		status := *(*int32)(unsafe.Add(unsafe.Pointer(&info), offset))
		return change{code: info.Code, status: int(status)}, nil
	}
}

// pause is how long to wait before looking again for processes that are being ended; growing, to leave them the machine.
func pause(round int) time.Duration {
	return min(time.Millisecond<<min(round, 5), 25*time.Millisecond)
}
