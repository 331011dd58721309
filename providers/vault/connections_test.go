//go:build !windows

package vault_test

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
)

// A road leads to a server, until it loses what is on it: then nothing more arrives on the connections there are, in either direction, and none is closed. That is how a load
// balancer's lost node looks, or the state of a NAT that was forgotten.
type road struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns int
	lost  int // the first so many connections
}

func newRoad(t *testing.T, to string) *road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &road{Listener: l, to: to}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", r.to)
			if err != nil {
				from.Close()
				continue
			}
			r.mu.Lock()
			r.conns++
			n := r.conns
			r.mu.Unlock()
			go r.carry(n, to, from)
			go r.carry(n, from, to)
		}
	}()
	return r
}

func (r *road) carry(n int, to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		got, err := from.Read(buffer)
		r.mu.Lock()
		lost := n <= r.lost
		r.mu.Unlock()
		if err != nil {
			return
		}
		if !lost {
			_, _ = to.Write(buffer[:got])
		}
	}
}

func (r *road) lose() (conns int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = r.conns
	return r.conns
}

// TestConnectionsThatAreLostWithoutAWordAreNotUsedAgainAndAgain: an attempt finds out, and the next has a new one.
func TestConnectionsThatAreLostWithoutAWordAreNotUsedAgainAndAgain(t *testing.T) {
	t.Parallel()
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			const together = 6
			var all sync.WaitGroup
			all.Add(together)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Proto != protocol {
					t.Errorf("it was asked in %s", r.Proto)
				}
				if strings.HasSuffix(r.URL.Path, "lookup") { // each on a connection of its own, where one carries one
					all.Done()
					all.Wait()
				}
				_, _ = io.WriteString(w, `{"lease_id":"database/creds/r/1","lease_duration":60,"renewable":true,"data":{"id":"database/creds/r/1"}}`)
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			road := newRoad(t, server.Listener.Addr().String())
			env := map[string]string{
				"VAULT_ADDR": "https://" + road.Addr().String(), "VAULT_TOKEN": "borrowed-token-0001",
				"VAULT_CACERT_BYTES": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
			}
			opened, err := vault.Provider{}.Open(t.Context(), providers.Settings{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
			if err != nil {
				t.Fatal(err)
			}
			s := opened.(*vault.Session)
			var asked sync.WaitGroup
			for range together {
				asked.Go(func() {
					if _, err := s.Lookup(t.Context(), "database/creds/r/1"); err != nil {
						t.Error(err)
					}
				})
			}
			asked.Wait()
			conns := road.lose()
			for attempt := 1; ; attempt++ {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				_, err := s.Renew(ctx, providers.Lease{Provider: vault.Name, ID: "database/creds/r/1"}, time.Minute)
				cancel()
				if err == nil {
					break
				}
				if attempt == 3 {
					t.Fatalf("attempt %d, of %d connections that were lost: %v", attempt, conns, err)
				}
			}
		})
	}
}
