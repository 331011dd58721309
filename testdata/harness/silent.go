//go:build !windows

package harness

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// A Silent stands in front of a TCP server and passes everything on, until it is told to be silent: from then on it accepts connections, takes what is sent,
// and passes on nothing in either direction, as a server does whose machine hangs.
type Silent struct {
	Host string
	Port int

	server string
	closed chan struct{}

	mu     sync.Mutex
	speaks chan struct{} // closed while it passes things on
}

// NewSilent starts one that is not silent yet, until the test ends.
func NewSilent(t testing.TB, host string, port int) *Silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Silent{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, server: net.JoinHostPort(host, strconv.Itoa(port)),
		closed: make(chan struct{}), speaks: make(chan struct{}),
	}
	close(s.speaks)
	t.Cleanup(func() {
		l.Close()
		close(s.closed)
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(client)
		}
	}()
	return s
}

// Silence begins the silence.
func (s *Silent) Silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.speaks = make(chan struct{})
}

// Speak ends it: what was held back is passed on.
func (s *Silent) Speak() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.speaks)
}

// spoken waits until it may speak; false: it is over.
func (s *Silent) spoken() bool {
	s.mu.Lock()
	speaks := s.speaks
	s.mu.Unlock()
	select {
	case <-speaks:
		return true
	case <-s.closed:
		return false
	}
}

func (s *Silent) serve(client net.Conn) {
	defer client.Close()
	if !s.spoken() {
		return
	}
	server, err := net.Dial("tcp", s.server)
	if err != nil {
		return
	}
	defer server.Close()
	over := make(chan struct{})
	end := sync.OnceFunc(func() {
		client.Close()
		server.Close()
	})
	defer close(over)
	go func() { // the test's end ends what waits to read
		select {
		case <-s.closed:
			end()
		case <-over:
		}
	}()
	var both sync.WaitGroup
	both.Go(func() { s.copy(server, client, end) })
	both.Go(func() { s.copy(client, server, end) })
	both.Wait()
}

// copy passes pieces on, and then the end; anything else ends both directions.
func (s *Silent) copy(to, from net.Conn, end func()) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if !s.spoken() {
			return
		}
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				end()
				return
			}
		}
		if err == io.EOF {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			end()
			return
		}
	}
}
