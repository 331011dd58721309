// Package session keeps credentials for a whole job: several commands use them, and the process that asked for them has long ended.
//
//	start ──order──▶ keeper ──(step.Run with a Hold)──▶ guard
//	      ◀──grant──    ▲
//	                    └── socket in the session's private directory ◀── stop, run --session
//
// # What it promises
//
//   - The keeper is a run like any other, with "wait until it is stopped" in place of a command: it has a guard of its own, keeps the leash, renews, and
//     revokes with proof. So nothing new can go wrong with the credentials.
//   - It is started as the guard is: a session of its own, no terminal, no standard streams that would hold up a CI's log, and nothing in argv or
//     environment, neither a secret nor a cookie by which an agent finds a job's processes. What it needs crosses a socket pair.
//   - It ends, and revokes, when it is told to, when the process that it watches has ended, when the job's time is over, on SIGTERM, and when `start`
//     dies before it has passed on what it was given.
//   - A session is named by its directory: mode 0700, in RAM where there is some. Whoever can open the socket in it is this user, who could read the
//     environment of the job as well. The name is no secret, and nobody else's directory is taken for a session once it is gone.
//   - Of one that has ended its directory keeps the word: why, and the receipt, which is no secret. So whoever stops it later, as a CI's last step does after
//     the job's own, is told what there was to prove, and has the same exit code. The word is there for a day, or until the machine is started anew.
package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/receipt"
)

// Arg is the first argument by which the binary knows that it is to be a keeper.
const Arg = "keeper"

// An Order is what a keeper is started with: the command line and the environment of `start`, which it reads as `start` did.
type Order struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"` // working directory
}

// A Value is one variable of a session.
type Value struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // or the path of its private file
	Secret bool   `json:"secret,omitempty"`
	Lasts  bool   `json:"lasts,omitempty"` // it stays the same when the credential is replaced
}

// A Grant is what a session gives at one moment.
type Grant struct {
	Session   string   `json:"session"` // its directory
	Run       string   `json:"run"`
	Values    []Value  `json:"values"`
	Secrets   []string `json:"secrets"`
	Providers []string `json:"providers"`
	// NotInherited are variables that a command must not inherit beside Values (see bind.Preset).
	NotInherited []string `json:"not_inherited,omitempty"`
}

// String keeps values out of logs.
func (g Grant) String() string { return "grant(" + g.Session + ")" }

// GoString is String.
func (g Grant) GoString() string { return g.String() }

// An End is how a session ended.
type End struct {
	Code    int             `json:"code"` // as a run's: 0, everything is proven to be revoked
	Receipt receipt.Receipt `json:"receipt"`
	Why     string          `json:"why"`
}

// A message is one line of JSON on either socket. One field is set.
type message struct {
	Order   *Order        `json:"order,omitempty"`
	Kept    bool          `json:"kept,omitempty"`    // start has passed on what it was given
	Abandon string        `json:"abandon,omitempty"` // start was told to stop
	Ask     bool          `json:"ask,omitempty"`     // for a grant
	Stop    bool          `json:"stop,omitempty"`
	Within  time.Duration `json:"within,omitempty"` // the answer to stop: how long the end may take
	Line    *string       `json:"line,omitempty"`   // of the log
	Grant   *Grant        `json:"grant,omitempty"`
	End     *End          `json:"end,omitempty"`
}

// A pipe is a socket with messages.
type pipe struct {
	io.ReadWriteCloser
	in    *json.Decoder
	mu    sync.Mutex
	limit func(time.Time) error // SetWriteDeadline
}

func newPipe(socket interface {
	io.ReadWriteCloser
	SetWriteDeadline(t time.Time) error
}) *pipe {
	return &pipe{ReadWriteCloser: socket, in: json.NewDecoder(socket), limit: socket.SetWriteDeadline}
}

// send does not wait long for one that does not read.
func (p *pipe) send(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.limit(time.Now().Add(10 * time.Second)) // a socket without deadlines blocks, and that is all
	_, err = p.Write(append(text, '\n'))
	return err
}

func (p *pipe) receive() (message, error) {
	var m message
	err := p.in.Decode(&m)
	return m, err
}

// A Starting is `start`'s side of a keeper that was just started.
type Starting struct{ pipe *pipe }

