//go:build !windows

package harness

import (
	"fmt"
	"net"
	"strconv"

	"github.com/hashicorp/vault/api"
)

// The worked example of Vault's guide to dynamic secrets: https://developer.hashicorp.com/vault/docs/secrets/databases/postgresql
const (
	createReadonly = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT USAGE ON SCHEMA public TO "{{name}}";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`
	createReadwrite = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT USAGE ON SCHEMA public TO "{{name}}";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{{name}}";`
)

// EnablePostgres is the worked example: an administrator for Vault in PostgreSQL, a database app with a table items, the engine at
// database/, and its roles readonly and readwrite, which last 1h and at most 24h. Users are named v-…-readonly-….
func (s *VaultServer) EnablePostgres(pg *PostgresServer) {
	s.t.Helper()
	pg.Exec("postgres", "CREATE DATABASE app")
	pg.Exec("app", "CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 100) i")
	s.Mount("database", "database")
	s.DatabaseConnection("postgresql", pg)
	s.DatabaseRole("readonly", "postgresql", createReadonly, "1h", "24h")
	s.DatabaseRole("readwrite", "postgresql", createReadwrite, "1h", "24h")
}

// DatabaseConnection writes database/config/NAME for a server, with an administrator of Vault's own whose password is made at run time.
func (s *VaultServer) DatabaseConnection(name string, pg *PostgresServer) {
	s.t.Helper()
	admin, password := "vault_"+name, newPassword()
	pg.Exec("postgres", fmt.Sprintf("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '%s'", admin, password))
	s.Write("database/config/"+name, map[string]any{
		"plugin_name":   "postgresql-database-plugin",
		"allowed_roles": "*",
		"connection_url": "postgresql://{{username}}:{{password}}@" + net.JoinHostPort(pg.Host, strconv.Itoa(pg.Port)) +
			"/app?sslmode=disable",
		"username":             admin,
		"password":             password,
		"max_open_connections": 20,
	})
}

// DatabaseRole writes database/roles/NAME.
func (s *VaultServer) DatabaseRole(name, connection, create, ttl, maxTTL string) {
	s.t.Helper()
	s.Write("database/roles/"+name, map[string]any{
		"db_name": connection, "creation_statements": []string{create}, "default_ttl": ttl, "max_ttl": maxTTL,
	})
}

// ReadonlyLogin is an AppRole that can do nothing but read credentials of the database engine and what Vault's default policy gives; with its tokens
// lasting as long as the server's default. It is what the guide calls a pipeline's least policy.
func (s *VaultServer) ReadonlyLogin() (roleID, secretID string) {
	s.t.Helper()
	s.Policy("database-creds", `path "database/creds/*" { capabilities = ["read"] }`)
	return s.AppRole("ci", map[string]any{"token_policies": "database-creds"})
}

// RevokingPolicy is the least that lets a token revoke, and wait for it, leases of its own kind: with the lease in the request's body.
func RevokingPolicy(leasePrefix string) string {
	return fmt.Sprintf(`path "sys/leases/revoke" {
  capabilities       = ["update"]
  allowed_parameters = { "lease_id" = ["%s*"], "sync" = [] }
}`, leasePrefix)
}

// LeaseOf reads a path with a token and returns the answer, for tests that need a lease and not with-creds.
func (s *VaultServer) LeaseOf(token, path string) *api.Secret {
	s.t.Helper()
	client := s.newClient()
	client.SetToken(token)
	secret, err := client.Logical().Read(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}
