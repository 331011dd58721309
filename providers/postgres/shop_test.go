//go:build !windows

package postgres

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A shop is a server with a small database and the groups readonly and readwrite, and a session with it.
type shop struct {
	*harness.PostgresServer
	t       *testing.T
	env     map[string]string
	session *Session
	sent    atomic.Int64

	mu      sync.Mutex
	intents []providers.Lease
	warned  []string
}

func openShop(t *testing.T, opts ...harness.PostgresOption) *shop {
	t.Helper()
	s := &shop{PostgresServer: harness.Postgres(t, opts...), t: t}
	s.Exec("postgres", "create database shop")
	s.Exec("postgres", "create database other")
	s.Exec("shop", `create schema stock;
		create table orders (id int primary key, total int); insert into orders select i, i * 10 from generate_series(1, 100) i;
		create role readonly nologin; create role readwrite nologin;
		grant select on orders to readonly;
		grant select, insert, update, delete on orders to readwrite; grant create, usage on schema public, stock to readwrite`)
	s.Exec("other", "grant create on schema public to readwrite")
	s.env = map[string]string{urlVariable: s.AdminURL("shop")}
	s.session = s.open(s.settings())
	return s
}

// settings are a run's, with a leash of five minutes.
func (s *shop) settings() providers.Settings {
	return providers.Settings{
		Lookup: func(name string) (string, bool) { v, ok := s.env[name]; return v, ok },
		Run:    "r7k2", Leash: 5 * time.Minute, Requests: &s.sent,
		Intend: func(l providers.Lease) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.intents = append(s.intents, l)
			return nil
		},
		Warn: func(format string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.warned = append(s.warned, fmt.Sprintf(format, args...))
		},
	}
}

func (s *shop) open(settings providers.Settings) *Session {
	s.t.Helper()
	session, err := Provider{}.Open(within(s.t, 10*time.Second), settings)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { session.Close(context.Background()) })
	return session.(*Session)
}

// guard is what another process makes of the session, knowing only its handoff.
func (s *shop) guard() *Session {
	s.t.Helper()
	session, err := Provider{}.Resume(s.session.Handoff(), providers.Settings{Run: "r7k2"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { session.Close(context.Background()) })
	return session.(*Session)
}

func ask(spec string, params ...string) providers.Request {
	r := providers.Request{Provider: Name, Path: spec}
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		r.Params = append(r.Params, providers.Param{Key: key, Value: value})
	}
	return r
}

// issue makes a credential and returns it with its fields by name.
func (s *shop) issue(group string, params ...string) (providers.Credential, map[string]string) {
	s.t.Helper()
	c, err := s.session.Issue(within(s.t, 10*time.Second), ask(group, params...))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := map[string]string{}
	for _, f := range c.Fields {
		fields[f.Name] = f.Value
	}
	return c, fields
}

// login opens a session as the issued role.
func (s *shop) login(fields map[string]string, database string) *pgx.Conn {
	s.t.Helper()
	conn, err := s.Connect(fields["username"], fields["password"], database)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// must runs statements in a session of the command's.
func (s *shop) must(conn *pgx.Conn, sql string) {
	s.t.Helper()
	if _, err := conn.PgConn().Exec(s.t.Context(), sql).ReadAll(); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// revoke revokes and checks that what is proven is so.
func (s *shop) revoke(session *Session, l providers.Lease) {
	s.t.Helper()
	proof, err := session.Revoke(within(s.t, 10*time.Second), l)
	if err != nil || proof != providers.Proven {
		s.t.Fatalf("revoking: %v, %v", proof, err)
	}
	if slices.Contains(s.Roles("wc_"), l.ID) {
		s.t.Fatalf("role %s is said to be gone and is in pg_roles", l.ID)
	}
}

// owner is who owns a table.
func (s *shop) owner(database, table string) string {
	s.t.Helper()
	var owner string
	s.QueryRow(database, &owner, "select coalesce((select relowner::regrole::text from pg_class where oid = to_regclass($1)), 'nobody: it is gone')", table)
	return owner
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// noSecret fails when a text holds one of the secrets.
func noSecret(t *testing.T, where, content string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if secret == "" {
			t.Fatal("an empty secret is found nowhere: the check is void")
		}
		if strings.Contains(content, secret) {
			t.Errorf("%s holds a secret", where)
		}
	}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
