//go:build !windows

package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// left is how long the server lets the password live.
func (s *shop) left(role string) time.Duration {
	s.t.Helper()
	var seconds float64
	s.QueryRow("shop", &seconds, "select extract(epoch from rolvaliduntil - now())::float8 from pg_roles where rolname = $1", role)
	return time.Duration(seconds * float64(time.Second))
}

func near(got, want time.Duration) bool { return got > want-5*time.Second && got < want+5*time.Second }

func TestRenewExtendsAndShortensByTheServersClock(t *testing.T) {
	s := openShop(t)
	c, fields := s.issue("readonly")
	for _, increment := range []time.Duration{10 * time.Minute, time.Minute} {
		l, err := s.session.Renew(within(t, 5*time.Second), c.Lease, increment)
		if err != nil {
			t.Fatal(err)
		}
		if !near(s.left(l.ID), increment) || !near(time.Until(l.Expires), increment) || !l.Renewable {
			t.Errorf("renewed by %s: the server says %s, the lease %s (renewable %t)", increment, s.left(l.ID), time.Until(l.Expires), l.Renewable)
		}
	}
	if _, err := s.guard().Renew(within(t, 5*time.Second), c.Lease, 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	if _, err := s.Connect(fields["username"], fields["password"], "shop"); err == nil {
		t.Error("a login succeeded after the role's end")
	}
}

func TestRenewNeverPassesTheTTL(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly", "ttl=8m")
	if !near(s.left(c.Lease.ID), 5*time.Minute) || !near(time.Until(c.Lease.MaxExpire), 8*time.Minute) || !c.Lease.Renewable {
		t.Fatalf("issued: %s left of at most %s, renewable %t", s.left(c.Lease.ID), time.Until(c.Lease.MaxExpire), c.Lease.Renewable)
	}
	l, err := s.session.Renew(within(t, 5*time.Second), c.Lease, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !near(s.left(l.ID), 8*time.Minute) || l.Renewable || l.Expires.After(l.MaxExpire.Add(time.Second)) {
		t.Errorf("renewed past its ttl: %s left, renewable %t", s.left(l.ID), l.Renewable)
	}
	l.MaxExpire = time.Now().Add(-time.Second)
	if _, err := s.session.Renew(within(t, 5*time.Second), l, time.Hour); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("at its end: %v", err)
	}
}

func TestRenewOfAVanishedRoleIsRefused(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	s.revoke(s.session, c.Lease)
	_, err := s.session.Renew(within(t, 5*time.Second), c.Lease, time.Minute)
	if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("error: %v", err)
	}
}

func TestExpiredFindsOnlyWhatALostMachineLeft(t *testing.T) {
	s := openShop(t)
	lost, fields := s.issue("readwrite")
	alive, _ := s.issue("readonly")
	late, _ := s.issue("readonly")
	s.must(s.login(fields, "shop"), "create table relic (id int)")
	s.Exec("shop", "alter role "+lost.Lease.ID+" valid until '2001-06-01'; create role wc_notours valid until '2001-06-01'; "+
		"create role wc_endless valid until '-infinity'; comment on role wc_endless is 'with-creds run x for group y'")
	s.Exec("shop", "do $$ begin execute format('alter role "+late.Lease.ID+" valid until %L', now() - interval '1 minute'); end $$")

	found, err := s.guard().Expired(within(t, 5*time.Second), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].ID != lost.Lease.ID || found[0].Scope[scopeGroup] != "readwrite" || found[0].Expires.Year() != 2001 {
		t.Fatalf("found: %+v", found)
	}
	s.revoke(s.guard(), found[0])
	if owner := s.owner("shop", "relic"); owner != "readwrite" {
		t.Errorf("relic belongs to %s", owner)
	}
	s.revoke(s.session, alive.Lease)
	s.revoke(s.session, late.Lease)
}
