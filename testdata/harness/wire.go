//go:build !windows

package harness

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A Wire is a proxy before a server that records what passes and fails as told. Only its first connection fails: whoever comes
// after a process's death reaches the server.
type Wire struct {
	Address string

	t      testing.TB
	listen net.Listener
	server string
	fault  Fault

	mu       sync.Mutex
	up, down bytes.Buffer // of all connections
	first    bool
	held     [][]byte // what a hanging wire has not delivered to the server
	heldTo   net.Conn
	broken   chan struct{} // closed when the fault struck
}

// A Fault strikes the first connection once a number of bytes have passed in one direction.
type Fault struct {
	Up, Down int  // bytes let through; negative: no limit
	Hang     bool // then deliver nothing more, both ends still open, as when the client's machine lost its power; else cut both ends
	// Unwanted, of the first eight bytes that a client sends, makes the wire hang up on it. For servers that wait for the client to speak.
	Unwanted func(head []byte) bool
}

// NoFault lets everything through.
var NoFault = Fault{Up: -1, Down: -1}

// NewWire listens until the test ends.
func NewWire(t testing.TB, server string, f Fault) *Wire {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{Address: listen.Addr().String(), t: t, listen: listen, server: server, fault: f, first: true, broken: make(chan struct{})}
	t.Cleanup(func() { listen.Close() })
	go w.accept()
	return w
}

// Through turns a URL of the server's into one of the wire's.
func (w *Wire) Through(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		w.t.Fatal(err)
	}
	u.Host = w.Address
	return u.String()
}

func (w *Wire) accept() {
	for {
		client, err := w.listen.Accept()
		if err != nil {
			return
		}
		go w.serve(client)
	}
}

func (w *Wire) serve(client net.Conn) {
	defer client.Close()
	var head []byte
	if w.fault.Unwanted != nil {
		head = make([]byte, 8)
		if _, err := io.ReadFull(client, head); err != nil || w.fault.Unwanted(head) {
			return
		}
	}
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	limits := NoFault
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
	go pump(server, client, &w.up, limits.Up, head)
	go pump(client, server, &w.down, limits.Down, nil)
	<-done
	select {
	case <-w.broken:
		if limits.Hang {
			<-w.t.Context().Done()
		}
	default:
	}
}

// strike notes the fault, and what was not delivered to the server because of it.
func (w *Wire) strike(f Fault, to net.Conn, toServer bool, rest []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if toServer && f.Hang {
		w.held, w.heldTo = append(w.held, rest), to
	}
	close(w.broken)
}

// Release delivers late what a hanging wire held back. The server may have hung up.
func (w *Wire) Release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, chunk := range w.held {
		_, _ = w.heldTo.Write(chunk)
	}
	w.held = nil
}

// Passed is how many bytes went up and came down so far.
func (w *Wire) Passed() (up, down int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up.Len(), w.down.Len()
}

// Sent is all that clients sent.
func (w *Wire) Sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up.String()
}

// Received is all that they were answered.
func (w *Wire) Received() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down.String()
}

// Spread lists about n whole numbers from a to b, both included, with the neighbours of each end: where a Fault may strike.
func Spread(a, b, n int) []int {
	list := []int{a, a + 1}
	for i := 1; i < n; i++ {
		list = append(list, a+(b-a)*i/n)
	}
	return append(list, b-1, b)
}
