//go:build !windows

package vault_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
)

const lost = -1 // a status: the connection is cut instead of an answer

// An exchange is a request that a fake server expects, as "METHOD path", and its answer.
type exchange struct {
	request string
	status  int
	body    string
	header  http.Header
	check   func(r *http.Request, body string) error
}

// A fake answers what it was told to, in that order, and fails the test on anything else and on what never came.
type fake struct {
	t   *testing.T
	url string
	mu  sync.Mutex
	due []exchange
}

func newFake(t *testing.T, due ...exchange) *fake {
	f := &fake{t: t, due: due}
	server := httptest.NewServer(f)
	f.url = server.URL
	t.Cleanup(func() {
		server.Close()
		for _, e := range f.due {
			t.Errorf("the server was never asked: %s", e.request)
		}
	})
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/v1/"); len(f.due) == 0 || f.due[0].request != got {
		f.t.Errorf("the server was asked %s, which it was not told of (next: %v)", got, f.due)
		http.Error(w, "no", 599)
		return
	}
	e := f.due[0]
	f.due = f.due[1:]
	if e.check != nil {
		if err := e.check(r, string(body)); err != nil {
			f.t.Errorf("%s: %v", e.request, err)
		}
	}
	if e.status == lost {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			f.t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, e.body)
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		return
	}
	maps.Copy(w.Header(), e.header)
	w.WriteHeader(e.status)
	_, _ = io.WriteString(w, e.body)
}

func (f *fake) settings(more map[string]string) providers.Settings {
	env := map[string]string{"VAULT_ADDR": f.url, "VAULT_TOKEN": "borrowed-token-0001"}
	maps.Copy(env, more)
	return providers.Settings{Run: "r", Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func (f *fake) open(more map[string]string) *vault.Session {
	f.t.Helper()
	s, err := vault.Provider{}.Open(f.t.Context(), f.settings(more))
	if err != nil {
		f.t.Fatal(err)
	}
	return s.(*vault.Session)
}

var approleEnv = map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": "role-id", "WITH_CREDS_VAULT_SECRET_ID": "secret-id-value"}

func login() exchange {
	return exchange{
		request: "PUT auth/approle/login", status: 200,
		body: `{"request_id":"r1","auth":{"client_token":"own-token-0001","accessor":"acc","lease_duration":1200,"renewable":true}}`,
		check: func(r *http.Request, body string) error {
			if r.Header.Get("X-Vault-Token") != "" || body != `{"role_id":"role-id","secret_id":"secret-id-value"}` {
				return fmt.Errorf("token %q, body %s", r.Header.Get("X-Vault-Token"), body)
			}
			return nil
		},
	}
}

const readAnswer = `{"lease_id":"database/creds/r/1","lease_duration":3600,"renewable":true,"data":{"username":"u","password":"p"},"warnings":["careful"]}`
