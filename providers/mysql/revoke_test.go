//go:build !windows

package mysql

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
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
			eventually(t, "running", func() bool {
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
			c, fields := s.issue("readwrite")
			busy(fields)
			s.revoke(s.session, c.Lease)
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

func TestRevokingWhatIsGoneOrNeverWasIsProven(t *testing.T) {
	s := openShop(t, events)
	c, _ := s.issue("readonly")
	s.revoke(s.session, c.Lease)
	s.revoke(s.session, c.Lease)
	s.revoke(s.guard(s.session), c.Lease)
	never := providers.Lease{Provider: Name, ID: "wc_readonly_r7k2_neverwas", Scope: c.Lease.Scope}
	s.revoke(s.session, never)
	s.revoke(s.guard(s.session), never)
}

func TestRevokeTouchesNoUserButItsOwnAndNoOtherServers(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	for _, id := range []string{"boss", "readonly", "wc_", "wc_x;drop", "wc_'", "WC_A", ""} {
		l := c.Lease
		l.ID = id
		if proof, err := s.session.Revoke(within(t, 60*time.Second), l); proof != providers.Failed || !errors.Is(err, providers.ErrRefused) {
			t.Errorf("%q: %v, %v", id, proof, err)
		}
	}
	elsewhere := c.Lease
	elsewhere.Scope = map[string]string{scopeHost: "%", scopeServer: "db.example.com:3306"}
	if proof, err := s.session.Revoke(within(t, 60*time.Second), elsewhere); proof != providers.Failed || !errors.Is(err, providers.ErrRefused) ||
		!strings.Contains(err.Error(), "db.example.com:3306") {
		t.Errorf("%v, %v", proof, err)
	}
	s.revoke(s.session, c.Lease)
}

func TestTwoRevokersAtOnceBothProve(t *testing.T) {
	s := openShop(t, events)
	for range 10 {
		c, fields := s.issue("readwrite")
		s.login(fields)
		errs := make(chan error)
		for _, session := range []*Session{s.session, s.guard(s.session), s.guard(s.session)} {
			go func() {
				proof, err := session.Revoke(within(t, 60*time.Second), c.Lease)
				if err == nil && proof != providers.Proven {
					err = errors.New(string(proof))
				}
				errs <- err
			}()
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if users := s.Users("wc_"); len(users) != 0 {
			t.Fatalf("left: %q", users)
		}
	}
}

func TestTheServerEndsTheUserWhenNobodyRenews(t *testing.T) {
	s := openShop(t, events)
	settings := s.settings()
	settings.Leash = 2 * time.Second
	session := s.open(settings)
	c, err := session.Issue(within(t, 60*time.Second), ask("readwrite"))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := c.Field("password")
	conn := s.login(map[string]string{"username": c.Lease.ID, "password": password.Value})
	if left := time.Until(c.Lease.Expires); left > 2*time.Second || !c.Lease.Renewable {
		t.Errorf("it has %v, renewable %t", left, c.Lease.Renewable)
	}
	eventually(t, "gone", func() bool { return len(s.Users("wc_")) == 0 })
	if early := time.Until(c.Lease.Expires); early > 0 {
		t.Errorf("it was ended %v before the lease said", early)
	}
	eventually(t, "without sessions", func() bool {
		return s.count("information_schema.PROCESSLIST WHERE USER = '"+c.Lease.ID+"'") == 0
	})
	if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("its session goes on")
	}
	if _, err := session.Renew(within(t, 60*time.Second), c.Lease, time.Minute); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("renewing what was ended: %v", err)
	}
	s.revoke(session, c.Lease)
}

func TestRenewPutsTheEndOffButNeverPastTheTTL(t *testing.T) {
	s := openShop(t, events)
	c, _ := s.issue("readonly", "ttl=8m")
	at := func() time.Duration {
		var seconds int
		s.QueryRow("SELECT TIMESTAMPDIFF(SECOND, NOW(), EXECUTE_AT) FROM information_schema.EVENTS WHERE EVENT_NAME = '"+c.Lease.ID+"'", &seconds)
		return time.Duration(seconds) * time.Second
	}
	near := func(got, want time.Duration) bool { return got > want-30*time.Second && got < want+5*time.Second }
	if !near(at(), 5*time.Minute) || !near(time.Until(c.Lease.MaxExpire), 8*time.Minute) || !c.Lease.Renewable {
		t.Fatalf("issued: %s left of at most %s, renewable %t", at(), time.Until(c.Lease.MaxExpire), c.Lease.Renewable)
	}
	l, err := s.guard(s.session).Renew(within(t, 60*time.Second), c.Lease, 7*time.Minute)
	if err != nil || !near(at(), 7*time.Minute) || !near(time.Until(l.Expires), 7*time.Minute) || !l.Renewable {
		t.Errorf("renewed by 7m: the server says %s, the lease %s; %v", at(), time.Until(l.Expires), err)
	}
	l, err = s.session.Renew(within(t, 60*time.Second), l, time.Hour)
	if err != nil || !near(at(), 8*time.Minute) || l.Renewable || l.Expires.After(l.MaxExpire.Add(time.Second)) {
		t.Errorf("renewed past its ttl: %s left, renewable %t, %v", at(), l.Renewable, err)
	}
	l.MaxExpire = time.Now().Add(-time.Second)
	if _, err := s.session.Renew(within(t, 60*time.Second), l, time.Hour); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("at its end: %v", err)
	}
	s.revoke(s.session, c.Lease)
}

func TestWhereTheServerEndsNothingTheLeaseHasNoEndAndThatIsSaid(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	if !c.Lease.Expires.IsZero() || c.Lease.Renewable || !strings.Contains(strings.Join(c.Warnings, ""), "event_scheduler = ON") {
		t.Errorf("expires %v, renewable %t, warnings %q", c.Lease.Expires, c.Lease.Renewable, c.Warnings)
	}
	if _, err := s.session.Renew(within(t, 60*time.Second), c.Lease, time.Minute); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("renewing: %v", err)
	}
	s.revoke(s.session, c.Lease)
}
