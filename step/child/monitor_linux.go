package child

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The command's session needs a leader that is neither the command (the leader's group is orphaned, and the kernel does
// not stop an orphaned group for Ctrl-Z) nor this process (which is in the user's session). So on a pseudo-terminal the
// same binary is started once more as the monitor: it leads the session, starts the command as its child in a group of its own,
// says when it stops and ends, and does nothing else. sudo(8) does the same.
//
// It does not reap the command before it is told to, so that a command whose monitor is killed becomes, as a zombie or
// alive, the child of this process, and nothing is lost.

// monitorName is what the monitor is called in ps.
const monitorName = "with-creds-terminal"

// An order is a message to the monitor. They go as gob and not as JSON, which has no room for bytes that are not UTF-8.
type order struct {
	Do duty

	Path, Dir string // toStart
	Argv, Env []string
	Front     bool // toStart, toFront: the command's group is to be the pty's foreground group

	Modes, Raw *unix.Termios // toStart, toKeep: what to put back when this process is gone, unless it has been; nil: nothing
}

type duty int

const (
	toStart duty = iota + 1
	toFront
	toKeep
	toEnd
)

// An event is a message from it.
type event struct {
	Pid     int // started
	Errno   syscall.Errno
	Failed  string // not started for another reason
	Fronted bool   // the answer to Front
	Code    int32  // a change of the command's state, as in type change
	Status  int
}

func (e event) change() change { return change{code: e.Code, status: e.Status} }

// A monitor is this process's end of it. Its methods are called from the goroutine of Start and then Wait only.
type monitor struct {
	pid    int
	socket *os.File
	out    *gob.Encoder
	events chan event // closed when the monitor is gone
	later  chan event // came while an answer was waited for; read before events
	gone   bool       // it was killed
}

// startMonitor starts the monitor as leader of a session whose controlling terminal is slave.
func startMonitor(slave int) (*monitor, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	theirs := pair[1]
	defer unix.Close(theirs)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, err
	}
	defer unix.Close(null)
	pid, err := syscall.ForkExec("/proc/self/exe", []string{monitorName}, &syscall.ProcAttr{
		Files: []uintptr{uintptr(theirs), uintptr(slave), uintptr(null)},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1},
	})
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, fmt.Errorf("starting this program once more: /proc/self/exe: %w", err)
	}
	_ = unix.SetNonblock(pair[0], true) // so that closing it ends a read
	m := &monitor{pid: pid, socket: os.NewFile(uintptr(pair[0]), "monitor"), events: make(chan event, 16), later: make(chan event, 16)}
	m.out = gob.NewEncoder(m.socket)
	return m, nil
}

// hand gives the monitor the command's three streams and the real terminal.
func (m *monitor) hand(fds [3]int, tty int) error {
	rights := unix.UnixRights(fds[0], fds[1], fds[2], tty)
	sent := errors.New("closed")
	raw, err := m.socket.SyscallConn()
	if err == nil {
		err = raw.Write(func(fd uintptr) bool {
			sent = unix.Sendmsg(int(fd), []byte{'>'}, rights, nil, unix.MSG_NOSIGNAL)
			return !errors.Is(sent, unix.EAGAIN)
		})
	}
	if err = errors.Join(err, sent); err != nil {
		return fmt.Errorf("handing over the streams: %w", err)
	}
	go m.receive()
	return nil
}

// start has the command started.
func (m *monitor) start(o order) (pid int, err error) {
	o.Do = toStart
	m.tell(o)
	e, ok := m.answer(func(e event) bool { return e.Pid > 0 || e.Errno != 0 || e.Failed != "" }, time.Minute)
	switch {
	case !ok:
		return 0, fmt.Errorf("the terminal's monitor did not answer")
	case e.Errno != 0:
		return 0, e.Errno
	case e.Failed != "":
		return 0, errors.New(e.Failed)
	}
	return e.Pid, nil
}

func (m *monitor) receive() {
	defer close(m.events)
	in := gob.NewDecoder(m.socket)
	for {
		var e event
		if in.Decode(&e) != nil {
			return
		}
		m.events <- e
	}
}

func (m *monitor) tell(o order) { _ = m.out.Encode(o) } // if it is gone, events is closed

// answer waits for one kind of event. Others are kept for next.
func (m *monitor) answer(is func(event) bool, limit time.Duration) (event, bool) {
	late := time.After(limit)
	for {
		select {
		case e, ok := <-m.events:
			if !ok {
				return e, false
			}
			if is(e) {
				return e, true
			}
			m.later <- e
		case <-late:
			return event{}, false
		}
	}
}

// next is where the next event comes from.
func (m *monitor) next() <-chan event {
	if len(m.later) > 0 {
		return m.later
	}
	return m.events
}

// lost is told when the monitor has closed its socket unasked. A process that dies closes its files first, and leaves its children
// to their new parent a moment later.
func (m *monitor) lost() {
	m.gone = true
	_ = unix.Kill(m.pid, unix.SIGKILL)
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if now, err := peek(m.pid); err != nil || now.ended() {
			return
		}
	}
}

