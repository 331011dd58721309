package sqluser

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// mostSaid is how many bytes a server may say on one connection. The largest answer that is read is a list of users; a connection that is not used for ten seconds
// is opened anew.
const mostSaid = 32 << 20

var errSaidTooMuch = errors.New("the server has said more than 32 MB: it is no database, or a hostile one")

// A Dial opens a connection.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Bounded is dial with connections that fail once the server has said too much: the drivers keep what it says in memory, whatever it is.
func Bounded(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &boundedConn{Conn: conn, left: mostSaid}, nil
	}
}

// A boundedConn is read by one goroutine at a time, as a driver does.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errSaidTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// SyscallConn lets a driver look at the socket, whether the server has hung up.
func (c *boundedConn) SyscallConn() (syscall.RawConn, error) {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return raw.SyscallConn()
}
