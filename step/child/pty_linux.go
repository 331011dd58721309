package child

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A pty is the pseudo-terminal the command has in the place of the real one, because what it writes there must be masked.
//
// The command's stdin, stdout and stderr are the pty's wherever they would have been the terminal, and the pty is the
// controlling terminal of a session of its own: editors, pagers and password prompts set the modes of whatever they
// find in descriptor 0, 1, 2 or /dev/tty, and all of them must be one terminal. While the command has the real terminal, that one is in
// raw mode and what is typed is carried over unread: the pty makes the signals of Ctrl-C and Ctrl-Z, and the echo.
type pty struct {
	master, slave int // slave: -1 once the command has it
	monitor       *monitor
	like, start   unix.Termios // the terminal's modes, and what the pty made of them: what the command finds
	shared        bool         // others write to the real terminal while the command has its keyboard
	sinks         []*sink      // what writes to the real terminal
	keys          keys
	pump          *pump

	mu   sync.Mutex // the stream changes the real terminal's modes too
	tty  int        // the real terminal, and the modes it is to have afterwards, while the command has its keyboard
	held *unix.Termios
	ends bool // the real terminal turns "\n" into "\r\n"
}

var errNoPty = errors.New("making a pseudo-terminal")

// openPty makes a pair. The master is non-blocking.
func openPty() (master, slave int, err error) {
	master, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("%w: /dev/ptmx: %w", errNoPty, err)
	}
	slave, err = openSlave(master)
	if err != nil {
		_ = unix.Close(master)
		return -1, -1, fmt.Errorf("%w: %w", errNoPty, err)
	}
	return master, slave, nil
}

func openSlave(master int) (int, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, err
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	// By way of the master (Linux 4.13): in a container the number may name another one under /dev/pts.
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, flags)
	if errno == 0 {
		return int(fd), nil
	}
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return -1, err
	}
	return unix.Open(fmt.Sprintf("/dev/pts/%d", n), flags, 0)
}

// newPty makes a pty that looks like the given terminal.
func newPty(like int) (*pty, error) {
	master, slave, err := openPty()
	if err != nil {
		return nil, err
	}
	p := &pty{master: master, slave: slave}
	p.resize(like)
	if fresh, ok := p.changed(); ok {
		p.start = *fresh
	}
	if modes, err := unix.IoctlGetTermios(like, unix.TCGETS); err == nil {
		p.begin(modes)
	}
	return p, nil
}

// begin gives the pty the modes of the terminal, which a command that has not set any of its own then finds. The start of a job in the
// background is no time to see them: the shell edits its lines in modes of its own.
func (p *pty) begin(modes *unix.Termios) {
	if _, changed := p.changed(); changed || *modes == p.like {
		return
	}
	p.like = *modes
	_ = unix.IoctlSetTermios(p.master, unix.TCSETS, modes)
	if modes, err := unix.IoctlGetTermios(p.master, unix.TCGETS); err == nil {
		p.start = *modes
	}
}

// resize gives the pty the size of the terminal. The kernel tells its foreground group when that is a change (SIGWINCH).
func (p *pty) resize(like int) {
	if size, err := unix.IoctlGetWinsize(like, unix.TIOCGWINSZ); err == nil {
		_ = unix.IoctlSetWinsize(p.master, unix.TIOCSWINSZ, size)
	}
}

// attach carries the keyboard of the terminal fd to the command, whose group becomes the pty's foreground. modes are what
// the terminal is to have afterwards; the monitor puts them back should this process be killed.
func (p *pty) attach(fd int, modes *unix.Termios) {
	p.begin(modes)
	p.monitor.keep(modes, raw(*modes))
	p.hold(fd, modes)
	p.monitor.front(true)
	if p.pump == nil {
		p.pump = &pump{from: fd, to: p.master, keys: &p.keys, gone: make(chan struct{}, 1)}
	}
	p.pump.start()
}

// hold sets the real terminal to what it is while the command has its keyboard.
func (p *pty) hold(fd int, modes *unix.Termios) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tty, p.held = fd, modes
	p.set(p.shared && p.endsLines())
}