// Begin gives the order to a keeper, over its socket.
func Begin(socket *os.File, o Order) (*Starting, error) {
	s := &Starting{newPipe(socket)}
	if err := s.pipe.send(message{Order: &o}); err != nil {
		return nil, fmt.Errorf("starting the session's keeper: %w", err)
	}
	return s, nil
}

// Await passes the keeper's words on until the grant is there, or the keeper has ended: then there is no grant, and the end says how.
func (s *Starting) Await(line func(string)) (*Grant, *End, error) {
	for {
		m, err := s.pipe.receive()
		switch {
		case err != nil:
			return nil, nil, errors.New("the session's keeper ended without a word; its guard revokes what it had been given")
		case m.Line != nil:
			line(*m.Line)
		case m.Grant != nil:
			return m.Grant, nil, nil
		case m.End != nil:
			return nil, m.End, nil
		}
	}
}

// Kept tells the keeper that what it gave was passed on: from here on the session outlives this process.
func (s *Starting) Kept() error { return s.pipe.send(message{Kept: true}) }

// Abandon tells the keeper to give everything back; Await then yields the end. It may be called while Await waits.
func (s *Starting) Abandon(why string) { _ = s.pipe.send(message{Abandon: why}) } // one that is gone has nothing to give back

// A Client speaks to the keeper of a session.
type Client struct {
	Patience time.Duration // for an answer that needs no work; a keeper that is stopped itself (SIGSTOP) gives none

	session string
	conn    net.Conn
	pipe    *pipe
}

// patience is enough for a machine that is busy beyond measure.
const patience = 30 * time.Second

// Dial finds a session by its directory. Of one that is over the error is an *Over.
func Dial(session string) (*Client, error) {
	if !filepath.IsAbs(session) {
		return nil, fmt.Errorf("session %q: a session is named by the directory that start gave in WITH_CREDS_SESSION", session)
	}
	err := bind.IsPrivate(session) // or somebody else could give this user's commands their environment
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("session %s: %w", session, err)
	}
	var conn net.Conn
	err = atSocket(session, func(path string) (err error) {
		conn, err = net.DialTimeout("unix", path, 10*time.Second)
		return err
	})
	if err != nil {
		if over, ok := wordOf(session); ok {
			return nil, &over
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("session %s: it is not there, and has left no word of its end: its keeper was killed, and its guard went on, or it ended more than a day ago", session)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("session %s: its keeper was killed; its guard revokes what it had, or has done so", session)
	case err != nil:
		return nil, fmt.Errorf("session %s: %w", session, err)
	}
	return &Client{Patience: patience, session: session, conn: conn, pipe: newPipe(conn.(*net.UnixConn))}, nil
}

// Close lets go of the session, which goes on.
func (c *Client) Close() { c.pipe.Close() }

// Grant asks for what the session has to give now.
func (c *Client) Grant() (Grant, error) {
	if err := c.pipe.send(message{Ask: true}); err != nil {
		return Grant{}, fmt.Errorf("session %s: %w", c.session, err)
	}
	m, err := c.receive(c.Patience)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Grant{}, c.silent()
	case err != nil || m.Grant == nil:
		return Grant{}, fmt.Errorf("session %s: it is ending", c.session)
	}
	return *m.Grant, nil
}

// receive waits for the keeper's next word.
func (c *Client) receive(within time.Duration) (message, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return message{}, err
	}
	return c.pipe.receive()
}

func (c *Client) silent() error {
	return fmt.Errorf("session %s: its keeper does not answer (is its process stopped, by SIGSTOP?): nothing is known to be revoked; once it goes on, or is killed, it is", c.session)
}

// Stop ends the session and waits until everything is revoked; the keeper's words since start are passed on first. When another has stopped it at the
// same time the error can be an *Over.
func (c *Client) Stop(line func(string)) (End, error) {
	if err := c.pipe.send(message{Stop: true}); err != nil {
		return End{}, fmt.Errorf("session %s: %w", c.session, err)
	}
	for end := time.Now().Add(c.Patience); ; {
		m, err := c.receive(time.Until(end))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return End{}, c.silent()
		case err != nil:
			if over, ok := wordOf(c.session); ok {
				return End{}, &over
			}
			return End{}, fmt.Errorf("session %s: its keeper was lost while it revoked; its guard goes on with it", c.session)
		case m.Within != 0:
			end = time.Now().Add(m.Within)
		case m.Line != nil:
			line(*m.Line)
		case m.End != nil:
			return *m.End, nil
		}
	}
}
