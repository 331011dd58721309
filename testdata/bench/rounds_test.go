//go:build !windows

package bench_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A gate stands before Vault. It lets no answer to a read of a credential out before as many have been asked for as there will be: who asks
// for them one after another gets none. What is neither a login nor a read waits until the command has told that it runs: whoever lets the
// command wait for that (a renewal) waits for ever.
type gate struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // "PUT auth/approle/login", in the order of arrival
	reads int
	all   chan struct{} // closed with the last read
	runs  chan struct{} // closed when the command has told
}

func newGate(t *testing.T, vault string, credentials int) *gate {
	t.Helper()
	to, err := url.Parse(vault)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{all: make(chan struct{}), runs: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(answer *http.Response) error {
			path, until := answer.Request.URL.Path, g.runs
			switch {
			case isLogin(path):
				return nil
			case isRead(path):
				until = g.all
			}
			select {
			case <-until:
				return nil
			case <-time.After(time.Minute):
				return fmt.Errorf("waited for in vain")
			}
		},
	}
	g.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		g.mu.Lock()
		g.asked = append(g.asked, in.URL.Path)
		switch {
		case isRead(in.URL.Path):
			if g.reads++; g.reads == credentials {
				close(g.all)
			}
		case in.URL.Path == started:
			close(g.runs)
		}
		g.mu.Unlock()
		if in.URL.Path != started {
			proxy.ServeHTTP(out, in)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

const started = "/started" // what the command asks for

func isLogin(path string) bool { return path == "/v1/auth/approle/login" }
func isRead(path string) bool  { return strings.HasPrefix(path, "/v1/database/creds/") }

// waitedFor is what was asked for and answered before the command told that it runs.
func (g *gate) waitedFor(t *testing.T) []string {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.asked, started)
	if i < 0 {
		t.Fatalf("the command has not told that it runs; asked for was %q", g.asked)
	}
	return slices.DeleteFunc(slices.Clone(g.asked[:i]), func(path string) bool { return !isLogin(path) && !isRead(path) })
}

func TestTheCommandWaitsForTwoRoundTripsAtMostHoweverManyCredentials(t *testing.T) {
	w := newWorld(t)
	const login, read = "/v1/auth/approle/login", "/v1/database/creds/readonly"
	for _, test := range []struct {
		name  string
		n     int
		by    func(*world) []string
		trips []string // one after another, before the reads, which are one together
	}{
		{"logging in, one credential", 1, byAppRole, []string{login}},
		{"logging in, ten", 10, byAppRole, []string{login}},
		{"a token at hand, one", 1, byToken, nil},
		{"a token at hand, ten", 10, byToken, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, w.vault.Addr, test.n)
			w.run(withCreds(test.name, test.n, test.by), g.URL, "curl", "-sSf", g.URL+started)
			want := append(slices.Clone(test.trips), slices.Repeat([]string{read}, test.n)...)
			if got := g.waitedFor(t); !slices.Equal(got, want) {
				t.Errorf("asked for before the command:\n%q\nwant\n%q", got, want)
			}
		})
	}
}
