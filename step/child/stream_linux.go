package child

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// chunk is how much is read at a time: what a pipe holds. A command that fills it is given wider ones, for there is a change of
// processes for each of them, which costs 2 µs and more. Not from the beginning: a user's pipes share 64 MB (pipe(7), pipe-user-pages-soft).
const (
	chunk     = 64 << 10
	wideChunk = 256 << 10
	widePipe  = 1 << 20
)

// A stream copies what the command writes into one pipe or pseudo-terminal through the mask to a sink.
//
// It reads by itself and not through os.File, for two things an os.File cannot do: say that all that was written so far
// has been passed on, and notice that the reader of the sink is gone while the command is silent.
type stream struct {
	src    int // non-blocking; closed by run unless it is a terminal's
	name   string
	sink   *sink
	masked io.WriteCloser
	tty    bool            // src is a pseudo-terminal's master, which stays open after run
	keys   *keys           // what is typed there; nil: nobody does
	follow func(idle bool) // is told of each read, and when there is nothing more to read; may be nil

	wake int // an eventfd: there is something in asks
	asks chan ask
	done chan struct{} // closed when nothing more is copied
}

// An ask is answered when all the stream held at that time has been passed on.
type ask struct {
	answered chan struct{}
	last     bool // and then stop, whoever still holds the other end
}

func newStream(src int, name string, to *os.File, mask func(io.Writer) io.WriteCloser) (*stream, error) {
	s := &stream{src: src, name: name, asks: make(chan ask, 4), done: make(chan struct{})}
	var err error
	if s.sink, err = newSink(to); err != nil {
		return nil, err
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("making an event descriptor: %w", err)
	}
	s.masked = mask(s.sink)
	return s, nil
}

// newPipe returns a stream and the end the command writes to.
func newPipe(name string, to *os.File, mask func(io.Writer) io.WriteCloser) (*stream, int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, fmt.Errorf("making a pipe for %s: %w", name, err)
	}
	err := unix.SetNonblock(p[0], true) // the reading end alone: the command's must block as any
	if err == nil {
		var s *stream
		if s, err = newStream(p[0], name, to, mask); err == nil {
			return s, p[1], nil
		}
	}
	_ = unix.Close(p[0])
	_ = unix.Close(p[1])
	return nil, -1, err
}

func (s *stream) run() {
	defer close(s.done)
	var (
		buf     = make([]byte, chunk)
		pending []ask
		left    = -1 // after the last ask: how much is still to be read at most
	)
	defer func() { s.finish(pending) }()
	for {
		select {
		case a := <-s.asks:
			pending = append(pending, a)
			if a.last && left < 0 {
				left = s.capacity()
			}
		default:
		}
		n, err := unix.Read(s.src, buf)
		switch {
		case n > 0:
			s.told(false)
			if err := s.pass(buf[:n]); err != nil {
				s.sink.fail(err)
			}
			if left >= 0 {
				if left -= n; left <= 0 {
					return
				}
			} else if n == chunk && len(buf) == chunk {
				buf = make([]byte, wideChunk)
				_, _ = unix.FcntlInt(uintptr(s.src), unix.F_SETPIPE_SZ, widePipe) // a terminal is no pipe; and it may be too much
			}
		case errors.Is(err, unix.EINTR):
		case err == nil, !errors.Is(err, unix.EAGAIN): // the end; EIO from a terminal that nobody holds
			return
		case len(pending) > 0 && !s.readable():
			s.answer(pending)
			pending = nil
			if left >= 0 {
				return
			}
		default:
			s.told(true)
			s.wait()
		}
		if s.sink.failure() != nil && !s.tty {
			return // which closes the pipe: the command gets SIGPIPE. A terminal is read on, as one that nobody looks at.
		}
	}
}

func (s *stream) told(idle bool) {
	if s.follow != nil {
		s.follow(idle)
	}
}

// pass gives what was read to the mask.
func (s *stream) pass(p []byte) error {
	_, err := s.masked.Write(p)
	if err == nil && s.keys != nil && s.keys.echoed(p) {
		if m, ok := s.masked.(releaser); ok {
			err = m.Release()
		}
	}
	return err
}

// wait waits until there is something to read or to answer, or until the sink's reader is gone.
func (s *stream) wait() {
	fds := []unix.PollFd{{Fd: int32(s.src), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}, {Fd: -1}}
	if s.sink.pipe {
		fds[2].Fd = int32(s.sink.fd) // no events asked for: POLLERR is told anyway
	}
	if n, _ := unix.Poll(fds, -1); n <= 0 {
		return
	}
	if fds[2].Revents&unix.POLLERR != 0 && fds[0].Revents&unix.POLLIN == 0 {
		s.sink.fail(unix.EPIPE)
	}
	if fds[1].Revents != 0 {
		var counter [8]byte
		_, _ = unix.Read(s.wake, counter[:])
	}
}

// readable reports whether there is something to read. On a terminal only poll(2) knows: what was written may still be on
// its way through the line discipline when a read finds nothing.
func (s *stream) readable() bool {
	fds := []unix.PollFd{{Fd: int32(s.src), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil && fds[0].Revents&unix.POLLIN != 0
}

// capacity is the most that can have been written and not read at any one time.
func (s *stream) capacity() int {
	if n, err := unix.FcntlInt(uintptr(s.src), unix.F_GETPIPE_SZ, 0); err == nil && n > 0 {
		return n
	}
	return chunk
}

// finish ends the text: the mask decides on what it held back.
func (s *stream) finish(pending []ask) {
	if err := s.masked.Close(); err != nil {
		s.sink.fail(err)
	}
	s.answer(pending)
	if !s.tty {
		_ = unix.Close(s.src)
	}
}

func (s *stream) answer(pending []ask) {
	for _, a := range pending {
		close(a.answered)
	}
}

// settle returns a channel that is closed when all that has been written so far is passed on, or nothing ever will be. With
// last the stream ends then.
func (s *stream) settle(last bool) <-chan struct{} {
	a := ask{answered: make(chan struct{}), last: last}
	select {
	case s.asks <- a:
	case <-s.done:
		return s.done
	}
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	both := make(chan struct{})
	go func() {
		defer close(both)
		select {
		case <-a.answered:
		case <-s.done:
		}
	}()
	return both
}

// release frees what is left of a stream that is done.
func (s *stream) release() { _ = unix.Close(s.wake) }

// failure is what Result.Output is to say: nil where there was no error, or where the reader went away.
func (s *stream) failure() error {
	err := s.sink.failure()
	if err == nil || errors.Is(err, unix.EPIPE) {
		return nil
	}
	return fmt.Errorf("writing the command's %s: %w", s.name, err)
}
