package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Child is a running command. Wait must be called, once; the other methods may be called from any goroutine.
type Child struct {
	o       Options
	pid     int
	start   uint64
	brood   *brood
	streams []*stream
	term    *terminal      // nil without a controlling terminal
	closers []func()       // what is closed when the streams are done
	changes chan os.Signal // SIGCHLD
	ask     chan string    // Terminate's reasons

	mu     sync.Mutex
	buried bool // the number is no longer the command's
}

// Start starts the command. Its error is a *StartError.
//
// The calling process becomes the subreaper of all its descendants (prctl(2)) and stays so.
func Start(o Options) (*Child, error) {
	path, err := find(o.Argv, o.Env, o.Dir)
	if err != nil {
		return nil, err
	}
	fail := func(doing string, err error) error {
		e := &StartError{Command: o.Argv[0], Code: codeFailed, Err: fmt.Errorf("%s: %w", doing, err)}
		if errors.Is(err, errNoPty) {
			e.Advice = "a command on a terminal is masked through one, which needs devpts and /proc: pipe its output (2>&1 | cat), or --mask off"
		}
		return e
	}
	if o.Dir != "" {
		if info, err := os.Stat(o.Dir); err != nil {
			return nil, fail("entering its working directory", err)
		} else if !info.IsDir() {
			return nil, fail("entering its working directory "+o.Dir, unix.ENOTDIR)
		}
	}
	c := &Child{o: o, changes: make(chan os.Signal, 1), ask: make(chan string, 1)}
	if c.brood, err = newBrood(o); err != nil {
		o.warnf("daemons the command leaves behind will not be found: becoming a subreaper: %v", err)
		c.brood = &brood{self: -1, o: o}
	}
	p, err := c.plumb()
	defer p.close()
	if err != nil {
		c.abandon()
		return nil, fail("preparing its streams", err)
	}
	signal.Notify(c.changes, unix.SIGCHLD)
	front := c.term != nil && c.term.eager && c.term.foreground()
	if c.term != nil && c.term.pty != nil {
		if err := c.openSession(p.fds); err != nil {
			c.abandon()
			return nil, fail("preparing its session", err)
		}
		err = c.spawnInSession(path, front)
	} else {
		c.pid, err = spawn(path, o, p.fds)
	}
	if err != nil {
		c.abandon()
		return nil, refusal(o.Argv, path, o.Dir, o.Env, err)
	}
	if front {
		c.term.give(c.pid)
	}
	c.brood.own = append(c.brood.own, c.pid)
	if stat, err := lookAt(c.pid); err == nil {
		c.start = stat.start
	}
	for _, s := range c.streams {
		go s.run()
	}
	return c, nil
}

