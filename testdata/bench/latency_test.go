//go:build !windows

package bench_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A distance lies between a client and a server: every piece of data is held for half a round trip, each way. A connection is made at once, which
// spares those that make many.
//
// It also counts how many round trips follow one another. A request's depth is one more than that of the deepest answer that has
// arrived when it is sent, so requests that are under way together count as one.
type distance struct {
	address string
	half    time.Duration

	mu       sync.Mutex
	deepest  int
	arrivals []arrival
}

// An arrival is that of an answer at the client.
type arrival struct {
	at    time.Time
	depth int
}

// newDistance puts a server so far away.
func newDistance(t testing.TB, server string, roundTrip time.Duration) *distance {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := &distance{address: l.Addr().String(), half: roundTrip / 2}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			var depth int // of the request that is under way on this connection; 0: none
			go d.hold(far, client, func() {
				if depth == 0 {
					depth = d.deepest + 1
				}
			}, nil)
			go d.hold(client, far, nil, func() {
				if depth > 0 {
					d.deepest = max(d.deepest, depth)
					d.arrivals = append(d.arrivals, arrival{time.Now(), depth})
				}
				depth = 0
			})
		}
	}()
	return d
}

// reset begins to count anew.
func (d *distance) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deepest, d.arrivals = 0, nil
}

// tripsUntil is how many round trips have followed one another until then.
func (d *distance) tripsUntil(then time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	trips := 0
	for _, a := range d.arrivals {
		if a.at.Before(then) {
			trips = max(trips, a.depth)
		}
	}
	return trips
}

// hold copies from one connection to another. It calls came when a piece has come and left before it is passed on, with the lock held.
func (d *distance) hold(to, from net.Conn, came, left func()) {
	type piece struct {
		data []byte
		due  time.Time
	}
	call := func(f func()) {
		if f != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			f()
		}
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 64<<10)
			n, err := from.Read(data)
			if n > 0 {
				call(came)
				pieces <- piece{data[:n], time.Now().Add(d.half)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		call(left)
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	for range pieces { // until the sender has ended too
	}
	_, _ = io.Copy(io.Discard, from)
}
