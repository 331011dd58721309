package vault

import (
	"net"
	"slices"
	"sync"
	"syscall"
)

// dialled are the connections that are open.
type dialled struct {
	mu    sync.Mutex
	tell  func(syscall.Conn) (release func())
	conns []*dialledConn
}

type dialledConn struct {
	net.Conn
	all     *dialled
	release func()
}

// OnConnect calls hold with each connection to the server, with those that are open already at once and with a new one before anything is sent
// over it, and calls what it returns when the connection has been closed here. It is for a run whose guard keeps duplicates of
// the sockets, see the package's documentation. hold must not block for long.
func (s *Session) OnConnect(hold func(syscall.Conn) (release func())) {
	d := s.client.dialled
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell = hold
	for _, c := range d.conns {
		d.told(c)
	}
}

func (d *dialled) add(conn net.Conn) net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &dialledConn{Conn: conn, all: d}
	d.conns = append(d.conns, c)
	d.told(c)
	return c
}

func (d *dialled) told(c *dialledConn) {
	if raw, ok := c.Conn.(syscall.Conn); ok && d.tell != nil {
		c.release = d.tell(raw)
	}
}

// Close closes the connection and lets go of what OnConnect's caller holds of it.
func (c *dialledConn) Close() error {
	err := c.Conn.Close()
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if i := slices.Index(c.all.conns, c); i >= 0 {
		c.all.conns = slices.Delete(c.all.conns, i, i+1)
		if c.release != nil {
			c.release()
		}
	}
	return err
}
