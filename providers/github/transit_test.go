//go:build !windows

package github

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// transitSigns has the App's key in Vault, which is spoken to over TLS, and a policy "sign" that may use it.
func transitSigns(t *testing.T, b *bench) *harness.VaultServer {
	t.Helper()
	vault := harness.Vault(t, harness.VaultTLS())
	vault.Mount("transit", "transit")
	vault.Write("transit/keys/github-app", map[string]any{"type": "rsa-2048"})
	b.Public = vault.TransitKey("github-app")
	vault.Policy("sign", `path "transit/sign/github-app/sha2-256" { capabilities = ["update"] }`)
	b.env[keyVariable] = ""
	b.env[transitVariable] = "transit/github-app"
	b.env["VAULT_ADDR"], b.env["VAULT_CACERT"] = vault.Addr, vault.CACert
	return vault
}

func TestTheKeyNeverLeavesVaultWhereTransitSigns(t *testing.T) {
	b := newBench(t)
	vault := transitSigns(t, b)
	roleID, secretID := vault.AppRole("ci", map[string]any{"token_policies": "sign", "secret_id_num_uses": 1})
	issuer := harness.NewIssuer(t, "https://ci.example")
	vault.EnableJWT(issuer)
	vault.JWTRole("ci", map[string]any{"bound_audiences": "vault", "token_policies": "sign"})
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(vault.Token("sign")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env map[string]string
		own bool
	}{
		"a token":             {map[string]string{"VAULT_TOKEN": vault.Token("sign")}, false},
		"the token of a home": {map[string]string{"HOME": home}, false},
		"a child of a token": {map[string]string{
			"VAULT_TOKEN": vault.TokenOf(&api.TokenCreateRequest{Policies: []string{"root"}}), "WITH_CREDS_VAULT_CHILD_TOKEN": "true",
		}, true},
		"an AppRole": {map[string]string{
			"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID,
		}, true},
		"a job's identity": {map[string]string{
			"WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_JWT": issuer.Token(map[string]any{"aud": "vault", "sub": "job"}),
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			env := maps.Clone(b.env)
			maps.Copy(env, test.env)
			settings := b.settings()
			settings.Lookup = func(name string) (string, bool) { v := env[name]; return v, v != "" }
			var told []providers.Lease
			settings.Intend = func(l providers.Lease) error { told = append(told, l); return nil }
			opened, err := Provider{}.Open(within(t, 60*time.Second), settings)
			if err != nil {
				t.Fatal(err)
			}
			s := opened.(*Session)
			c, fields := b.issue(s, "owner=acme&repositories=app&permissions=contents:read")
			if !b.Usable(fields["token"]) {
				t.Error("the token is not let in")
			}
			s.app.last = "" // an hour later
			if _, err := s.app.token(within(t, 60*time.Second)); err != nil {
				t.Errorf("signing once more: %v", err)
			}
			handoff := s.Handoff()
			if text := string(handoff.Data); strings.Contains(text, "PRIVATE KEY") || env["VAULT_TOKEN"] != "" && strings.Contains(text, env["VAULT_TOKEN"]) {
				t.Error("the guard is given what it has no use for")
			}
			guard, err := Provider{}.Resume(handoff, providers.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			if test.own != (len(told) == 1) {
				t.Fatalf("it was told of %d logins", len(told))
			}
			for _, login := range told {
				renewed, err := s.Renew(within(t, 60*time.Second), login, 5*time.Minute)
				if left := renewed.TTL(time.Now()); err != nil || renewed.Key() != login.Key() || left < 4*time.Minute || left > 5*time.Minute {
					t.Errorf("the login has %v after its renewal (%v)", left, err)
				}
				for range 2 {
					if proof, err := guard.Revoke(within(t, 60*time.Second), login); proof != providers.Proven || err != nil {
						t.Errorf("the login: %v, %v", proof, err)
					}
				}
				if status, _ := vault.Raw(vault.Client.Token(), http.MethodPost, "auth/token/lookup-accessor", `{"accessor":"`+login.ID+`"}`); status != http.StatusForbidden && status != http.StatusBadRequest {
					t.Errorf("Vault still knows the login: %d", status)
				}
			}
			if proof, err := guard.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven {
				t.Errorf("%v, %v", proof, err)
			}
			if proof, err := s.Close(within(t, 60*time.Second)); proof != providers.Proven || err != nil {
				t.Errorf("closing: %v, %v", proof, err)
			}
		})
	}
}

func TestALoginThatMayNotSignIsSaidAndEnded(t *testing.T) {
	b := newBench(t)
	vault := transitSigns(t, b)
	roleID, secretID := vault.AppRole("ci", map[string]any{"token_policies": "default"})
	b.env["WITH_CREDS_VAULT_AUTH"], b.env["WITH_CREDS_VAULT_ROLE_ID"], b.env["WITH_CREDS_VAULT_SECRET_ID"] = "approle", roleID, secretID
	before := len(vault.Accessors())
	_, err := Provider{}.Open(within(t, 60*time.Second), b.settings())
	if err == nil || !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), `transit/sign/github-app/sha2-256: permission denied (403) (the policy needs "update" on this path)`) {
		t.Errorf("without the right to sign: %v", err)
	}
	if n := len(vault.Accessors()); n != before {
		t.Errorf("%d tokens, and there were %d", n, before)
	}
}

