//go:build !windows

package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestWorkedExampleThroughAppRoleWithNoRightButDatabaseCreds(t *testing.T) {
	w := withPostgres(t)
	roleID, secretID := w.vault.ReadonlyLogin()
	s := w.open(map[string]string{
		"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID,
	})
	var readonly, readwrite providers.Credential
	var both sync.WaitGroup
	both.Go(func() { readonly = issue(t, s, "database/creds/readonly") })
	both.Go(func() { readwrite = issue(t, s, "database/creds/readwrite") })
	both.Wait()
	if n := w.requests.Load(); n != 3 {
		t.Errorf("%d round trips before the command, want a login and a read for each of two credentials", n)
	}
	if ttl := readonly.Lease.TTL(time.Now()); ttl < 59*time.Minute || ttl > time.Hour {
		t.Errorf("the TTL is %v, want the role's 1h", ttl)
	}
	for _, f := range readonly.Fields {
		if secret := f.Name == "password"; f.Secret != secret {
			t.Errorf("field %s: secret is %v", f.Name, f.Secret)
		}
	}

	reader, err := w.pg.Connect(value(t, readonly, "username"), value(t, readonly, "password"), "app")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow(t.Context(), "select count(*) from items").Scan(&n); err != nil || n != 100 {
		t.Errorf("reading: %d rows, %v", n, err)
	}
	if _, err := reader.Exec(t.Context(), "create table public.no (id int)"); err == nil {
		t.Error("a readonly credential made a table")
	}
	writer, err := w.pg.Connect(value(t, readwrite, "username"), value(t, readwrite, "password"), "app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Exec(t.Context(), "delete from items where id = 1"); err != nil {
		t.Error(err)
	}

	var revoked sync.WaitGroup
	began := time.Now()
	for _, c := range []providers.Credential{readonly, readwrite} {
		revoked.Go(func() { revoke(t, s, c.Lease, providers.Proven) })
	}
	revoked.Wait()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("revoking by shortening took %v", took)
	}
	w.nothingLeft()
	token := tokenOf(t, s)
	closing(t, s, providers.Proven)
	if status, body := w.vault.Raw(token, "GET", "auth/token/lookup-self", ""); status != 403 || !strings.Contains(body, "invalid token") {
		t.Errorf("the token is still good: %d %s", status, body)
	}
}

// tokenOf reads the token out of a handoff, which is the only way out for it.
func tokenOf(t *testing.T, s providers.Session) string {
	t.Helper()
	var h struct{ Token string }
	if err := json.Unmarshal(s.Handoff().Data, &h); err != nil || h.Token == "" {
		t.Fatalf("no token in the handoff: %v", err)
	}
	return h.Token
}

func TestBorrowedTokenWithTheDefaultPolicyAndReadProvesARevocation(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`)
	token := w.vault.Token("creds")
	s := w.withToken(token)
	if w.requests.Load() != 0 {
		t.Error("opening a session with a token at hand asked Vault something")
	}
	first, second := issue(t, s, "database/creds/readonly"), issue(t, s, "database/creds/readonly")
	if w.requests.Load() != 2 {
		t.Errorf("%d round trips for two credentials, want 2", w.requests.Load())
	}
	revoke(t, s, first.Lease, providers.Proven)
	before := w.requests.Load()
	revoke(t, s, second.Lease, providers.Proven)
	if n := w.requests.Load() - before; n > 12 {
		t.Errorf("%d round trips to prove one revocation", n)
	}
	w.vault.EnableAudit()
	third := issue(t, s, "database/creds/readonly")
	revoke(t, s, third.Lease, providers.Proven)
	for _, e := range w.vault.Audit() {
		if e.Request.Path == "sys/leases/revoke" {
			t.Error("a synchronous revocation was asked for again, though the policy is known to forbid it")
		}
	}
	w.nothingLeft()
	closing(t, s, providers.Proven)
	if status, body := w.vault.Raw(token, "GET", "auth/token/lookup-self", ""); status != 200 {
		t.Errorf("a borrowed token was ended: %d %s", status, body)
	}
}

func TestOneRuleOfPolicyMakesARevocationOneRoundTrip(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/readonly" { capabilities = ["read"] }
`+harness.RevokingPolicy("database/creds/readonly/"))
	s := w.withToken(w.vault.Token("creds"))
	c := issue(t, s, "database/creds/readonly")
	before := w.requests.Load()
	revoke(t, s, c.Lease, providers.Proven)
	if n := w.requests.Load() - before; n != 1 {
		t.Errorf("revoked in %d round trips", n)
	}
	w.nothingLeft()
	if got, err := s.Revoke(t.Context(), providers.Lease{Provider: vault.Name, ID: "database/creds/readwrite/x"}); got == providers.Proven && err == nil {
		return // gone by the other way, which the default policy gives: "lease not found"
	} else if err != nil && !errors.Is(err, providers.ErrRefused) {
		t.Errorf("a lease of another kind: %v, %v", got, err)
	}
}

