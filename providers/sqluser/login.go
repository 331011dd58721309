// Package sqluser is what the providers that make users on an SQL server by themselves have in common: one administrator's login on
// which calls take turns, statements that are sent again, passwords, and picking among the users that are found. What a user is, and how one is made and ended, each server has its
// own way of; that is in the providers' packages.
package sqluser

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// IdleTime is how long a login stays open unused. A build of an hour must not hold one of the server's connections (100 or 151 by
// default) for a renewal every few minutes; a short command is spared the second handshake.
const IdleTime = 10 * time.Second

// A Conn is one open connection. It is for one goroutine at a time.
type Conn interface {
	// Closed reports whether it is known to be unusable. It costs nothing.
	Closed() bool
	// Dead looks whether the server has hung up while it was not used for that long.
	Dead(unused time.Duration) bool
	Close()
}

// A Login is an administrator's login, and the part of a session that is every provider's: a single connection, opened when needed, on which concurrent calls take turns, and closed when it
// has not been used for a while. A call waits for its turn no longer than its context lets it.
type Login[C Conn] struct {
	Idle time.Duration // set before the first use, if at all

	server  string
	connect func(context.Context) (C, error)

	turn   chan struct{} // holds one element while nobody has the turn; what follows belongs to who took it
	conn   C
	open   bool
	used   time.Time // when conn was last let go
	closed bool
}

// NewLogin returns a login that is not connected yet. The server's name is for errors.
func NewLogin[C Conn](server string, connect func(context.Context) (C, error)) *Login[C] {
	l := &Login[C]{Idle: IdleTime, server: server, connect: connect, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// Use runs f with the connection, opening it first if need be. Errors of connecting and of f come back as they are; one of f's after
// which the connection turned out to be broken is wrapped in Lost, unless ctx ended it.
func (l *Login[C]) Use(ctx context.Context, f func(C) error) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the connection to %s: %w", l.server, ctx.Err())
	}
	ended := false
	defer func() {
		if !ended { // a panic, in the middle of an answer
			l.disconnect()
		}
		l.used = time.Now()
		l.turn <- struct{}{}
	}()
	err := l.use(ctx, f)
	ended = true
	return err
}

// use is Use for who has the turn.
func (l *Login[C]) use(ctx context.Context, f func(C) error) error {
	if l.closed {
		return errors.New("the session is closed")
	}
	if l.open && l.conn.Dead(time.Since(l.used)) {
		l.disconnect()
	}
	if !l.open {
		conn, err := l.connect(ctx)
		if err != nil {
			return err
		}
		l.conn, l.open = conn, true
		time.AfterFunc(l.Idle, l.closeIdle)
	}
	err := f(l.conn)
	if l.conn.Closed() {
		l.disconnect()
		if err != nil && ctx.Err() == nil {
			return Lost{err}
		}
	}
	return err
}

// Close closes the connection, for good; nothing is left to prove. A call that still has it when ctx is done will not outlive its own deadline.
func (l *Login[C]) Close(ctx context.Context) (providers.Proof, error) {
	select {
	case <-l.turn:
		l.closed = true
		l.disconnect()
		l.turn <- struct{}{}
	case <-ctx.Done():
	}
	return providers.Proven, nil
}

// Own is nil: the administrator's login is not the run's to end.
func (l *Login[C]) Own() *providers.Lease { return nil }

// closeIdle closes the connection once it has not been used for the idle time.
func (l *Login[C]) closeIdle() {
	select {
	case <-l.turn:
	default: // in use
		time.AfterFunc(l.Idle, l.closeIdle)
		return
	}
	if left := l.Idle - time.Since(l.used); l.open && left > 0 {
		time.AfterFunc(left, l.closeIdle)
	} else {
		l.disconnect()
	}
	l.turn <- struct{}{}
}

func (l *Login[C]) disconnect() {
	if l.open {
		l.conn.Close()
		l.open = false
	}
}

// Lost wraps the error of a connection that broke, as opposed to one given up for want of time. What was sent may have been done.
type Lost struct{ error }

func (l Lost) Unwrap() error { return l.error }
