//go:build !windows

package postgres

import (
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

func TestExpiredFindsOnlyWhatALostMachineLeft(t *testing.T) {
	s := openShop(t)
	lost, fields := s.Issue("readwrite")
	alive, _ := s.Issue("readonly")
	late, _ := s.Issue("readonly")
	s.must(s.login(fields, "shop"), "create table relic (id int)")
	s.Exec("shop", "alter role "+lost.Lease.ID+" valid until '2001-06-01'; create role wc_notours valid until '2001-06-01'; "+
		"create role wc_endless valid until '-infinity'; comment on role wc_endless is 'with-creds run x for group y'")
	s.Exec("shop", "do $$ begin execute format('alter role "+late.Lease.ID+" valid until %L', now() - interval '1 minute'); end $$")

	found, err := s.Guard(s.Session).Expired(harness.Within(t, 5*time.Second), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].ID != lost.Lease.ID || found[0].Scope[scopeGroup] != "readwrite" || found[0].Expires.Year() != 2001 {
		t.Fatalf("found: %+v", found)
	}
	s.Revoke(s.Guard(s.Session), found[0])
	if owner := s.owner("shop", "relic"); owner != "readwrite" {
		t.Errorf("relic belongs to %s", owner)
	}
	s.Revoke(s.Session, alive.Lease)
	s.Revoke(s.Session, late.Lease)
}
