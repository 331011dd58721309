//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/testdata/harness"
)

// vaultRows are a Vault before that database and the rows for it: one for each kind of login, which decides on how a revocation is made and seen.
func vaultRows(t testing.TB, pg *harness.PostgresServer) []server {
	t.Helper()
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	row := func(name string, login vaultLogin, moments ...moment) server {
		return server{
			name: name, address: strings.TrimPrefix(v.Addr, "http://"), secrets: login.secrets, log: v.Log, moments: moments,
			source: func(t testing.TB, address string, o order) *source { return vaultSource(t, v, pg, login, address, o) },
			slow:   !login.sync,
		}
	}
	return []server{
		row("vault, own token", ownLogin(true), slices.Concat(ownMoments, syncMoments, closingMoments)...),
		row("vault, own token, default policy", ownLogin(false), slices.Concat(lookupMoments, closingMoments)...),
		row("vault, borrowed token", borrowedLogin, slices.Concat(issueMoments, leaseMoments, syncMoments)...),
	}
}

// A vaultLogin is how a run comes to its token, and what that may do.
type vaultLogin struct {
	borrowed bool
	sync     bool // it may revoke synchronously; without that there is nothing but the default policy
	secrets  []string
}

func ownLogin(sync bool) vaultLogin {
	return vaultLogin{sync: sync, secrets: []string{"WITH_CREDS_VAULT_SECRET_ID"}}
}

var borrowedLogin = vaultLogin{borrowed: true, sync: true, secrets: []string{"VAULT_TOKEN"}}

const (
	reading   = "GET /v1/database/creds/"
	renewing  = "/v1/sys/leases/renew"
	revoking  = "/v1/sys/leases/revoke"
	lookingUp = "/v1/sys/leases/lookup"
)

var (
	loginMoments = []moment{
		{name: "before login", holds: "/login"},
		{name: "login answered", holds: "/login", answer: true},
	}
	issueMoments = []moment{
		{name: "issuing", holds: reading},
		{name: "issued and not known", holds: reading, answer: true},
		{name: "replacing", holds: reading, nth: 2, lasting: true, order: order{files: true, life: shortLife}},
		{name: "replaced and not known", holds: reading, nth: 2, answer: true, lasting: true, order: order{files: true, life: shortLife}},
	}
	tokenMoments = []moment{
		{name: "cutting the token to the leash", holds: "/v1/auth/token/renew-self", lasting: true},
		{name: "renewing the token", holds: "/v1/auth/token/renew-self", nth: 2, lasting: true, leash: shortLeash},
	}
	ownMoments   = slices.Concat(loginMoments, issueMoments, tokenMoments)
	leaseMoments = []moment{
		{name: "cutting the lease to the leash", holds: renewing, lasting: true},
		{name: "renewing the lease", holds: renewing, nth: 2, lasting: true, leash: shortLeash},
	}
	syncMoments = []moment{
		{name: "revoking", holds: revoking},
		{name: "revoked and not known", holds: revoking, answer: true},
	}
	// With the default policy a lease is made to end in a second, and looked up until it is gone.
	lookupMoments = []moment{
		{name: "issuing", holds: reading},
		{name: "issued and not known", holds: reading, answer: true},
		{name: "refused to revoke", holds: revoking},
		{name: "shortening", holds: renewing},
		{name: "shortened and not known", holds: renewing, answer: true},
		{name: "looking up", holds: lookingUp},
	}
	closingMoments = []moment{
		{name: "closing", holds: "/v1/auth/token/revoke-self"},
		{name: "closed and not known", holds: "/v1/auth/token/revoke-self", answer: true},
	}
)

// vaultSource is a role of the database engine of its own, an auth method of its own for the logins to be told apart, and policies that reach no other source.
func vaultSource(t testing.TB, v *harness.VaultServer, pg *harness.PostgresServer, login vaultLogin, address string, o order) *source {
	t.Helper()
	name := newSourceName()
	ttl, maxTTL := "1h", "24h"
	if o.life > 0 {
		ttl, maxTTL = o.life.String(), o.life.String()
	}
	v.DatabaseRole(name, "postgresql", `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`, ttl, maxTTL)
	leases := "database/creds/" + name
	policy := fmt.Sprintf("path %q { capabilities = [\"read\"] }\n", leases)
	if login.sync {
		policy += harness.RevokingPolicy(leases + "/")
	}
	v.Policy(name, policy)

	s := &source{env: map[string]string{"VAULT_ADDR": (&url.URL{Scheme: "http", Host: address}).String()}}
	if login.borrowed {
		s.env["VAULT_TOKEN"] = v.Token("default", name)
		s.discard = func() int {
			left := v.Leases(leases)
			for _, id := range left {
				v.Write("sys/leases/revoke", map[string]any{"lease_id": id, "sync": true})
			}
			return len(left)
		}
	} else {
		mount := "login-" + name
		roleID, secretID := appRoleAt(t, v, mount, name)
		s.env["WITH_CREDS_VAULT_AUTH"], s.env["WITH_CREDS_VAULT_MOUNT"] = "approle", mount
		s.env["WITH_CREDS_VAULT_ROLE_ID"], s.env["WITH_CREDS_VAULT_SECRET_ID"] = roleID, secretID
		s.logins = func() []string { return v.Leases("auth/" + mount + "/login") }
	}
	s.specs = o.specs("vault:" + leases)
	s.left = func() []string {
		var left []string
		for _, role := range pg.Roles("v-") { // v-LOGIN-ROLE-random-time
			if strings.Contains(role, "-"+name+"-") {
				left = append(left, "role "+role)
			}
		}
		for _, lease := range v.Leases(leases) {
			left = append(left, "lease "+lease)
		}
		return left
	}
	s.leashed = func(leash time.Duration) bool {
		held := v.Leases(leases)
		if s.logins != nil {
			held = s.logins() // a lease ends with its token
		}
		return len(held) > 0 && !slices.ContainsFunc(held, func(id string) bool { return leaseTTL(t, v, id) > leash })
	}
	s.usable = func(t testing.TB, username, password string) bool { return canLogIn(t, pg, username, password) }
	return s
}

// appRoleAt mounts an auth method with one role, whose tokens last an hour and have that policy and the default one.
func appRoleAt(t testing.TB, v *harness.VaultServer, mount, policy string) (roleID, secretID string) {
	t.Helper()
	if err := v.Client.Sys().EnableAuthWithOptions(mount, &api.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	role := "auth/" + mount + "/role/run"
	v.Write(role, map[string]any{"token_policies": policy, "token_ttl": "1h", "token_max_ttl": "24h"})
	id, err := v.Client.Logical().Read(role + "/role-id")
	if err != nil {
		t.Fatal(err)
	}
	return id.Data["role_id"].(string), v.Write(role+"/secret-id", nil).Data["secret_id"].(string)
}

// leaseTTL is what a lease has left; 0 when there is none.
func leaseTTL(t testing.TB, v *harness.VaultServer, id string) time.Duration {
	t.Helper()
	found, err := v.Client.Sys().Lookup(id)
	if err != nil {
		return 0 // Vault says 400 of a lease that it does not know
	}
	seconds, err := found.Data["ttl"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds) * time.Second
}
