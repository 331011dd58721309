//go:build linux

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestTheGuidesWorkedExample is the example of Vault's guide to dynamic secrets, with psql and pg_dump: roles readonly and readwrite, 1h and at most 24h; what
// each may do and may not; nothing left of the user afterwards. It works alike under every kind of token that a pipeline has.
func TestTheGuidesWorkedExample(t *testing.T) {
	for _, program := range []string{"psql", "pg_dump"} {
		if _, err := exec.LookPath(program); err != nil {
			harness.Missing(t, "%s (Debian: apt-get install postgresql-client)", program)
		}
	}
	pg := harness.Postgres(t)
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	roleID, secretID := v.ReadonlyLogin() // its policy has database/creds/* and nothing else
	for name, login := range map[string]map[string]string{
		"AppRole":                  {"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID},
		"read and default policy":  {"VAULT_TOKEN": v.Token("default", "database-creds")},
		"the same, a child token":  {"VAULT_TOKEN": v.Token("default", "database-creds", tokenMakers(v)), "WITH_CREDS_VAULT_CHILD_TOKEN": "true"},
		"root, which may anything": {"VAULT_TOKEN": v.RootToken},
	} {
		s := &source{env: map[string]string{
			"VAULT_ADDR": v.Addr, "PGHOST": pg.Host, "PGPORT": fmt.Sprint(pg.Port), "PGDATABASE": "app", "PGSSLMODE": "disable",
		}}
		maps.Copy(s.env, login)
		s.left = func() []string {
			return append(append(pg.Roles("v-"), v.Leases("database/creds")...), v.Leases("auth/approle/login")...)
		}
		t.Run(name, func(t *testing.T) { workedExample(t, pg, s) })
	}
}

// tokenMakers is a policy that may make tokens.
func tokenMakers(v *harness.VaultServer) string {
	v.Policy("token-makers", `path "auth/token/create" { capabilities = ["update"] }`)
	return "token-makers"
}

// statements runs each of its arguments as the credential's user, and says which were refused.
const statements = `for statement; do
	psql --no-psqlrc --tuples-only --no-align --quiet --command "$statement" || echo refused
done
pg_dump | grep '^COPY public.items'`

func workedExample(t *testing.T, pg *harness.PostgresServer, s *source) {
	const create, insert = "create table mine (id int)", "insert into items values (101, 'x') returning name"
	const update, remove = "update items set name = 'y' where id = 101 returning name", "delete from items where id = 101 returning id"
	const dumped = "COPY public.items (id, name) FROM stdin;\n"
	for _, c := range []struct {
		role       string
		statements []string
		out        string
		denied     int // times
	}{
		{"readonly", []string{"select count(*) from items", create, insert}, "100\nrefused\nrefused\n" + dumped, 2},
		{"readwrite", []string{"select count(*) from items", insert, update, remove, create}, "100\nx\ny\n101\nrefused\n" + dumped, 1},
	} {
		with := *s
		with.specs = []string{"vault:database/creds/" + c.role + " as=postgres"}
		tr := newTrial(t, &with, nil, append([]string{"sh", "-c", statements, "sh"}, c.statements...)...)
		var out bytes.Buffer
		tr.cmd.Stdout = &out
		if code := tr.run(); code != 0 {
			t.Errorf("%s: exit code %d; stderr:\n%s", c.role, code, tr.stderr)
		}
		if out.String() != c.out || strings.Count(tr.stderr.String(), "permission denied") != c.denied {
			t.Errorf("%s: output\n%swant\n%sstderr\n%swant %d statements denied in it", c.role, &out, c.out, tr.stderr, c.denied)
		}
		r := tr.receipt()
		if len(r.Credentials) != 1 {
			t.Fatalf("%d credentials in the receipt, want one", len(r.Credentials))
		}
		issued := r.Credentials[0]
		if hour := int64(time.Hour / time.Second); issued.TTL > hour || len(r.Sessions) == 0 && issued.TTL < hour-60 {
			t.Errorf("%s: issued for %d s, want an hour, or what the token leaves of it", c.role, issued.TTL)
		}
		if issued.Revocation == nil || issued.Revocation.Proof != "proven" {
			t.Errorf("%s: revocation %+v, want it proven", c.role, issued.Revocation)
		}
		var there bool
		pg.QueryRow("postgres", &there, "select exists (select from pg_roles where rolname = $1)", issued.Username)
		if there || issued.Username == "" {
			t.Errorf("%s: user %q is still there", c.role, issued.Username)
		}
		tr.endedClean()
	}
}
