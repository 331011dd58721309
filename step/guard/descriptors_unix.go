//go:build unix

package guard

import (
	"os"

	"golang.org/x/sys/unix"
)

// sendWith writes text to a socket, and descriptors with its first byte (unix(7), SCM_RIGHTS).
func sendWith(socket *os.File, text []byte, descriptors []int) error {
	if len(descriptors) == 0 {
		_, err := socket.Write(text)
		return err
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var failed error
	if err := raw.Write(func(fd uintptr) bool {
		n, failed = unix.SendmsgN(int(fd), text, unix.UnixRights(descriptors...), nil, 0)
		return failed != unix.EAGAIN
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	_, err = socket.Write(text[n:])
	return err
}

// A reader reads a socket and keeps the descriptors that come with what it reads, in their order.
type reader struct {
	socket *os.File
	came   []*os.File
}

func (r *reader) Read(p []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(16*4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(int(r.socket.Fd()), p, oob, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("recvmsg", err)
		}
		r.keep(oob[:oobn])
		if n == 0 {
			return 0, os.ErrClosed
		}
		return n, nil
	}
}

func (r *reader) keep(oob []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			_ = unix.SetNonblock(fd, true) // shared with the process it came from, which has set it already
			r.came = append(r.came, os.NewFile(uintptr(fd), "connection"))
		}
	}
}

// take returns the next descriptor that came; nil for none.
func (r *reader) take() *os.File {
	if len(r.came) == 0 {
		return nil
	}
	f := r.came[0]
	r.came = r.came[1:]
	return f
}
