package child

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A sink is where a stream's bytes end up: this process's own stdout or stderr.
//
// It writes to the descriptor itself. os.File would end the whole process with SIGPIPE when the reader of descriptor 1
// or 2 is gone, and nothing may end it before it has revoked.
type sink struct {
	file *os.File // kept, so that the descriptor stays open
	fd   int
	pipe bool // poll(2) can tell when nobody reads any more what is written

	undo atomic.Bool // "\r\n" is written as "\n": the terminal behind makes it what it was

	mu  sync.Mutex
	err error // the first error; nothing is written after it
}

func newSink(f *os.File) (*sink, error) {
	fd, err := descriptor(f)
	return &sink{file: f, fd: fd, pipe: err == nil && isPipe(fd)}, err
}

// descriptor is f.Fd without its side effect: Fd makes the file blocking, for every process that shares it.
func descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	n := -1
	err = raw.Control(func(fd uintptr) { n = int(fd) })
	return n, err
}

// Write writes all of p, waiting for a slow reader as long as it takes.
func (s *sink) Write(p []byte) (int, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	whole := len(p)
	if s.undo.Load() {
		p = bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n"))
	}
	done := 0
	for done < len(p) {
		n, err := unix.Write(s.fd, p[done:])
		switch {
		case n > 0:
			done += n
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN): // whoever shares the file has made it non-blocking
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, -1)
		case err != nil:
			s.fail(err)
			return done, err
		}
	}
	return whole, nil
}

func (s *sink) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func isPipe(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	kind := st.Mode & unix.S_IFMT
	return kind == unix.S_IFIFO || kind == unix.S_IFSOCK
}

// sameOutput reports whether what is written to two descriptors ends up in one sequence: the same pipe, socket, terminal,
// one file opened once ("2>&1"), or one that both append to. A file opened twice otherwise has two positions and is not the same.
func sameOutput(a, b int) bool {
	if a == b {
		return true
	}
	var x, y unix.Stat_t
	if unix.Fstat(a, &x) != nil || unix.Fstat(b, &y) != nil || x.Dev != y.Dev || x.Ino != y.Ino {
		return false
	}
	switch x.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR:
		return true
	}
	if appends(a) && appends(b) {
		return true
	}
	const kcmpFile = 0 // KCMP_FILE of kcmp(2): 0 when both are one open file
	pid := uintptr(os.Getpid())
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	if errno != 0 { // Docker's seccomp profile and some kernels do without it
		return oneLock(a, b)
	}
	return order == 0
}

func appends(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_APPEND != 0
}

// oneLock reports whether two descriptors of one file are one open file: only then does a lock of the one not keep the other from
// locking (F_OFD_SETLK, fcntl(2)). It is a lock of a byte that no file has, for a moment.
func oneLock(a, b int) bool {
	beyond := func(kind int16) *unix.Flock_t {
		return &unix.Flock_t{Type: kind, Whence: unix.SEEK_SET, Start: 1 << 62, Len: 1}
	}
	if unix.FcntlFlock(uintptr(a), unix.F_OFD_SETLK, beyond(unix.F_WRLCK)) != nil {
		return false
	}
	defer func() { _ = unix.FcntlFlock(uintptr(a), unix.F_OFD_SETLK, beyond(unix.F_UNLCK)) }()
	found := beyond(unix.F_WRLCK)
	return unix.FcntlFlock(uintptr(b), unix.F_OFD_GETLK, found) == nil && found.Type == unix.F_UNLCK
}
