//go:build !windows

package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestTokenIsFoundWhereTheVaultCommandFindsIt(t *testing.T) {
	w := withPostgres(t)
	home := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	opens := func(what string, env map[string]string) {
		t.Helper()
		s, err := vault.Provider{}.Open(t.Context(), w.settings(w.at(env)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		c, err := s.Issue(t.Context(), ask("database/creds/readonly"))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		revoke(t, s, c.Lease, providers.Proven)
	}
	if _, err := (vault.Provider{}).Open(t.Context(), w.settings(w.at(map[string]string{"HOME": home}))); err == nil || !strings.Contains(err.Error(), "VAULT_TOKEN") {
		t.Errorf("without any token: %v", err)
	}
	write(".vault-token", w.vault.RootToken+"\n", 0o600)
	opens("~/.vault-token", map[string]string{"HOME": home})

	helper := write("helper", "#!/bin/sh\n[ \"$1\" = get ] && printf %s '"+w.vault.RootToken+"'\n", 0o700)
	write(".vault-token", "not this one", 0o600)
	write(".vault", `token_helper = "`+helper+`"`, 0o600)
	opens("the token helper", map[string]string{"HOME": home})
	opens("the token helper of another file", map[string]string{"HOME": "/nowhere", "VAULT_CONFIG_PATH": filepath.Join(home, ".vault")})

	write("helper", "#!/bin/sh\nexit 1\n", 0o700)
	opens("VAULT_TOKEN before all", map[string]string{"HOME": home, "VAULT_TOKEN": w.vault.RootToken})
	if _, err := (vault.Provider{}).Open(t.Context(), w.settings(w.at(map[string]string{"HOME": home}))); err == nil || !strings.Contains(err.Error(), "token helper") {
		t.Errorf("a helper that fails: %v", err)
	}
}

func TestChildTokenTakesTheRunsLeasesAlong(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("parent", `path "database/creds/*" { capabilities = ["read"] }
path "auth/token/create" { capabilities = ["update"] }`)
	parent := w.vault.Token("parent")
	s := w.open(map[string]string{"VAULT_TOKEN": parent, "WITH_CREDS_VAULT_CHILD_TOKEN": "true"})
	own := s.Own()
	if own == nil || own.TTL(time.Now()) > 5*time.Minute {
		t.Fatalf("the child is %+v, want one within the leash", own)
	}
	if w.requests.Load() != 1 {
		t.Errorf("%d round trips to make a child, want 1", w.requests.Load())
	}
	issue(t, s, "database/creds/readonly") // forgotten, as if its answer had been lost
	closing(t, s, providers.Proven)
	eventually(t, "the lease went with the child", func() bool { return len(w.pg.Roles("v-")) == 0 })
	if status, _ := w.vault.Raw(parent, "GET", "auth/token/lookup-self", ""); status != 200 {
		t.Error("the parent is gone too")
	}
}

func TestChildTokenThatIsNotAllowedLeavesTheTokenAtHand(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`)
	s := w.open(map[string]string{"VAULT_TOKEN": w.vault.Token("creds"), "WITH_CREDS_VAULT_CHILD_TOKEN": "true"})
	if s.Own() != nil {
		t.Error("a borrowed token is taken for the session's own")
	}
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "auth/token/create") {
		t.Errorf("warned of %q", w.warnings)
	}
	revoke(t, s, issue(t, s, "database/creds/readonly").Lease, providers.Proven)
}

// A batch token can neither renew nor revoke itself, nor look its leases up: what it issued is revoked, and it ends by itself.
func TestBatchTokenEndsByItselfAndItsLeasesAreRevoked(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }
`+harness.RevokingPolicy("database/creds/readonly/"))
	s := w.withAppRole(map[string]any{"token_policies": "creds", "token_type": "batch", "token_ttl": "10m"})
	own := s.Own()
	if own == nil || own.Renewable || !strings.HasPrefix(own.ID, "request/") || own.TTL(time.Now()) > 10*time.Minute {
		t.Fatalf("the session's own lease is %+v", own)
	}
	if _, err := s.Renew(t.Context(), *own, time.Minute); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("renewing a batch token: %v, want a refusal", err)
	}
	c := issue(t, s, "database/creds/readonly")
	if c.Lease.TTL(time.Now()) > 10*time.Minute {
		t.Errorf("the lease is said to outlive the batch token: %v", c.Lease.TTL(time.Now()))
	}
	revoke(t, s, c.Lease, providers.Proven)
	w.nothingLeft()
	closing(t, s, providers.Expires)
}