// spawn starts a program in a process group of its own.
func spawn(path string, o Options, fds [3]int) (int, error) {
	attr := &syscall.ProcAttr{
		Dir:   o.Dir,
		Env:   o.Env,
		Files: []uintptr{uintptr(fds[0]), uintptr(fds[1]), uintptr(fds[2])},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	pid, err := syscall.ForkExec(path, o.Argv, attr)
	if errors.Is(err, unix.ENOEXEC) {
		if argv, ok := viaShell(path, o.Argv, o.Dir); ok {
			return syscall.ForkExec(argv[0], argv, attr)
		}
	}
	return pid, err
}

// openSession starts the monitor in a session whose terminal is the pty, and hands it the command's streams. Its error is never the
// command's, whatever the system calls it.
func (c *Child) openSession(fds [3]int) (err error) {
	p := c.term.pty
	if p.monitor, err = startMonitor(p.slave); err == nil {
		c.brood.own = append(c.brood.own, p.monitor.pid)
		err = p.monitor.hand(fds, c.term.fd)
	}
	if err != nil {
		return fmt.Errorf("%w: its monitor: %w", errNoPty, err)
	}
	return nil
}

// spawnInSession starts a program by way of the monitor. Its error is the program's.
func (c *Child) spawnInSession(path string, front bool) (err error) {
	p := c.term.pty
	o := order{Path: path, Argv: c.o.Argv, Env: c.o.Env, Dir: c.o.Dir, Front: front}
	if front { // before the command can ask the terminal anything
		o.Modes, o.Raw = c.term.prepare()
	}
	c.pid, err = p.monitor.start(o)
	p.releaseSlave()
	if err != nil {
		c.term.take(c.term.modes)
	}
	return err
}

// plumbing is which descriptors the command gets, and which of them are closed here once it has them.
type plumbing struct {
	fds   [3]int
	owned []int
}

func (p *plumbing) close() {
	for _, fd := range p.owned {
		_ = unix.Close(fd)
	}
	p.owned = nil
}

func (p *plumbing) own(fd int) int {
	p.owned = append(p.owned, fd)
	return fd
}

// plumb decides what the command gets as its three streams, and makes the pipes for those that are copied.
func (c *Child) plumb() (*plumbing, error) {
	p := &plumbing{}
	for i, f := range []*os.File{c.o.Stdin, c.o.Stdout, c.o.Stderr} {
		var err error
		if f == nil {
			p.fds[i], err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
			p.own(p.fds[i])
		} else {
			p.fds[i], err = descriptor(f)
		}
		if err != nil {
			return p, err
		}
	}
	c.term = openTerminal(p.fds)
	if c.o.Mask == nil {
		return p, nil
	}
	outer := p.fds
	files := []*os.File{c.o.Stdin, c.o.Stdout, c.o.Stderr}
	for i := 1; i <= 2; i++ {
		var err error
		switch {
		case files[i] == nil:
		case i == 2 && files[1] != nil && sameOutput(outer[1], outer[2]):
			p.fds[2] = p.fds[1] // one for both keeps the order between them
		case c.term != nil && c.term.is(outer[i]):
			err = c.throughPty(p, outer, i, files[i])
		case isTerminal(outer[i]):
			err = c.throughForeignPty(p, outer[i], i, files[i])
		default:
			err = c.throughPipe(p, i, files[i])
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

var streamNames = [3]string{"stdin", "stdout", "stderr"}

func (c *Child) throughPipe(p *plumbing, i int, f *os.File) error {
	s, end, err := newPipe(streamNames[i], f, c.o.Mask)
	if err != nil {
		return err
	}
	p.fds[i] = p.own(end)
	c.streams = append(c.streams, s)
	return nil
}

// throughPty puts a pseudo-terminal in the place of the controlling terminal, wherever the command would have had that.
func (c *Child) throughPty(p *plumbing, outer [3]int, i int, f *os.File) error {
	made, err := newPty(c.term.fd)
	if err != nil {
		return err
	}
	made.shared = !c.term.is(outer[1])
	c.term.pty = made
	c.closers = append(c.closers, made.close)
	for j, fd := range outer {
		if c.term.is(fd) {
			p.fds[j] = made.slave
		}
	}
	return c.copyPty(made, i, f)
}

// throughForeignPty serves a stream that is a terminal and not this process's own: it has no keyboard and no job control to
// carry over, but the command sees a terminal of that size.
func (c *Child) throughForeignPty(p *plumbing, outer, i int, f *os.File) error {
	made, err := newPty(outer)
	if err != nil {
		return err
	}
	p.fds[i] = p.own(made.slave)
	made.slave = -1
	c.closers = append(c.closers, made.close)
	return c.copyPty(made, i, f)
}

func (c *Child) copyPty(made *pty, i int, f *os.File) error {
	s, err := newStream(made.master, streamNames[i], f, c.o.Mask)
	if err != nil {
		return err
	}
	s.tty, s.keys, s.follow = true, &made.keys, made.follow
	s.sink.undo.Store(true)
	made.sinks = append(made.sinks, s.sink)
	c.streams = append(c.streams, s)
	return nil
}

// abandon frees what was made for a command that did not start.
func (c *Child) abandon() {
	signal.Stop(c.changes)
	for _, s := range c.streams {
		s.finish(nil)
		s.release()
	}
	c.release()
}

// release lets the monitor and the terminal go.
func (c *Child) release() {
	if c.term != nil {
		if p := c.term.pty; p != nil && p.monitor != nil {
			p.monitor.end()
		}
		c.term.close()
	}
	for _, f := range c.closers {
		f()
	}
}

// Process identifies the command for another process that may have to end it: its number, its process group, and when
// it started (field 22 of proc_pid_stat(5)), by which to see that the number has not been given to another since.
func (c *Child) Process() (pid, pgid int, startTime uint64) { return c.pid, c.pid, c.start }

// Signal sends a signal to the command's process group. It is an error when the command has ended.
func (c *Child) Signal(s os.Signal) error {
	n, ok := s.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signalling the command: %v is not a signal of this system", s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buried {
		return fmt.Errorf("signalling the command: %w", os.ErrProcessDone)
	}
	if err := unix.Kill(-c.pid, n); err != nil {
		return fmt.Errorf("sending %s to the command: %w", unix.SignalName(n), err)
	}
	return nil
}

// Terminate ends the command as a SIGTERM from outside would: SIGTERM to its group, SIGKILL after Options.Grace. It does
// not wait. The first reason given is Result.Reason. After the command's end it does nothing.
func (c *Child) Terminate(reason string) {
	select {
	case c.ask <- reason:
	default: // it has been asked already
	}
}

var _ io.Writer = (*sink)(nil)

// until returns a channel that fires at t; nil, which never does, for the zero time.
func until(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	return time.After(time.Until(t))
}
