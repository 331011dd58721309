//go:build !windows

package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A shop is a server with a small database and the roles readonly and readwrite, and a session with it.
type shop struct {
	*harness.MariaDBServer
	t       *testing.T
	env     map[string]string
	session *Session
	sent    atomic.Int64

	mu      sync.Mutex
	intents []providers.Lease
}

// events is a server that carries out scheduled events, as MySQL does unless told otherwise.
var events = harness.MariaDBSetting("event-scheduler", "ON")

func openShop(t *testing.T, opts ...harness.MariaDBOption) *shop {
	t.Helper()
	s := &shop{MariaDBServer: harness.MariaDB(t, opts...), t: t}
	s.Exec(`CREATE DATABASE shop; USE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, total INT); INSERT INTO shop.orders SELECT seq, seq * 10 FROM seq_1_to_100;
		CREATE ROLE readonly; CREATE ROLE readwrite; GRANT SELECT ON shop.* TO readonly;
		GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE VIEW, LOCK TABLES, CREATE TEMPORARY TABLES ON shop.* TO readwrite`)
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
	}
}

func (s *shop) open(settings providers.Settings) *Session {
	s.t.Helper()
	session, err := Provider{}.Open(within(s.t, 60*time.Second), settings)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { session.Close(context.Background()) })
	return session.(*Session)
}

// guard is what another process makes of a session, knowing only its handoff.
func (s *shop) guard(of *Session) *Session {
	s.t.Helper()
	session, err := Provider{}.Resume(of.Handoff(), providers.Settings{Run: "r7k2"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { session.Close(context.Background()) })
	return session.(*Session)
}

func ask(role string, params ...string) providers.Request {
	r := providers.Request{Provider: Name, Path: role}
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		r.Params = append(r.Params, providers.Param{Key: key, Value: value})
	}
	return r
}

// issue makes a credential and returns it with its fields by name.
func (s *shop) issue(role string, params ...string) (providers.Credential, map[string]string) {
	s.t.Helper()
	c, err := s.session.Issue(within(s.t, 60*time.Second), ask(role, params...))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := map[string]string{}
	for _, f := range c.Fields {
		fields[f.Name] = f.Value
	}
	return c, fields
}

// login opens a session as the issued user.
func (s *shop) login(fields map[string]string) *sql.Conn {
	s.t.Helper()
	conn, err := s.Connect(fields["username"], fields["password"], "shop")
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// must runs statements in a session of the command's.
func (s *shop) must(conn *sql.Conn, statements string) {
	s.t.Helper()
	if _, err := conn.ExecContext(s.t.Context(), statements); err != nil {
		s.t.Fatalf("%s: %v", statements, err)
	}
}

// revoke revokes and checks that what is proven is so.
func (s *shop) revoke(session *Session, l providers.Lease) {
	s.t.Helper()
	proof, err := session.Revoke(within(s.t, 60*time.Second), l)
	if err != nil || proof != providers.Proven {
		s.t.Fatalf("revoking: %v, %v", proof, err)
	}
	if slices.Contains(s.Users("wc_"), l.ID) {
		s.t.Fatalf("user %s is said to be gone and is in mysql.user", l.ID)
	}
	if n := s.count("information_schema.PROCESSLIST WHERE USER = '" + l.ID + "'"); n != 0 {
		s.t.Fatalf("%d sessions of user %s are left", n, l.ID)
	}
	if n := s.count("information_schema.EVENTS WHERE EVENT_NAME = '" + l.ID + "'"); n != 0 {
		s.t.Fatalf("the event that ends user %s is left", l.ID)
	}
}

func (s *shop) count(of string) int {
	s.t.Helper()
	var n int
	s.QueryRow("SELECT COUNT(*) FROM "+of, &n)
	return n
}

func (s *shop) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// deputize makes an administrator with no more rights than the documentation asks for, and logs in as it.
func (s *shop) deputize(name string, more ...string) {
	s.t.Helper()
	statements := fmt.Sprintf(`CREATE USER %[1]s IDENTIFIED BY '%[2]s'; GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO %[1]s;
		GRANT SELECT, UPDATE ON mysql.* TO %[1]s; GRANT readonly TO %[1]s WITH ADMIN OPTION; GRANT readwrite TO %[1]s WITH ADMIN OPTION`, name, s.Password)
	s.Exec(strings.Join(append([]string{statements}, more...), ";"))
	s.env[urlVariable] = s.URL(name, s.Password, "")
	s.session = s.open(s.settings())
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: not yet %s", what)
		}
	}
}
