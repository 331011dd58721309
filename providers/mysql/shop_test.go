//go:build !windows

package mysql

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
	"github.com/with-creds/with-creds/testdata/harness/sqlpromises"
)

func TestPromisesOfEverySQLServer(t *testing.T) {
	sqlpromises.Test(t, func(t *testing.T) *sqlpromises.Shop { return openShop(t, events).Shop })
}

// A shop is a MariaDB server with a small database and the roles readonly and readwrite, and a session with it.
type shop struct {
	*harness.MariaDBServer
	*sqlpromises.Shop
}

// events is a server that carries out scheduled events, as MySQL does unless told otherwise.
var events = harness.MariaDBSetting("event-scheduler", "ON")

func openShop(t *testing.T, opts ...harness.MariaDBOption) *shop {
	t.Helper()
	s := &shop{MariaDBServer: harness.MariaDB(t, opts...)}
	s.Exec(`CREATE DATABASE shop; USE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, total INT); INSERT INTO shop.orders SELECT seq, seq * 10 FROM seq_1_to_100;
		CREATE ROLE readonly; CREATE ROLE readwrite; GRANT SELECT ON shop.* TO readonly;
		GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE VIEW, LOCK TABLES, CREATE TEMPORARY TABLES ON shop.* TO readwrite`)
	s.Shop = sqlpromises.Open(t, sqlpromises.Kind{Provider: Provider{}, Name: Name, URLVariable: urlVariable, RevokeWaits: true}, s)
	return s
}

func (s *shop) Run(statements string) { s.Exec("USE shop; " + statements) }

func (s *shop) Remains(user string) string {
	s.T.Helper()
	if n := s.count("information_schema.PROCESSLIST WHERE USER = '" + user + "'"); n != 0 {
		return fmt.Sprint(n, " sessions")
	}
	if n := s.count("information_schema.EVENTS WHERE EVENT_NAME = '" + user + "'"); n != 0 {
		return "the event that ends it"
	}
	return ""
}

func (s *shop) Left(user string) time.Duration {
	s.T.Helper()
	var seconds int
	s.QueryRow("SELECT TIMESTAMPDIFF(SECOND, NOW(), EXECUTE_AT) FROM information_schema.EVENTS WHERE EVENT_NAME = '"+user+"'", &seconds)
	return time.Duration(seconds) * time.Second
}

func (s *shop) Work(user, password string) (kept func()) {
	s.T.Helper()
	s.must(s.login(map[string]string{"username": user, "password": password}), "CREATE TABLE "+user+" (id INT)")
	return func() { s.count("shop." + user) }
}

func (s *shop) Deputize(name string) { s.deputize(name, "GRANT EVENT ON mysql.* TO "+name) }

func (s *shop) Lock() (unlock func()) {
	s.T.Helper()
	s.Exec("SET GLOBAL event_scheduler = OFF") // so that no event is made, and waits, before the user
	lock, err := s.Connect(s.User, s.Password, "shop")
	if err != nil {
		s.T.Fatal(err)
	}
	s.must(lock, "FLUSH TABLES WITH READ LOCK") // as a backup does
	return func() { s.must(lock, "UNLOCK TABLES") }
}

func (s *shop) Waiting(l providers.Lease) bool {
	return s.count("information_schema.PROCESSLIST WHERE ID = "+l.Scope[scopePID]+" AND INFO LIKE 'CREATE USER%'") == 1
}

func (s *shop) Connected(l providers.Lease) bool {
	return s.count("information_schema.PROCESSLIST WHERE ID = "+l.Scope[scopePID]) == 1
}

func (s *shop) Impatient(idle time.Duration) sqlpromises.Session {
	session := newSession(s.target(), s.Settings())
	session.Idle = idle
	return session
}

func ask(role string, params ...string) providers.Request {
	return sqlpromises.Ask(Name, role, params...)
}

// target is where the shop's session is connected to.
func (s *shop) target() target { return s.Session.(*Session).target }

// login opens a session as the issued user.
func (s *shop) login(fields map[string]string) *sql.Conn {
	s.T.Helper()
	conn, err := s.Connect(fields["username"], fields["password"], "shop")
	if err != nil {
		s.T.Fatal(err)
	}
	return conn
}

// must runs statements in a session of the command's.
func (s *shop) must(conn *sql.Conn, statements string) {
	s.T.Helper()
	if _, err := conn.ExecContext(s.T.Context(), statements); err != nil {
		s.T.Fatalf("%s: %v", statements, err)
	}
}

func (s *shop) count(of string) int {
	s.T.Helper()
	var n int
	s.QueryRow("SELECT COUNT(*) FROM "+of, &n)
	return n
}

// deputize makes an administrator with the rights that the documentation asks for, but those to events, and logs in as it.
func (s *shop) deputize(name string, more ...string) {
	s.T.Helper()
	statements := fmt.Sprintf(`CREATE USER %[1]s IDENTIFIED BY '%[2]s'; GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO %[1]s;
		GRANT SELECT, UPDATE ON mysql.* TO %[1]s; GRANT readonly TO %[1]s WITH ADMIN OPTION; GRANT readwrite TO %[1]s WITH ADMIN OPTION`, name, s.Password)
	s.Exec(strings.Join(append([]string{statements}, more...), ";"))
	s.Env[urlVariable] = s.URL(name, s.Password, "")
	s.Session = s.Open(s.Settings())
}