// front makes the command's group the pty's foreground group, or takes that from it. It is so on return.
func (m *monitor) front(on bool) {
	m.tell(order{Do: toFront, Front: on})
	m.answer(func(e event) bool { return e.Fronted }, 10*time.Second)
}

func (m *monitor) keep(modes, raw *unix.Termios) {
	m.tell(order{Do: toKeep, Modes: modes, Raw: raw})
}

// end lets the monitor reap the command and go.
func (m *monitor) end() {
	m.tell(order{Do: toEnd})
	for limit := time.Now().Add(time.Second); !reap(m.pid); time.Sleep(500 * time.Microsecond) {
		if time.Now().After(limit) {
			_ = unix.Kill(m.pid, unix.SIGKILL)
		}
		if _, err := lookAt(m.pid); err != nil {
			break // reaped by somebody else
		}
	}
	_ = m.socket.Close()
}

// Monitor is the whole of main in a process that was started as the terminal's monitor; ok is false in any other. Every main that
// calls Start must call it first, with os.Args, and return code if ok.
func Monitor(args []string) (code int, ok bool) {
	if len(args) != 1 || args[0] != monitorName {
		return 0, false
	}
	// The keyboard's signals are the command's. Caught, not ignored: the command would inherit that.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, Signals()...)
	m := session{in: make(chan order), out: gob.NewEncoder(os.Stdin)}
	if err := m.receiveStreams(); err != nil {
		return codeFailed, true
	}
	m.serve()
	return 0, true
}

// A session is the monitor's side. Descriptor 0 is the socket, 1 the pty.
type session struct {
	in      chan order
	out     *gob.Encoder
	streams [3]int
	tty     int
	pid     int
	kept    order // the last that said what to put back
}

const sessionSocket, sessionTerminal = 0, 1

func (s *session) receiveStreams() error {
	var first [1]byte
	rights := make([]byte, unix.CmsgSpace(4*4))
	_, n, _, _, err := unix.Recvmsg(sessionSocket, first[:], rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return errors.Join(err, errors.New("no streams"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 4 {
		return errors.Join(err, errors.New("no streams"))
	}
	s.streams, s.tty = [3]int(fds[:3]), fds[3]
	go func() {
		defer close(s.in)
		in := gob.NewDecoder(os.Stdin)
		for {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			s.in <- o
		}
	}()
	return nil
}

func (s *session) serve() {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGCHLD)
	ended := false
	for {
		select {
		case o, ok := <-s.in:
			if !ok {
				s.putBack()
				s.hangUp()
				return
			}
			if o.Do == toEnd {
				reap(s.pid)
				return
			}
			s.obey(o)
		case <-changes:
		}
		for s.pid > 0 && !ended {
			now, err := peek(s.pid)
			if err != nil || now.code == 0 {
				break
			}
			_ = s.out.Encode(event{Code: now.code, Status: now.status})
			ended = now.ended()
		}
	}
}

func (s *session) obey(o order) {
	switch o.Do {
	case toStart:
		s.start(o)
	case toFront:
		group := unix.Getpgrp()
		if o.Front {
			group = s.pid
		}
		_ = setFront(sessionTerminal, group)
		_ = s.out.Encode(event{Fronted: true})
	case toKeep:
		s.kept = o
	}
}

func (s *session) start(o order) {
	pid, err := spawn(o.Path, Options{Argv: o.Argv, Env: o.Env, Dir: o.Dir}, s.streams)
	for _, fd := range s.streams {
		_ = unix.Close(fd)
	}
	if err != nil {
		e := event{Failed: err.Error()}
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			e = event{Errno: errno}
		}
		_ = s.out.Encode(e)
		return
	}
	s.pid, s.kept = pid, o
	if o.Front {
		// The command may be faster and be stopped for using the terminal; it is given it then.
		_ = setFront(sessionTerminal, pid)
	}
	_ = s.out.Encode(event{Pid: pid})
}

// hangUp tells the command that its terminal is gone. The kernel will too when this process, the session's leader, ends, but only
// if the command was in front.
func (s *session) hangUp() {
	if s.pid > 0 {
		_ = unix.Kill(-s.pid, unix.SIGHUP)
		_ = unix.Kill(-s.pid, unix.SIGCONT)
	}
}

// putBack gives the real terminal its modes when the process that changed them was killed; not when somebody (a shell)
// has done so already.
func (s *session) putBack() {
	if s.kept.Modes == nil {
		return
	}
	now, err := unix.IoctlGetTermios(s.tty, unix.TCGETS)
	if err != nil {
		return
	}
	now.Oflag = s.kept.Raw.Oflag // which has followed the command's
	if *now == *s.kept.Raw {
		_ = setModes(s.tty, s.kept.Modes)
	}
}
