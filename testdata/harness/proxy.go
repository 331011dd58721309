//go:build !windows

package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Proxy stands in front of a Vault and does to each request what its plan says: nothing, which passes it on, or one HTTPFault. As a connection to
// it is a connection to Vault, a client that hangs up is noticed there while the request is at work.
//
// Its methods may be called concurrently.
type Proxy struct {
	Addr string // "http://127.x.y.z:port"

	t       testing.TB
	server  string
	plan    func(*Exchange) HTTPFault
	latency time.Duration
	closed  chan struct{}
	serving sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	seen     []Seen
	done     int // serial round trips that have been answered
}

// Seen is a request as the proxy saw it.
type Seen struct {
	Method, Path string
	Faulty       bool // the plan had a fault for it
}

// A ProxyOption changes how a proxy is started.
type ProxyOption func(*Proxy)

// ProxyLatency adds to each request the time of one round trip.
func ProxyLatency(roundTrip time.Duration) ProxyOption {
	return func(p *Proxy) { p.latency = roundTrip }
}

// NewProxy starts a proxy in front of a server that speaks plain HTTP ("http://host:port"), until the test ends or Close is called. The plan is
// asked about each request, in the order in which they come, by one goroutine at a time; nil, or one that returns nil, passes all.
func NewProxy(t testing.TB, server string, plan func(*Exchange) HTTPFault, opts ...ProxyOption) *Proxy {
	t.Helper()
	p := &Proxy{t: t, server: strings.TrimPrefix(server, "http://"), plan: plan, closed: make(chan struct{}), conns: map[net.Conn]bool{}}
	for _, opt := range opts {
		opt(p)
	}
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		// An address of its own, so that the port stays its own also while Refuse does not listen on it: all of 127.0.0.0/8 is this machine there.
		host = fmt.Sprintf("127.%d.%d.%d", 64+rand.N(128), rand.N(256), 1+rand.N(254))
	}
	if err := p.listen(host + ":0"); err != nil {
		t.Fatal(err)
	}
	p.Addr = "http://" + p.listener.Addr().String()
	t.Cleanup(p.Close)
	return p
}

// Close ends the proxy and all connections through it.
func (p *Proxy) Close() {
	p.mu.Lock()
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	p.mu.Unlock()
	p.hangUp()
	p.serving.Wait()
}

// Requests are those that have come so far.
func (p *Proxy) Requests() []Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Rounds is how many round trips there have been one after another: a request counts as one more than those that had been answered when it came.
func (p *Proxy) Rounds() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *Proxy) listen(address string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return net.ErrClosed
	default:
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	p.listener = l
	p.serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(client.(*net.TCPConn)) })
		}
	})
	return nil
}

// hangUp ends all connections, and listens no more.
func (p *Proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener.Close()
	for c := range p.conns {
		c.Close()
	}
}

// hold keeps a connection for hangUp; false: the proxy has been closed.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return false
	default:
		p.conns[c] = true
		return true
	}
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// serve is one connection. A goroutine reads ahead, so that a client that hangs up is noticed, and Vault told, while a request is at work.
func (p *Proxy) serve(client *net.TCPConn) {
	defer p.drop(client)
	conn, err := net.Dial("tcp", p.server)
	if err != nil || !p.hold(client) {
		return
	}
	server := conn.(*net.TCPConn)
	defer p.drop(server)
	if !p.hold(server) {
		return
	}
	requests, gone, over := make(chan *Exchange), make(chan struct{}), make(chan struct{})
	defer close(over)
	p.serving.Go(func() {
		defer close(requests)
		defer close(gone)
		defer server.CloseWrite()
		for in := bufio.NewReader(client); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			select {
			case requests <- &Exchange{Request: r, Body: body, proxy: p, client: client, server: server, gone: gone}:
			case <-over:
				return
			}
		}
	})
	answers := bufio.NewReader(server)
	for e := range requests {
		e.answers = answers
		if !p.exchange(e) {
			return
		}
	}
}

// exchange has one request answered, or not; false: the connection is over.
func (p *Proxy) exchange(e *Exchange) bool {
	fault, round := p.note(e)
	if p.latency > 0 && !e.wait(p.latency) {
		return false
	}
	if fault == nil {
		fault = pass
	}
	goesOn := fault(e)
	p.mu.Lock()
	p.done = max(p.done, round)
	p.mu.Unlock()
	return goesOn
}

// note counts a request and asks the plan.
func (p *Proxy) note(e *Exchange) (fault HTTPFault, round int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.N = len(p.seen) + 1
	if p.plan != nil {
		fault = p.plan(e)
	}
	p.seen = append(p.seen, Seen{e.Request.Method, strings.TrimPrefix(e.Request.URL.Path, "/v1/"), fault != nil})
	return fault, p.done + 1
}

// An Exchange is one request on its way.
type Exchange struct {
	N       int // 1 for the proxy's first request
	Request *http.Request
	Body    []byte // of the request

	proxy          *Proxy
	client, server *net.TCPConn
	answers        *bufio.Reader
	gone           <-chan struct{} // closed when the client has hung up
}

// wait waits; false: there is nobody left to wait for.
func (e *Exchange) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-e.gone:
	case <-e.proxy.closed:
	}
	return false
}

// forward sends the request to the server and returns its answer as it would be written to the client.
func (e *Exchange) forward() (answer []byte, last bool, err error) {
	r := e.Request
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(e.Body)), int64(len(e.Body)), nil
	if len(e.Body) == 0 {
		r.Body = http.NoBody
	}
	if err := r.Write(e.server); err != nil {
		return nil, true, err
	}
	response, err := http.ReadResponse(e.answers, r)
	if err != nil {
		return nil, true, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, true, err
	}
	return answerOf(response.StatusCode, response.Header, body, response.Close), response.Close, nil
}

// answerOf is an answer as it is written.
func answerOf(status int, header http.Header, body []byte, last bool) []byte {
	var out bytes.Buffer
	response := &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Close: last,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	_ = response.Write(&out) // a buffer takes all
	return out.Bytes()
}