// TestWhatSweepFindsOfALoginToVaultIsEndedByAnother: after a power cut there is nothing of the login but its accessor.
func TestWhatSweepFindsOfALoginToVaultIsEndedByAnother(t *testing.T) {
	b := newBench(t)
	vault := transitSigns(t, b)
	b.env["VAULT_TOKEN"], b.env["WITH_CREDS_VAULT_CHILD_TOKEN"] = vault.Client.Token(), "true"
	var told []providers.Lease
	settings := b.settings()
	settings.Intend = func(l providers.Lease) error { told = append(told, l); return nil }
	if _, err := (Provider{}).Open(within(t, 60*time.Second), settings); err != nil || len(told) != 1 {
		t.Fatalf("%v, %v", told, err)
	}
	elsewhere := told[0]
	elsewhere.Scope = maps.Clone(elsewhere.Scope)
	elsewhere.Scope[scopeVault] = "https://another.example:8200"
	s := b.open()
	if proof, err := s.Revoke(within(t, 60*time.Second), elsewhere); proof != providers.Failed || !errors.Is(err, providers.ErrRefused) {
		t.Errorf("another Vault's: %v, %v", proof, err)
	}
	before := len(vault.Accessors())
	if proof, err := s.Revoke(within(t, 60*time.Second), told[0]); proof != providers.Proven || err != nil || len(vault.Accessors()) != before-1 {
		t.Errorf("%v, %v; %d of %d tokens left", proof, err, len(vault.Accessors()), before)
	}
	if proof, err := s.Close(within(t, 60*time.Second)); proof != providers.Proven || err != nil || len(vault.Accessors()) != before-2 {
		t.Errorf("%v, %v; %d of %d tokens left", proof, err, len(vault.Accessors()), before)
	}
}

func TestAHostileVaultGetsNoTokenElsewhereAndNoMemory(t *testing.T) {
	secret := rand.Text()
	var caught atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"a redirect to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}, "where the token does not follow"},
		"an endless answer": {func(w http.ResponseWriter, r *http.Request) {
			_, err := fmt.Fprint(w, `{"data":{"signature":"`)
			for err == nil && r.Context().Err() == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
		}, "larger than"},
		"a signature that is none": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":{"signature":"vault:v1:AAAA"}}`) }, "no RSA signature"},
		"no data":                  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, "holds no data"},
		"wrong types":              {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":{"signature":[1]}}`) }, "no RSA signature"},
	} {
		b := newBench(t)
		server := httptest.NewServer(test.answer)
		t.Cleanup(server.Close)
		maps.Copy(b.env, map[string]string{keyVariable: "", transitVariable: "transit/app", "VAULT_ADDR": server.URL, "VAULT_TOKEN": secret})
		_, err := Provider{}.Open(within(t, 60*time.Second), b.settings())
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "transit/sign/app/sha2-256") {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	if caught.Load() != 0 {
		t.Error("another host was asked")
	}
}