func TestTokenWithoutTheDefaultPolicyIsRefusedWithTheRuleItLacks(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`)
	s := w.withAppRole(map[string]any{"token_policies": "creds", "token_no_default_policy": true})
	c := issue(t, s, "database/creds/readonly")
	proof, err := s.Revoke(t.Context(), c.Lease)
	if proof != providers.Failed || !errors.Is(err, providers.ErrRefused) {
		t.Fatalf("%s, %v, want a refusal", proof, err)
	}
	if want := `allowed_parameters = { "lease_id" = ["database/creds/readonly/*"], "sync" = [] }`; !strings.Contains(err.Error(), want) {
		t.Errorf("the error %q does not name the rule %q", err, want)
	}
	closing(t, s, providers.Expires)
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "revoke-self") {
		t.Errorf("warned of %q", w.warnings)
	}
}

func TestUseLimitedTokenTakesItsLeasesAlongWithItsLastUse(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`)
	s := w.withAppRole(map[string]any{"token_policies": "creds", "token_num_uses": 2})
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "2 times") {
		t.Errorf("warned of %q", w.warnings)
	}
	c := issue(t, s, "database/creds/readonly")
	_, _ = s.Revoke(t.Context(), c.Lease) // the last use; whatever it says
	proof, err := s.Revoke(t.Context(), c.Lease)
	if proof != providers.Accepted || err != nil {
		t.Errorf("without a use left: %s, %v, want accepted: the leases of a token end with it", proof, err)
	}
	closing(t, s, providers.Proven)
	eventually(t, "Vault revoked it with the token", func() bool { return len(w.pg.Roles("v-")) == 0 })
}

func TestPeriodicTokenHasNoMaximum(t *testing.T) {
	w := newWorld(t)
	s := w.withAppRole(map[string]any{"token_period": "2m"})
	own, err := s.Renew(t.Context(), *s.Own(), 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !own.MaxExpire.IsZero() {
		t.Errorf("a period was taken for a maximum: %+v", own)
	}
	if ttl := own.TTL(time.Now()); ttl > 2*time.Minute {
		t.Errorf("the token is said to last %v, longer than its period", ttl)
	}
	closing(t, s, providers.Proven)
}

func TestTokenThatEndedIsToldFromOneThatMayNot(t *testing.T) {
	w := withPostgres(t)
	gone := w.vault.TokenOf(&api.TokenCreateRequest{TTL: "1h"})
	s := w.withToken(gone)
	w.vault.Write("auth/token/revoke", map[string]any{"token": gone})
	_, err := s.Issue(t.Context(), ask("database/creds/readonly"))
	if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "expired or was revoked") {
		t.Errorf("with a revoked token: %v", err)
	}
	_, err = w.withToken(w.vault.Token()).Issue(t.Context(), ask("database/creds/readonly"))
	if want := `vault: reading database/creds/readonly: permission denied (403) (the policy needs "read" on this path)`; err == nil || err.Error() != want {
		t.Errorf("without the right: %v\nwant %s", err, want)
	}
}

func TestWrongAppRoleSaysWhatWasAttempted(t *testing.T) {
	w := newWorld(t)
	roleID, _ := w.vault.AppRole("test", nil)
	env := map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": "wrong-secret-id-0001"}
	_, err := vault.Provider{}.Open(t.Context(), w.settings(w.at(env)))
	if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "auth/approle/login") || strings.Contains(err.Error(), "wrong-secret-id-0001") {
		t.Errorf("%v", err)
	}
	env["WITH_CREDS_VAULT_MOUNT"] = "elsewhere"
	_, err = vault.Provider{}.Open(t.Context(), w.settings(w.at(env)))
	if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "auth/elsewhere/login") {
		t.Errorf("%v", err)
	}
	env["WITH_CREDS_VAULT_AUTH"] = "aprole"
	if _, err = (vault.Provider{}).Open(t.Context(), w.settings(w.at(env))); err == nil || !strings.Contains(err.Error(), "auto, token, approle, jwt, kubernetes") {
		t.Errorf("%v", err)
	}
}

func TestLoginReadsItsSecretsFromFiles(t *testing.T) {
	w := newWorld(t)
	roleID, secretID := w.vault.AppRole("test", nil)
	dir := t.TempDir()
	for name, content := range map[string]string{"role": roleID + "\n", "secret": secretID + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := w.open(map[string]string{
		"WITH_CREDS_VAULT_AUTH":         "approle",
		"WITH_CREDS_VAULT_ROLE_ID_FILE": filepath.Join(dir, "role"), "WITH_CREDS_VAULT_SECRET_ID_FILE": filepath.Join(dir, "secret"),
	})
	closing(t, s, providers.Proven)
}
