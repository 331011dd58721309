//go:build !windows

package mysql

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
	"github.com/with-creds/with-creds/testdata/harness"
)

// givenVariable names a server to be tried beside the MariaDB that all other tests use: MySQL is not to be had from Debian's stable releases.
//
//	WITH_CREDS_TEST_MYSQL_URL=mysql://root:…@127.0.0.1:3306/ go test -run Given ./providers/mysql
//
// It must be one that may be changed: two roles and a schema are made and dropped.
const givenVariable = "WITH_CREDS_TEST_MYSQL_URL"

// TestAGivenServerServes goes through the life of a user on a server of any kind.
func TestAGivenServerServes(t *testing.T) {
	address := os.Getenv(givenVariable)
	if address == "" {
		t.Skipf("no server is given in %s", givenVariable)
	}
	settings := providers.Settings{
		Run: "r7k2", Leash: 3 * time.Second,
		Lookup: func(name string) (string, bool) { return address, name == urlVariable },
	}
	opened, err := Provider{}.Open(harness.Within(t, 60*time.Second), settings)
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*Session)
	admin := func(statements string, expected ...shape) []result {
		t.Helper()
		var results []result
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second) // the test's own is over while it cleans up
		defer cancel()
		if err := again(ctx, func() error { // the guard ends the session that made what it revokes
			return s.Use(ctx, func(c *connection) (err error) {
				results, err = c.exec(ctx, statements, expected...)
				return err
			})
		}); err != nil {
			t.Fatalf("%s: %v", statements, err)
		}
		return results
	}
	admin(`DROP ROLE IF EXISTS wct_read, wct_make; CREATE ROLE wct_read, wct_make; DROP DATABASE IF EXISTS wct; CREATE DATABASE wct;
		CREATE TABLE wct.t (id INT PRIMARY KEY); INSERT INTO wct.t VALUES (1), (2); GRANT SELECT, CREATE VIEW ON wct.* TO wct_read; GRANT CREATE USER ON *.* TO wct_make`)
	t.Cleanup(func() {
		admin("DROP DATABASE wct; DROP ROLE wct_read, wct_make")
		s.Close(context.Background())
	})
	left := func(l providers.Lease) string {
		r := admin("SELECT (SELECT COUNT(*) FROM mysql.user WHERE User = "+literal(l.ID)+"), (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_NAME = "+
			literal(l.ID)+"), (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = "+literal(l.ID)+")", row(3))
		return strings.Join(r[0][0], " ")
	}
	login := func(c providers.Credential) *sql.Conn {
		t.Helper()
		target := s.target
		password, _ := c.Field("password")
		target.User, target.Password, target.Database = c.Lease.ID, password.Value, "wct"
		config, err := target.config()
		if err != nil {
			t.Fatal(err)
		}
		connector, err := mysql.NewConnector(config)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		t.Cleanup(func() { db.Close() })
		conn, err := db.Conn(harness.Within(t, 60*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	issue := func() providers.Credential {
		t.Helper()
		c, err := s.Issue(harness.Within(t, 60*time.Second), ask("wct_read", "database=wct"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}

	if _, err := s.Issue(harness.Within(t, 60*time.Second), ask("wct_make")); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "has CREATE USER") {
		t.Errorf("a role that makes users: %v", err)
	}
	if _, err := s.Issue(harness.Within(t, 60*time.Second), ask("wct_nobody")); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "no such role") {
		t.Errorf("a role that is not there: %v", err)
	}

	c := issue()
	conn := login(c)
	var n int
	if err := conn.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM wct.t").Scan(&n); err != nil || n != 2 {
		t.Errorf("reading: %d, %v", n, err)
	}
	if _, err := conn.ExecContext(t.Context(), "INSERT INTO wct.t VALUES (3)"); err == nil {
		t.Error("writing was allowed")
	}
	if len(c.Warnings) == 0 {
		l, err := s.Renew(harness.Within(t, 60*time.Second), c.Lease, time.Minute)
		if err != nil || time.Until(l.Expires) < 50*time.Second {
			t.Errorf("renewed until %v, %v", l.Expires, err)
		}
	}
	guard, err := Provider{}.Resume(s.Handoff(), providers.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if proof, err := guard.Revoke(harness.Within(t, 60*time.Second), c.Lease); proof != providers.Proven {
			t.Errorf("%v, %v", proof, err)
		}
	}
	if got := left(c.Lease); got != "0 0 0" {
		t.Errorf("users, events and sessions left: %s", got)
	}

	c = issue()
	if len(c.Warnings) != 0 {
		t.Logf("this server does not end users by itself: %q", c.Warnings)
	} else {
		login(c)
		harness.Eventually(t, "ended by the server", func() bool { return left(c.Lease) == "0 0 0" })
	}
	if proof, err := guard.Revoke(harness.Within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("%v, %v", proof, err)
	}

	c = issue()
	if _, err := login(c).ExecContext(t.Context(), "CREATE VIEW wct.v AS SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if proof, err := guard.Revoke(harness.Within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("a user that is a definer: %v, %v", proof, err)
	}

	// An administrator with no more rights than the documentation asks of MySQL. (MariaDB's has a test of its own.)
	mariadb := false
	if err := s.Use(harness.Within(t, 60*time.Second), func(c *connection) error { mariadb = c.mariadb; return nil }); err != nil || mariadb {
		return
	}
	password := sqluser.NewPassword()
	admin("DROP USER IF EXISTS wct_deputy; CREATE USER wct_deputy IDENTIFIED BY " + literal(password) + `; GRANT CREATE USER, PROCESS, CONNECTION_ADMIN ON *.* TO wct_deputy;
		GRANT SELECT, EVENT ON mysql.* TO wct_deputy; GRANT wct_read TO wct_deputy WITH ADMIN OPTION`)
	t.Cleanup(func() { admin("DROP USER wct_deputy") })
	target := s.target
	target.User, target.Password, target.Database = "wct_deputy", password, ""
	deputy := newSession(target, settings)
	t.Cleanup(func() { deputy.Close(context.Background()) })
	c, err = deputy.Issue(harness.Within(t, 60*time.Second), ask("wct_read", "database=wct", "ttl=30m"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := login(c).ExecContext(t.Context(), "CREATE VIEW wct.w AS SELECT 1"); err != nil {
		t.Fatal(err)
	}
	proof, err := deputy.Revoke(harness.Within(t, 60*time.Second), c.Lease)
	if proof != providers.Failed || !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "it is locked") || !strings.Contains(err.Error(), "another DEFINER") {
		t.Errorf("a definer, for an administrator who may not leave views without one: %v, %v", proof, err)
	}
	if r := admin("SELECT account_locked FROM mysql.user WHERE User = "+literal(c.Lease.ID), row(1)); r[0][0][0] != "Y" {
		t.Errorf("it can still log in: %v", r)
	}
	admin("DROP VIEW wct.w")
	if proof, err := deputy.Revoke(harness.Within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("once nothing names it: %v, %v", proof, err)
	}
	if got := left(c.Lease); got != "0 0 0" {
		t.Errorf("users, events and sessions left: %s", got)
	}
}