func TestRootTokenIssuesRevokesAndIsLeftAlone(t *testing.T) {
	w := withPostgres(t)
	s := w.withToken(w.vault.RootToken)
	c := issue(t, s, "database/creds/readonly")
	revoke(t, s, c.Lease, providers.Proven)
	revoke(t, s, c.Lease, providers.Proven) // again: it is gone
	revoke(t, s, providers.Lease{Provider: vault.Name, ID: "database/creds/readonly/never-was"}, providers.Proven)
	w.nothingLeft()
	closing(t, s, providers.Proven)
	if n := w.requests.Load(); n != 4 {
		t.Errorf("%d round trips, want one to issue and one for each revocation", n)
	}
	w.vault.Token() // the root token still works
}

func TestLeaseIsExtendedShortenedAndStopsAtItsMaximum(t *testing.T) {
	w := withPostgres(t)
	w.vault.DatabaseRole("short", "postgresql", `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`, "20s", "60s")
	s := w.withToken(w.vault.RootToken)
	l := issue(t, s, "database/creds/short").Lease
	renewed := func(increment time.Duration) providers.Lease {
		t.Helper()
		l, err := s.Renew(t.Context(), l, increment)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	near := func(got time.Time, in time.Duration) {
		t.Helper()
		if d := time.Until(got) - in; d < -2*time.Second || d > time.Second {
			t.Errorf("ends in %v, want about %v", time.Until(got), in)
		}
	}
	l = renewed(40 * time.Second)
	near(l.Expires, 40*time.Second)
	if !l.MaxExpire.IsZero() {
		t.Errorf("a maximum was seen that was not reached: %v", l.MaxExpire)
	}
	l = renewed(10 * time.Second)
	near(l.Expires, 10*time.Second)
	l = renewed(time.Hour)
	near(l.Expires, 60*time.Second)
	near(l.MaxExpire, 60*time.Second)
	revoke(t, s, l, providers.Proven)
	if _, err := s.Renew(t.Context(), l, time.Minute); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("renewing a lease that is gone: %v, want a refusal", err)
	}
}

