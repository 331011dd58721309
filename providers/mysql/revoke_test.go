//go:build !windows

package mysql

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestRevokeEndsWhateverTheUserWasDoing(t *testing.T) {
	s := openShop(t)
	for name, busy := range map[string]func(fields map[string]string){
		"nothing": func(map[string]string) {},
		"an open transaction": func(fields map[string]string) {
			s.must(s.login(fields), "START TRANSACTION; INSERT INTO orders VALUES (500, 1)")
		},
		"a running query": func(fields map[string]string) {
			conn := s.login(fields)
			go conn.ExecContext(context.Background(), "SELECT SLEEP(600)")
			harness.Eventually(t, "running", func() bool {
				return s.count("information_schema.PROCESSLIST WHERE USER = '"+fields["username"]+"' AND INFO LIKE '%SLEEP(600)%'") == 1
			})
		},
		"table locks":  func(fields map[string]string) { s.must(s.login(fields), "LOCK TABLES orders WRITE") },
		"a named lock": func(fields map[string]string) { s.must(s.login(fields), "DO GET_LOCK('mine', 0)") },
		"a temporary table, a table and a view": func(fields map[string]string) {
			s.must(s.login(fields), "CREATE TEMPORARY TABLE scratch (id INT); CREATE TABLE kept (id INT); INSERT INTO kept VALUES (7); CREATE VIEW seen AS SELECT id FROM kept")
		},
		"five sessions": func(fields map[string]string) {
			for range 5 {
				s.login(fields)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, fields := s.Issue("readwrite")
			busy(fields)
			s.Revoke(s.Session, c.Lease)
			if _, err := s.Connect(fields["username"], fields["password"], "shop"); err == nil {
				t.Error("the credential still logs in")
			}
		})
	}
	if n := s.count("shop.orders WHERE id = 500"); n != 0 {
		t.Error("an uncommitted row was committed")
	}
	if n := s.count("shop.kept WHERE id = 7"); n != 1 {
		t.Error("what the command made is lost")
	}
}

func TestTheServerEndsTheUserWhenNobodyRenews(t *testing.T) {
	s := openShop(t, events)
	settings := s.Settings()
	settings.Leash = 2 * time.Second
	session := s.Open(settings)
	c, fields := s.IssueBy(session, "readwrite")
	conn := s.login(fields)
	if left := time.Until(c.Lease.Expires); left > 2*time.Second || !c.Lease.Renewable {
		t.Errorf("it has %v, renewable %t", left, c.Lease.Renewable)
	}
	harness.Eventually(t, "gone", func() bool { return len(s.Users("wc_")) == 0 })
	if early := time.Until(c.Lease.Expires); early > 0 {
		t.Errorf("it was ended %v before the lease said", early)
	}
	harness.Eventually(t, "without sessions", func() bool {
		return s.count("information_schema.PROCESSLIST WHERE USER = '"+c.Lease.ID+"'") == 0
	})
	if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("its session goes on")
	}
	if _, err := session.Renew(harness.Within(t, 60*time.Second), c.Lease, time.Minute); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("renewing what was ended: %v", err)
	}
	s.Revoke(session, c.Lease)
}

// MySQL keeps who is a DEFINER from being dropped. MariaDB does not, so here it is a right that is missing.
func TestAUserThatTheServerCannotDropIsLocked(t *testing.T) {
	s := openShop(t, events)
	s.Deputize("deputy")
	settings := s.Settings()
	settings.Leash = 2 * time.Second
	c, fields := s.IssueBy(s.Open(settings), "readwrite")
	s.login(fields)
	s.Exec("REVOKE CREATE USER ON *.* FROM deputy; GRANT UPDATE ON mysql.* TO deputy") // by which it may lock, and not drop
	harness.Eventually(t, "without sessions", func() bool {
		return s.count("information_schema.PROCESSLIST WHERE USER = '"+c.Lease.ID+"'") == 0
	})
	if !slices.Contains(s.Users("wc_"), c.Lease.ID) {
		t.Skip("the server was quicker: it has dropped the user")
	}
	if _, err := s.Connect(fields["username"], fields["password"], "shop"); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("its login: %v", err)
	}
	s.Exec("GRANT CREATE USER ON *.* TO deputy")
	s.Revoke(s.Guard(s.Session), c.Lease)
}

func TestWhereTheServerEndsNothingTheLeaseHasNoEndAndThatIsSaid(t *testing.T) {
	s := openShop(t)
	c, _ := s.Issue("readonly")
	if !c.Lease.Expires.IsZero() || c.Lease.Renewable || !strings.Contains(strings.Join(c.Warnings, ""), "event_scheduler = ON") {
		t.Errorf("expires %v, renewable %t, warnings %q", c.Lease.Expires, c.Lease.Renewable, c.Warnings)
	}
	if _, err := s.Session.Renew(harness.Within(t, 60*time.Second), c.Lease, time.Minute); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("renewing: %v", err)
	}
	s.Revoke(s.Session, c.Lease)
}
