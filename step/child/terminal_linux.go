package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// A terminal is this process's controlling terminal, and the rules for sharing it with the command.
//
// The command leads a process group of its own, so for what it reads from the keyboard its group must be the terminal's
// foreground group. It is given the terminal at once when it is the only one there is to give it to: stdin is the terminal,
// and nobody shares this process's group. Otherwise ("with-creds -- make | less", a script that runs with-creds) the others
// in the group may be reading the keyboard too, and what the command would get at once, they would lose. There the terminal
// is given when the command asks for it, that is, when the kernel stops it with SIGTTIN or SIGTTOU; until then the
// keyboard's signals come to this process, with the rest of its group, and are forwarded. sudo does the same.
type terminal struct {
	fd    int // /dev/tty, opened here and so free to be non-blocking
	group int // this process's own
	eager bool
	asked bool // the command has asked for it once

	given bool
	modes *unix.Termios // as they were when it was given
	pty   *pty          // where the command has a pseudo-terminal in the real one's place
}

// openTerminal returns nil when there is no controlling terminal: CI, cron, ssh without a terminal.
func openTerminal(fds [3]int) *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	t := &terminal{fd: fd, group: unix.Getpgrp()}
	if _, err := t.front(); err != nil {
		t.close()
		return nil
	}
	// Ignored, as they are in the $( ) of an interactive shell, they would keep the command from asking: it would read an error.
	setAction(unix.SIGTTIN, &action{})
	setAction(unix.SIGTTOU, &action{})
	t.eager = t.is(fds[0]) && !isPipe(fds[1]) && !isPipe(fds[2]) && len(mates(t.group)) == 0
	return t
}

func (t *terminal) close() { _ = unix.Close(t.fd) }

// is reports whether a descriptor is this terminal.
func (t *terminal) is(fd int) bool {
	// tcgetsid(3) fails on every terminal but the caller's own.
	_, err := unix.IoctlGetUint32(fd, unix.TIOCGSID)
	return err == nil
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// front is the terminal's foreground group.
func (t *terminal) front() (int, error) { return frontGroup(t.fd) }

func frontGroup(fd int) (int, error) {
	g, err := unix.IoctlGetUint32(fd, unix.TIOCGPGRP)
	return int(int32(g)), err
}

// foreground reports whether the terminal is this process's to give.
func (t *terminal) foreground() bool {
	g, err := t.front()
	return err == nil && g == t.group
}

// give lets the command's group have the keyboard. It may be called again when somebody else has had the terminal since.
func (t *terminal) give(group int) {
	modes, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return
	}
	if !t.given {
		t.modes = modes
	}
	t.given = true
	if t.pty == nil {
		_ = setFront(t.fd, group)
		return
	}
	t.pty.resize(t.fd)
	t.pty.attach(t.fd, t.modes)
}

// prepare does of give what must come before the command's start.
func (t *terminal) prepare() (modes, rawModes *unix.Termios) {
	modes, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return nil, nil
	}
	t.given, t.modes = true, modes
	t.pty.hold(t.fd, modes)
	return modes, raw(*modes)
}

// take gets the terminal back for this process's group, with the modes it had.
func (t *terminal) take(modes *unix.Termios) {
	if !t.given {
		return
	}
	t.given = false
	if t.pty == nil {
		_ = setFront(t.fd, t.group)
	} else {
		t.pty.detach()
	}
	if modes != nil {
		_ = setModes(t.fd, modes)
	}
	if t.pty != nil {
		t.pty.restored()
	}
}

// mates are the other processes in this process's group: the rest of a pipeline, or the script it is run by.
func mates(group int) []process {
	var found []process
	for _, p := range processes() {
		if p.group == group && p.pid != os.Getpid() && !p.ended() {
			found = append(found, p)
		}
	}
	return found
}

// setFront is tcsetpgrp(3) for a process that may itself be in the background.
func setFront(fd, group int) error {
	return withoutTTOU(func() error { return unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group) })
}

// setModes is tcsetattr(3) with TCSADRAIN: what is written is still shown as it was meant, what was typed is not lost.
func setModes(fd int, modes *unix.Termios) error {
	return withoutTTOU(func() error { return unix.IoctlSetTermios(fd, unix.TCSETSW, modes) })
}

// withoutTTOU keeps the kernel from stopping this process for touching the terminal from the background.
func withoutTTOU(f func() error) error { return blocking(unix.SIGTTOU, f) }

// LineEnd is what ends a line that this process itself writes to f now: "\r\n" on a terminal that is in raw mode for the command's sake.
func LineEnd(f *os.File) string {
	fd, err := descriptor(f)
	if err != nil {
		return "\n"
	}
	if modes, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil && modes.Oflag&unix.OPOST == 0 {
		return "\r\n"
	}
	return "\n"
}

// raw is cfmakeraw(3).
func raw(m unix.Termios) *unix.Termios {
	m.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	m.Oflag &^= unix.OPOST
	m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	m.Cflag &^= unix.CSIZE | unix.PARENB
	m.Cflag |= unix.CS8
	m.Cc[unix.VMIN] = 1
	m.Cc[unix.VTIME] = 0
	return &m
}
