//go:build linux

package faults

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/testdata/harness"
)

// A site is a Vault before a PostgreSQL.
type site struct {
	t     testing.TB
	vault *harness.VaultServer
	pg    *harness.PostgresServer
	roles atomic.Int64
}

func newSite(t testing.TB, opts ...harness.VaultOption) *site {
	t.Helper()
	s := &site{t: t, vault: harness.Vault(t, opts...), pg: harness.Postgres(t, harness.PostgresSetting("max_connections", "150"))}
	s.vault.EnablePostgres(s.pg)
	return s
}

const createRole = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`

// role makes a role of Vault's database engine of its own, by which everything that it issues is found: Vault puts the first eight characters of its
// name into the names of users.
func (s *site) role(create, ttl, maxTTL string) string {
	s.t.Helper()
	name := fmt.Sprintf("k%dx", s.roles.Add(1))
	s.vault.DatabaseRole(name, "postgresql", create, ttl, maxTTL)
	return name
}

// left is what a role has issued that is still there.
func (s *site) left(role string) []string {
	left := []string{}
	for _, user := range s.pg.Roles("v-") { // v-LOGIN-ROLE-random-time
		if strings.Contains(user, "-"+role+"-") {
			left = append(left, "role "+user)
		}
	}
	for _, lease := range s.vault.Leases("database/creds/" + role) {
		left = append(left, "lease "+lease)
	}
	return left
}

// specs are n credentials of a role, bound to U0, P0, U1, …
func specs(n int, role string) []string {
	var args []string
	for i := range n {
		args = append(args, "-c", fmt.Sprintf("vault:database/creds/%s U%d=username P%d=password", role, i, i))
	}
	return args
}

// policies: read lets a token issue, revoke lets it revoke synchronously as well.
func (s *site) policies() {
	s.vault.Policy("read", `path "database/creds/*" { capabilities = ["read"] }`)
	s.vault.Policy("revoke", harness.RevokingPolicy("database/creds/"))
}

// appRole is the environment of a login whose tokens have these settings.
func (s *site) appRole(settings map[string]any) map[string]string {
	s.t.Helper()
	roleID, secretID := s.vault.AppRole(fmt.Sprintf("login%d", s.roles.Add(1)), settings)
	return s.env(map[string]string{
		"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID,
	})
}

// token is the environment of a borrowed token.
func (s *site) token(policies ...string) map[string]string {
	s.t.Helper()
	return s.env(map[string]string{"VAULT_TOKEN": s.vault.Token(policies...)})
}

func (s *site) env(more map[string]string) map[string]string {
	env := map[string]string{"VAULT_ADDR": s.vault.Addr}
	maps.Copy(env, more)
	return env
}

// at is that environment with Vault at another address.
func at(address string, env map[string]string) map[string]string {
	env = maps.Clone(env)
	env["VAULT_ADDR"] = address
	return env
}

// tokenLives reports whether there is a token with that accessor.
func (s *site) tokenLives(accessor string) bool {
	_, err := s.vault.Client.Auth().Token().LookupAccessor(accessor)
	return err == nil
}

// newToken is the environment of a borrowed token of any kind.
func (s *site) newToken(request *api.TokenCreateRequest) map[string]string {
	s.t.Helper()
	return s.env(map[string]string{"VAULT_TOKEN": s.vault.TokenOf(request)})
}