// set makes the real terminal raw: all is done by the pty. Where others write to it too ("with-creds -- psql | tee log"), it must go on
// post-processing, and the pty leaves that to it, which says ends. (Turning it off in the pty would be seen by the command, which saves
// its terminal's modes and puts them back when it likes.)
func (p *pty) set(ends bool) {
	r := raw(*p.held)
	if ends {
		r.Oflag = p.held.Oflag
	}
	_ = setModes(p.tty, r)
	p.undo(ends)
}

// undo says whether "\n" is to be written for the "\r\n" that the pty has made of it already.
func (p *pty) undo(ends bool) {
	p.ends = ends
	for _, s := range p.sinks {
		s.undo.Store(ends)
	}
}

// endsLines reports whether the pty turns "\n" into "\r\n". A command that draws turns it off.
func (p *pty) endsLines() bool {
	const both = unix.OPOST | unix.ONLCR
	modes, err := unix.IoctlGetTermios(p.master, unix.TCGETS)
	return err == nil && modes.Oflag&both == both
}

// follow is called by the stream when it has read something, and when there is nothing more to read: idle. What was written while the
// pty post-processed looks right on a terminal that does not, and not the other way round; so the real terminal stops at once,
// and goes on when all that was written before is passed on.
func (p *pty) follow(idle bool) {
	if !p.shared {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		return
	}
	if ends := p.endsLines(); ends != p.ends && (idle || !ends) {
		p.set(ends)
	}
}

// detach leaves the keyboard to others.
func (p *pty) detach() {
	p.pump.stop()
	p.monitor.front(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = nil
	p.undo(true)
}

// restored is told when the real terminal has its modes again.
func (p *pty) restored() { p.monitor.keep(nil, nil) }

// changed returns the modes the command has left its terminal in, if they are not those it found: what stty(1) sets is to last.
func (p *pty) changed() (*unix.Termios, bool) {
	modes, err := unix.IoctlGetTermios(p.master, unix.TCGETS)
	if err != nil {
		return nil, false
	}
	return modes, *modes != p.start
}

// releaseSlave closes the command's end here, so that only those hold it who use it.
func (p *pty) releaseSlave() {
	if p.slave >= 0 {
		_ = unix.Close(p.slave)
		p.slave = -1
	}
}

// close hangs up: from now on the command reads the end of its terminal, and nothing it writes arrives. A second time it does nothing.
func (p *pty) close() {
	p.releaseSlave()
	if p.master >= 0 {
		_ = unix.Close(p.master)
		p.master = -1
		if p.pump != nil { // which is not running any more
			p.pump.to = -1
		}
	}
}

// gone receives when the real terminal has hung up; nil while nobody reads it.
func (p *pty) gone() <-chan struct{} {
	if p.pump == nil {
		return nil
	}
	return p.pump.gone
}

// A pump carries what is typed to the pty. It reads only between start and stop: a process in the background that
// reads the terminal is stopped.
type pump struct {
	from, to int
	wake     int
	done     chan struct{} // nil when it is not running
	held     []byte        // read and not yet delivered
	keys     *keys
	gone     chan struct{} // receives when from has hung up
}

func (p *pump) start() {
	if p.done != nil {
		return
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return
	}
	p.wake, p.done = wake, make(chan struct{})
	go p.run(p.done)
}

func (p *pump) stop() {
	if p == nil || p.done == nil {
		return
	}
	_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-p.done
	_ = unix.Close(p.wake)
	p.done = nil
}

func (p *pump) run(done chan struct{}) {
	defer close(done)
	buf := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: int32(p.from), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
		if len(p.held) > 0 {
			fds[0] = unix.PollFd{Fd: int32(p.to), Events: unix.POLLOUT}
		}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents == 0 {
			continue
		}
		if len(p.held) == 0 {
			n, err := unix.Read(p.from, buf)
			if again(err) {
				continue
			}
			if n <= 0 || err != nil {
				select {
				case p.gone <- struct{}{}:
				default: // it has been told already
				}
				return
			}
			p.held = buf[:n]
			p.keys.press(p.held) // before the echo can be there
		}
		n, err := unix.Write(p.to, p.held)
		if n > 0 {
			p.held = p.held[n:]
		} else if err != nil && !again(err) {
			return
		}
	}
}

func again(err error) bool { return errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) }
