//go:build !windows

package postgres

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
	"github.com/with-creds/with-creds/testdata/harness/sqlpromises"
)

func TestPromisesOfEverySQLServer(t *testing.T) {
	sqlpromises.Test(t, func(t *testing.T) *sqlpromises.Shop { return openShop(t).Shop })
}

// A shop is a server with a small database and the groups readonly and readwrite, and a session with it.
type shop struct {
	*harness.PostgresServer
	*sqlpromises.Shop
}

var kind = sqlpromises.Kind{
	Provider: Provider{}, Name: Name, URLVariable: urlVariable,
	Unwanted: func(head []byte) bool { // a process that was killed asks for no cancellation (protocol code 80877102)
		return binary.BigEndian.Uint32(head[4:]) == 80877102
	},
}

func openShop(t *testing.T, opts ...harness.PostgresOption) *shop {
	t.Helper()
	s := &shop{PostgresServer: harness.Postgres(t, opts...)}
	s.Exec("postgres", "create database shop")
	s.Exec("postgres", "create database other")
	s.Exec("shop", `create schema stock;
		create table orders (id int primary key, total int); insert into orders select i, i * 10 from generate_series(1, 100) i;
		create role readonly nologin; create role readwrite nologin;
		grant select on orders to readonly;
		grant select, insert, update, delete on orders to readwrite; grant create, usage on schema public, stock to readwrite`)
	s.Exec("other", "grant create on schema public to readwrite")
	s.Shop = sqlpromises.Open(t, kind, s)
	return s
}

func (s *shop) Run(statements string) { s.Exec("shop", statements) }

func (s *shop) Users(prefix string) []string { return s.Roles(prefix) }

func (s *shop) Remains(user string) string {
	s.T.Helper()
	if n := s.sessions("usename = $1", user); n != 0 {
		return fmt.Sprint(n, " sessions")
	}
	return ""
}

func (s *shop) Left(role string) time.Duration {
	s.T.Helper()
	var seconds float64
	s.QueryRow("postgres", &seconds, "select extract(epoch from rolvaliduntil - now())::float8 from pg_roles where rolname = $1", role)
	return time.Duration(seconds * float64(time.Second))
}

// Work makes a table in each of the two databases.
func (s *shop) Work(user, password string) (kept func()) {
	s.T.Helper()
	for _, database := range []string{"shop", "other"} {
		s.must(s.login(map[string]string{"username": user, "password": password}, database), "create table "+user+" (id int)")
	}
	return func() {
		s.T.Helper()
		for _, database := range []string{"shop", "other"} {
			if owner := s.owner(database, user); owner != "readwrite" {
				s.T.Errorf("what the role made in %s belongs to %s", database, owner)
			}
		}
	}
}

func (s *shop) Lock() (unlock func()) {
	s.T.Helper()
	lock, err := s.Connect(s.User, s.Password, "shop")
	if err != nil {
		s.T.Fatal(err)
	}
	s.must(lock, "begin; lock table pg_auth_members in exclusive mode")
	return func() { s.must(lock, "commit") }
}

func (s *shop) Waiting(l providers.Lease) bool {
	return s.sessions("application_name = $1 and wait_event_type = 'Lock'", l.Scope[scopeMaker]) == 1
}

func (s *shop) Connected(l providers.Lease) bool {
	return s.sessions("application_name = $1", l.Scope[scopeMaker]) == 1
}

func (s *shop) Impatient(idle time.Duration) sqlpromises.Session {
	session := newSession(s.target(), s.Settings())
	session.Idle = idle
	return session
}

// Deputize makes an administrator with no more rights than the documentation asks for, and logs in as it.
func (s *shop) Deputize(name string) {
	s.T.Helper()
	s.Exec("shop", "create role "+name+" login createrole password '"+s.Password+"'")
	var version int
	s.QueryRow("shop", &version, "select current_setting('server_version_num')::int / 10000")
	if version >= 16 {
		s.Exec("shop", "grant readonly, readwrite to "+name+" with admin option")
	}
	s.Env[urlVariable] = s.URL(name, s.Password, "shop")
	s.Session = s.Open(s.Settings())
}

func ask(group string, params ...string) providers.Request {
	return sqlpromises.Ask(Name, group, params...)
}

// target is where the shop's session is connected to.
func (s *shop) target() target { return s.Session.(*Session).target }

// sessions counts those of which the condition holds, $1 in it being arg.
func (s *shop) sessions(condition, arg string) int {
	s.T.Helper()
	var n int
	s.QueryRow("shop", &n, "select count(*) from pg_stat_activity where "+condition, arg)
	return n
}

// login opens a session as the issued role.
func (s *shop) login(fields map[string]string, database string) *pgx.Conn {
	s.T.Helper()
	conn, err := s.Connect(fields["username"], fields["password"], database)
	if err != nil {
		s.T.Fatal(err)
	}
	return conn
}

// must runs statements in a session of the command's.
func (s *shop) must(conn *pgx.Conn, sql string) {
	s.T.Helper()
	if _, err := conn.PgConn().Exec(s.T.Context(), sql).ReadAll(); err != nil {
		s.T.Fatalf("%s: %v", sql, err)
	}
}

// owner is who owns a table.
func (s *shop) owner(database, table string) string {
	s.T.Helper()
	var owner string
	s.QueryRow(database, &owner, "select coalesce((select relowner::regrole::text from pg_class where oid = to_regclass($1)), 'nobody: it is gone')", table)
	return owner
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
