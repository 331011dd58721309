package sqluser

import (
	"context"
	"testing"
	"time"
)

type conn struct{ closed bool }

func (c *conn) Closed() bool            { return c.closed }
func (c *conn) Dead(time.Duration) bool { return c.closed }
func (c *conn) Close()                  { c.closed = true }

// What is left of the answer would be taken for the next one's.
func TestAConnectionOnWhichTheDriverPanickedIsNotUsedAgain(t *testing.T) {
	opened := 0
	l := NewLogin("db", func(context.Context) (*conn, error) {
		opened++
		return &conn{}, nil
	})
	var hurt *conn
	func() {
		defer func() { _ = recover() }()
		_ = l.Use(t.Context(), func(c *conn) error {
			hurt = c
			panic("in the middle")
		})
	}()
	if err := l.Use(t.Context(), func(c *conn) error { return nil }); err != nil || opened != 2 || !hurt.closed {
		t.Errorf("%v; %d connections were opened, and the first is closed: %t", err, opened, hurt.closed)
	}
	l.Close(t.Context())
}
