//go:build !windows

package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A wire is a proxy before the server that records what passes and fails as told. Only its first connection fails: whoever comes
// after a process's death reaches the server.
type wire struct {
	t      *testing.T
	listen net.Listener
	server string
	fault  fault

	mu       sync.Mutex
	up, down bytes.Buffer // of all connections
	first    bool
	held     [][]byte // what a hanging wire has not delivered to the server
	heldTo   net.Conn
	broken   chan struct{} // closed when the fault struck
}

// A fault strikes the first connection once a number of bytes have passed in one direction.
type fault struct {
	up, down int  // bytes let through; negative: no limit
	hang     bool // then deliver nothing more, both ends still open, as when the client's machine lost its power; else cut both ends
}

func newWire(t *testing.T, server string, f fault) *wire {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listen: listen, server: server, fault: f, first: true, broken: make(chan struct{})}
	t.Cleanup(func() { listen.Close() })
	go w.accept()
	return w
}

// through turns a URL of the server's into one of the wire's.
func (w *wire) through(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		w.t.Fatal(err)
	}
	u.Host = w.listen.Addr().String()
	return u.String()
}

func (w *wire) accept() {
	for {
		client, err := w.listen.Accept()
		if err != nil {
			return
		}
		go w.serve(client)
	}
}

func (w *wire) serve(client net.Conn) {
	defer client.Close()
	// A process that was killed asks for no cancellation: such requests (protocol code 80877102) are not passed on.
	head := make([]byte, 8)
	if _, err := io.ReadFull(client, head); err != nil || binary.BigEndian.Uint32(head[4:]) == 80877102 {
		return
	}
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	limits := fault{up: -1, down: -1}
	if w.first {
		limits, w.first = w.fault, false
	}
	w.mu.Unlock()

	done := make(chan struct{}, 2)
	pump := func(to, from net.Conn, record *bytes.Buffer, limit int, first []byte) {
		defer func() { done <- struct{}{} }()
		chunk := first
		buf := make([]byte, 32<<10)
		for {
			w.mu.Lock()
			record.Write(chunk)
			passed := chunk
			if limit >= 0 {
				passed = chunk[:min(limit, len(chunk))]
				limit -= len(passed)
			}
			rest := bytes.Clone(chunk[len(passed):])
			w.mu.Unlock()
			if _, err := to.Write(passed); err != nil {
				return
			}
			if limit == 0 {
				w.strike(limits, to, to == server, rest)
				return
			}
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			chunk = buf[:n]
		}
	}
	go pump(server, client, &w.up, limits.up, head)
	go pump(client, server, &w.down, limits.down, nil)
	<-done
	select {
	case <-w.broken:
		if limits.hang {
			<-w.t.Context().Done()
		}
	default:
	}
}

// strike notes the fault, and what was not delivered to the server because of it.
func (w *wire) strike(f fault, to net.Conn, toServer bool, rest []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if toServer && f.hang {
		w.held, w.heldTo = append(w.held, rest), to
	}
	close(w.broken)
}

// release delivers late what a hanging wire held back. The server may have hung up.
func (w *wire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, chunk := range w.held {
		_, _ = w.heldTo.Write(chunk)
	}
	w.held = nil
}

// passed is how many bytes went up and came down so far.
func (w *wire) passed() (up, down int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up.Len(), w.down.Len()
}
