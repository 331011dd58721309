package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"net"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// errForeignKey is why there is no login. It has advice.
var errForeignKey = errors.New("without TLS the server asks for the password by a key of its own, which anybody on the way can put in its place")

// noForeignKey is dial with connections on which no password is sent that is encrypted by a key which the server has just shown, as the mysql client sends none either
// (--get-server-public-key). Who sits in between would show his own. The driver has no such setting.
func noForeignKey(dial sqluser.Dial) sqluser.Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		tcp, ok := conn.(*net.TCPConn)
		if err != nil || !ok {
			return conn, err
		}
		return &plainLogin{TCPConn: tcp}, nil
	}
}

// A plainLogin looks at what the driver writes, a packet each time, until it has logged in or has asked for TLS. (The driver asks for a connection's socket, too, which is
// the embedded one's to give.)
type plainLogin struct {
	*net.TCPConn
	begun, over bool
}

const (
	packetHead = 4      // three bytes of length, one of sequence
	clientSSL  = 0x0800 // a capability: TLS follows
	// longestProof is ed25519's signature; other answers to a challenge are shorter. A key of RSA's, of 1024 bits at least, makes 128 bytes.
	longestProof = 64
)

func (c *plainLogin) Write(p []byte) (int, error) {
	switch {
	case c.over || len(p) < packetHead:
	case !c.begun:
		c.begun = true
		c.over = len(p) >= packetHead+4 && binary.LittleEndian.Uint32(p[packetHead:])&clientSSL != 0
	case p[3] == 0: // the first of a command's
		c.over = true
	case len(p) > packetHead+longestProof:
		return 1, errForeignKey // after 0 bytes the driver would say "bad connection" in its place
	}
	return c.TCPConn.Write(p)
}