func TestOwnTokenIsCutToTheLeashAndItsEndBoundsItsLeases(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`)
	s := w.withAppRole(map[string]any{"token_policies": "creds", "token_ttl": "20m", "token_max_ttl": "30m"})
	own := s.Own()
	if own == nil || !own.Renewable || own.ID == "" || own.TTL(time.Now()) < 19*time.Minute {
		t.Fatalf("the session's own lease is %+v", own)
	}
	c := issue(t, s, "database/creds/readonly")
	if ttl := c.Lease.TTL(time.Now()); ttl > 20*time.Minute {
		t.Errorf("the lease is said to last %v, longer than its token", ttl)
	}
	cut, err := s.Renew(t.Context(), *own, 5*time.Minute)
	if err != nil || cut.TTL(time.Now()) > 5*time.Minute {
		t.Fatalf("cut to %v, %v", cut.TTL(time.Now()), err)
	}
	if s.Own().Expires != cut.Expires {
		t.Error("the session does not know its token's new end")
	}
	capped, err := s.Renew(t.Context(), cut, 2*time.Hour)
	if err != nil || capped.MaxExpire.IsZero() || time.Until(capped.MaxExpire) > 30*time.Minute {
		t.Errorf("past the token's maximum: %+v, %v", capped, err)
	}
	revoke(t, s, c.Lease, providers.Proven)
	closing(t, s, providers.Proven)
}

func TestDatabaseDownIsRetriedAndThenLeftToVaultsOwnQueue(t *testing.T) {
	w := withPostgres(t)
	s := w.withToken(w.vault.RootToken)
	c := issue(t, s, "database/creds/readonly")
	w.pg.Stop()
	proof, err := s.Revoke(t.Context(), c.Lease)
	if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
		t.Errorf("with the database down: %s, %v, want a failure that is worth another attempt", proof, err)
	}
	if err != nil && strings.Contains(err.Error(), value(t, c, "password")) {
		t.Error("the password is in the error")
	}
	if proof, err := s.Defer(t.Context(), c.Lease); proof != providers.Accepted || err != nil {
		t.Errorf("handing over: %s, %v", proof, err)
	}
	w.pg.Start()
	// Vault's next try by itself is ten seconds away; one that is asked for need not wait for it.
	revoke(t, s, c.Lease, providers.Proven)
	w.nothingLeft()
}

func TestDefaultPolicyIsEnoughToHandALeaseOver(t *testing.T) {
	w := withPostgres(t)
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`)
	s := w.withToken(w.vault.Token("creds"))
	c := issue(t, s, "database/creds/readonly")
	if proof, err := s.Defer(t.Context(), c.Lease); proof != providers.Accepted || err != nil {
		t.Errorf("handing over: %s, %v", proof, err)
	}
	eventually(t, "Vault revoked it by itself", func() bool { return len(w.pg.Roles("v-")) == 0 })
}

func TestAttemptEndsWithItsDeadlineAlsoWhenTheDatabaseHangs(t *testing.T) {
	w := withPostgres(t)
	s := w.withToken(w.vault.RootToken)
	c := issue(t, s, "database/creds/readonly")
	w.pg.Pause()
	defer w.pg.Continue()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	if proof, err := s.Revoke(ctx, c.Lease); proof != providers.Failed || errors.Is(err, providers.ErrRefused) {
		t.Errorf("%s, %v", proof, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("an attempt of half a second took %v", took)
	}
}

func TestAnotherProcessRevokesWithTheHandoffAlone(t *testing.T) {
	w := withPostgres(t, harness.VaultClientCert())
	roleID, secretID := w.vault.ReadonlyLogin()
	s := w.open(map[string]string{
		"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID,
		"VAULT_CLIENT_CERT": w.vault.ClientCert, "VAULT_CLIENT_KEY": w.vault.ClientKey,
	})
	c := issue(t, s, "database/creds/readonly")

	sent, err := json.Marshal(s.Handoff())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := json.Marshal(c.Lease)
	if err != nil {
		t.Fatal(err)
	}
	var h providers.Handoff
	var l providers.Lease
	if err := errors.Join(json.Unmarshal(sent, &h), json.Unmarshal(lease, &l)); err != nil {
		t.Fatal(err)
	}
	before := w.requests.Load()
	again, err := vault.Provider{}.Resume(h, providers.Settings{Requests: &w.requests})
	if err != nil {
		t.Fatal(err)
	}
	if w.requests.Load() != before {
		t.Error("resuming asked Vault something")
	}
	revoke(t, again, l, providers.Proven)
	w.nothingLeft()
	closing(t, again, providers.Proven)
	closing(t, s, providers.Proven) // the first process, if it lives: the token is gone, which is what it wanted
}

func TestSealedVaultIsWorthAnotherAttempt(t *testing.T) {
	w := withPostgres(t, harness.VaultOnDisk())
	s := w.withToken(w.vault.RootToken)
	c := issue(t, s, "database/creds/readonly")
	w.vault.Seal()
	if proof, err := s.Revoke(t.Context(), c.Lease); proof != providers.Failed || errors.Is(err, providers.ErrRefused) {
		t.Errorf("sealed: %s, %v", proof, err)
	}
	w.vault.Stop()
	if proof, err := s.Revoke(t.Context(), c.Lease); proof != providers.Failed || errors.Is(err, providers.ErrRefused) {
		t.Errorf("stopped: %s, %v", proof, err)
	}
	w.vault.Start()
	revoke(t, s, c.Lease, providers.Proven)
	w.nothingLeft()
}
