//go:build linux

package main

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A proxy stands between a run and its server and holds the run up at one moment. Everything after that passes freely: it is the guard's, or
// a later attempt's.
type proxy struct {
	address string
	server  string
	at      moment
	reached chan struct{} // closed when the moment has come
	release chan struct{} // close it to let go of what is held
	open    atomic.Int64  // connections

	mu    sync.Mutex
	times int    // how often what the moment holds has been requested
	saw   []byte // all requests so far
}

// newProxy listens until the test ends.
func newProxy(t testing.TB, server string, at moment) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), server: server, at: at, reached: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.open.Add(1)
			go func() {
				defer p.open.Add(-1)
				p.connection(client.(*net.TCPConn))
			}()
		}
	}()
	return p
}

// connection copies one connection both ways, a piece at a time. A request that is held still reaches the server when it is let go, whether or not
// whoever sent it is still there.
func (p *proxy) connection(client *net.TCPConn) {
	defer client.Close()
	c, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	holdAnswer := make(chan struct{}) // closed once the request whose answer is to be held has been passed on
	var both sync.WaitGroup
	both.Go(func() {
		p.copy(server, client, func(piece []byte) bool {
			if !p.is(piece) {
				return true
			}
			if p.at.answer {
				close(holdAnswer)
				return true
			}
			close(p.reached)
			if p.at.cut {
				_ = client.Close()
				return false
			}
			<-p.release
			return true
		})
		server.CloseWrite()
	})
	both.Go(func() {
		p.copy(client, server, func([]byte) bool {
			select {
			case <-holdAnswer:
				select {
				case <-p.reached:
				default:
					close(p.reached)
				}
				if p.at.cut {
					_ = client.Close()
					return false
				}
				<-p.release
			default:
			}
			return true
		})
		client.CloseWrite()
	})
	both.Wait()
}

// is reports whether this piece of a request is the moment; only once.
func (p *proxy) is(piece []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saw = append(p.saw, piece...)
	if !bytes.Contains(piece, []byte(p.at.holds)) {
		return false
	}
	p.times++
	return p.times == max(1, p.at.nth)
}

// forget makes the proxy as new for another run.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saw = nil
}

// requested reports whether that has been in any request so far.
func (p *proxy) requested(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.saw, []byte(text))
}

func (p *proxy) copy(to io.Writer, from io.Reader, before func(piece []byte) (goOn bool)) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if !before(piece[:n]) {
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func splitAddress(t testing.TB, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
