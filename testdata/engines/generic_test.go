//go:build linux

package engines

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
)

// tokens is an API that makes tokens, gives them a name, tells whose one is and deletes them, as those of Consul and Nomad do
// (https://developer.hashicorp.com/consul/api-docs/acl/tokens, https://developer.hashicorp.com/nomad/api-docs/acl/tokens). Neither server is in Debian.
type tokens struct {
	mu   sync.Mutex
	live map[string]string // names by secret
}

func (s *tokens) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rw.Header().Set("Content-Type", "application/json")
	const one = "/v1/acl/token"
	switch secret := r.Header.Get("X-Consul-Token") + r.Header.Get("X-Nomad-Token"); {
	case secret == "boss" && (r.Method == http.MethodPut || r.Method == http.MethodPost) && r.URL.Path == one:
		name, made := rand.Text(), rand.Text()
		s.live[made] = name
		_ = json.NewEncoder(rw).Encode(map[string]any{"AccessorID": name, "SecretID": made, "Type": "client"})
	case secret == "boss" && r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, one+"/"):
		for made, name := range s.live {
			if name == strings.TrimPrefix(r.URL.Path, one+"/") {
				delete(s.live, made)
			}
		}
		fmt.Fprintln(rw, "true")
	case r.URL.Path == one+"/self" && s.live[secret] != "":
		_ = json.NewEncoder(rw).Encode(map[string]any{"AccessorID": s.live[secret]})
	default:
		http.Error(rw, r.Method+" "+r.URL.Path, http.StatusForbidden)
	}
}

func TestConsulAndNomadTokensByTheirField(t *testing.T) {
	trial.Has(t, "curl", "curl")
	w := trial.New(t)
	api := &tokens{live: map[string]string{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	w.Env = []string{"API=" + server.URL}
	w.Mount("consul")
	w.Vault.Write("consul/config/access", map[string]any{"address": strings.TrimPrefix(server.URL, "http://"), "scheme": "http", "token": "boss"})
	w.Vault.Write("consul/roles/ci", map[string]any{"consul_policies": "readonly", "ttl": "1h", "max_ttl": "24h"})
	w.Mount("nomad")
	w.Vault.Write("nomad/config/access", map[string]any{"address": server.URL, "token": "boss"})
	w.Vault.Write("nomad/role/ci", map[string]any{"policies": "readonly", "type": "client"})
	for spec, header := range map[string]string{
		"vault:consul/creds/ci CONSUL_HTTP_TOKEN=token": "X-Consul-Token: $CONSUL_HTTP_TOKEN",
		"vault:nomad/creds/ci NOMAD_TOKEN=secret_id":    "X-Nomad-Token: $NOMAD_TOKEN",
	} {
		w.Run(spec, `curl -sS --fail -o self -H "`+header+`" "$API/v1/acl/token/self" && echo known; echo "`+header+`"`).
			Succeeded(providers.Proven).Says("known", strings.SplitAfter(header, ": ")[0]+"***")
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	if len(api.live) > 0 {
		t.Errorf("left: %d tokens", len(api.live))
	}
}

// The answers are those of https://developer.hashicorp.com/terraform/cloud-docs/api-docs/user-tokens.
func TestTerraformTokenByItsField(t *testing.T) {
	trial.Has(t, "curl", "curl")
	w := trial.New(t)
	token, live := rand.Text(), atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/vnd.api+json")
		switch bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); {
		case r.URL.Path == "/api/v2/ping":
			rw.WriteHeader(http.StatusNoContent)
		case bearer == "boss" && r.Method == http.MethodPost && r.URL.Path == "/api/v2/users/user-ci/authentication-tokens":
			live.Add(1)
			rw.WriteHeader(http.StatusCreated)
			fmt.Fprintf(rw, `{"data":{"id":"at-1","type":"authentication-tokens","attributes":{"description":"","token":%q}}}`, token)
		case bearer == "boss" && r.Method == http.MethodDelete && r.URL.Path == "/api/v2/authentication-tokens/at-1":
			live.Add(-1)
			rw.WriteHeader(http.StatusNoContent)
		case bearer == token && r.URL.Path == "/api/v2/account/details":
			fmt.Fprint(rw, `{"data":{"id":"user-ci","type":"users"}}`)
		default:
			rw.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	w.Mount("terraform")
	w.Vault.Write("terraform/config", map[string]any{"token": "boss", "address": server.URL})
	w.Vault.Write("terraform/role/ci", map[string]any{"user_id": "user-ci", "ttl": "1h", "max_ttl": "24h"})
	w.Env = []string{"API=" + server.URL}
	w.Run("vault:terraform/creds/ci TF_TOKEN_app_terraform_io=token", `
		curl -sS --fail -o self -H "Authorization: Bearer $TF_TOKEN_app_terraform_io" "$API/api/v2/account/details" && echo known
		echo "token $TF_TOKEN_app_terraform_io"`).
		Succeeded(providers.Proven).Says("known", "token ***").Hides(token)
	if n := live.Load(); n != 0 {
		t.Errorf("left: %d tokens", n)
	}
}

func TestTransitDataKey(t *testing.T) {
	w := trial.New(t)
	w.Mount("transit")
	w.Vault.Write("transit/keys/backup", nil)
	out := t.TempDir()
	w.Env = []string{"OUT=" + out}
	w.Run("vault:transit/datakey/plaintext/backup DATA_KEY=plaintext WRAPPED_KEY=ciphertext", `
		printf %s "$DATA_KEY" >"$OUT/key"; printf %s "$WRAPPED_KEY" >"$OUT/wrapped"; echo "key $DATA_KEY"`).Succeeded("").Says("key ***")
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if key := w.Vault.Write("transit/decrypt/backup", map[string]any{"ciphertext": read("wrapped")}).Data["plaintext"]; key != read("key") {
		t.Error("the wrapped key is not that of the other variable")
	}
}
