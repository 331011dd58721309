//go:build !linux

package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Child is a running command. Wait must be called, once; the other methods may be called from any goroutine.
type Child struct {
	o   Options
	cmd *exec.Cmd
	ask chan string // Terminate's reasons

	filters []closer
}

type closer interface{ Close() error }

// Start starts the command. Its error is a *StartError.
func Start(o Options) (*Child, error) {
	path, err := find(o.Argv, o.Env, o.Dir)
	if err != nil {
		return nil, err
	}
	c := &Child{o: o, ask: make(chan string, 1)}
	c.cmd = &exec.Cmd{Path: path, Args: o.Argv, Env: o.Env, Dir: o.Dir, WaitDelay: max(o.Grace, time.Millisecond), SysProcAttr: attributes(o)}
	if o.Stdin != nil { // a nil *os.File in the interface would not be nil
		c.cmd.Stdin = o.Stdin
	}
	if o.Stdout != nil {
		c.cmd.Stdout = o.Stdout
	}
	if o.Stderr != nil {
		c.cmd.Stderr = o.Stderr
	}
	if o.Mask != nil && o.Stdout != nil {
		w := o.Mask(o.Stdout)
		c.filters = append(c.filters, w)
		c.cmd.Stdout = w
	}
	if o.Mask != nil && o.Stderr != nil {
		w := o.Mask(o.Stderr)
		c.filters = append(c.filters, w)
		c.cmd.Stderr = w
	}
	if err := c.cmd.Start(); err != nil {
		return nil, refusal(o.Argv, path, o.Dir, o.Env, cause(err))
	}
	return c, nil
}

func cause(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// LineEnd is what ends a line that this process itself writes to f now. No terminal is put into raw mode here.
func LineEnd(*os.File) string { return "\n" }

// Process identifies the command for another process that may have to end it. The start time is not known here: 0.
func (c *Child) Process() (pid, pgid int, startTime uint64) {
	return c.cmd.Process.Pid, group(c.cmd.Process.Pid), 0
}

// Signal sends a signal to the command. It is an error when the command has ended.
func (c *Child) Signal(s os.Signal) error {
	if err := send(c.cmd.Process, s); err != nil {
		return fmt.Errorf("sending %v to the command: %w", s, err)
	}
	return nil
}

// Terminate ends the command as a termination signal from outside would, and kills it after Options.Grace. It does not
// wait. The first reason given is Result.Reason. After the command's end it does nothing.
func (c *Child) Terminate(reason string) {
	select {
	case c.ask <- reason:
	default: // it has been asked already
	}
}

// Wait waits for the command's end. What comes from signals is forwarded; the first termination signal begins
// Options.Grace, a second one cuts it to one second, and SIGKILL follows. What the command left behind is not ended here.
func (c *Child) Wait(signals <-chan os.Signal) Result {
	var r Result
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	var kill <-chan time.Time
	var first time.Time
	terminate := func(s os.Signal) {
		switch now := time.Now(); {
		case first.IsZero():
			first = now
			r.Stopped, _ = s.(syscall.Signal)
			kill = time.After(c.o.Grace)
		case now.Sub(first) > sameSignal:
			kill = time.After(min(patience, time.Until(first.Add(c.o.Grace))))
		}
	}
	for {
		select {
		case s, ok := <-signals:
			if !ok {
				signals = nil
				continue
			}
			_ = c.Signal(s)
			if n, ok := s.(syscall.Signal); ok && terminates(n) {
				terminate(s)
			}
		case reason := <-c.ask:
			r.Reason = reason
			_ = c.Signal(syscall.SIGTERM)
			terminate(syscall.SIGTERM)
		case <-kill:
			r.Killed = true
			_ = c.Signal(os.Kill)
		case err := <-ended:
			c.tell(&r, err)
			return r
		}
	}
}

func (c *Child) tell(r *Result, err error) {
	for _, f := range c.filters {
		if closeErr := f.Close(); closeErr != nil && r.Output == nil {
			r.Output = closeErr
		}
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited && !errors.Is(err, exec.ErrWaitDelay) && r.Output == nil {
		r.Output = fmt.Errorf("passing on the command's output: %w", err)
	}
	r.Code = c.cmd.ProcessState.ExitCode()
	if s, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		r.Signal, r.Code, r.CoreDumped = s.Signal(), 128+int(s.Signal()), s.CoreDump()
	}
}
