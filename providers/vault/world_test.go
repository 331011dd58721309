//go:build !windows

package vault_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A world is a real Vault, most often in front of a real PostgreSQL, and what sessions said and did.
type world struct {
	t        *testing.T
	vault    *harness.VaultServer
	pg       *harness.PostgresServer
	requests atomic.Int64

	mu       sync.Mutex
	warnings []string
}

func newWorld(t *testing.T, opts ...harness.VaultOption) *world {
	t.Helper()
	w := &world{t: t, vault: harness.Vault(t, opts...)}
	return w
}

func withPostgres(t *testing.T, opts ...harness.VaultOption) *world {
	t.Helper()
	w := newWorld(t, opts...)
	w.pg = harness.Postgres(t)
	w.vault.EnablePostgres(w.pg)
	return w
}

// settings are those of a run in the environment env.
func (w *world) settings(env map[string]string) providers.Settings {
	return providers.Settings{
		Run: "testrun", Leash: 5 * time.Minute, Requests: &w.requests,
		Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Warn: func(format string, args ...any) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.warnings = append(w.warnings, fmt.Sprintf(format, args...))
		},
	}
}

// at is an environment for this server, with more.
func (w *world) at(more map[string]string) map[string]string {
	env := map[string]string{"VAULT_ADDR": w.vault.Addr, "VAULT_CACERT": w.vault.CACert, "VAULT_MAX_RETRIES": "0"}
	maps.Copy(env, more)
	return env
}

func (w *world) open(more map[string]string) *vault.Session {
	w.t.Helper()
	s, err := vault.Provider{}.Open(w.t.Context(), w.settings(w.at(more)))
	if err != nil {
		w.t.Fatal(err)
	}
	return s.(*vault.Session)
}

func (w *world) withToken(token string) *vault.Session {
	w.t.Helper()
	return w.open(map[string]string{"VAULT_TOKEN": token})
}

func (w *world) withAppRole(settings map[string]any) *vault.Session {
	w.t.Helper()
	roleID, secretID := w.vault.AppRole("test", settings)
	return w.open(map[string]string{
		"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID,
	})
}

// ask parses no specs: "pki/issue/web?common_name=x" is enough.
func ask(source string) providers.Request {
	path, query, _ := strings.Cut(source, "?")
	r := providers.Request{Provider: vault.Name, Path: path}
	for _, param := range strings.FieldsFunc(query, func(c rune) bool { return c == '&' }) {
		key, value, _ := strings.Cut(param, "=")
		r.Params = append(r.Params, providers.Param{Key: key, Value: value})
	}
	return r
}

func issue(t *testing.T, s providers.Session, source string) providers.Credential {
	t.Helper()
	c, err := s.Issue(t.Context(), ask(source))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func value(t *testing.T, c providers.Credential, name string) string {
	t.Helper()
	f, ok := c.Field(name)
	if !ok {
		t.Fatalf("there is no field %q among %q", name, c.FieldNames())
	}
	return f.Value
}

// revoke makes one attempt, and wants this proof.
func revoke(t *testing.T, s providers.Session, l providers.Lease, want providers.Proof) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := s.Revoke(ctx, l)
	if got != want || err != nil {
		t.Errorf("revoking %s: %s, %v, want %s", l.ID, got, err, want)
	}
}

func closing(t *testing.T, s providers.Session, want providers.Proof) {
	t.Helper()
	if got, err := s.Close(t.Context()); got != want || err != nil {
		t.Errorf("closing: %s, %v, want %s", got, err, want)
	}
}

// nothingLeft wants neither a role of Vault's in the database nor a lease.
func (w *world) nothingLeft() {
	w.t.Helper()
	if roles := w.pg.Roles("v-"); len(roles) > 0 {
		w.t.Errorf("roles are left: %q", roles)
	}
	if leases := w.vault.Leases("database/creds"); len(leases) > 0 {
		w.t.Errorf("leases are left: %q", leases)
	}
}

// eventually waits up to 10 s.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after ten seconds still not: %s", what)
		}
	}
}
