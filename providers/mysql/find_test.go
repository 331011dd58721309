//go:build !windows

package mysql

import (
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestFindAndLookupKnowWhoseAUserIs(t *testing.T) {
	s := openShop(t, events)
	first, _ := s.issue("readonly")
	second, _ := s.issue("readwrite")
	s.Exec("CREATE USER wc_notours; CREATE USER someone")
	session := s.guard(s.session)
	find := func(role string) []string {
		found, err := session.Find(within(t, 30*time.Second), role)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, l := range found {
			ids = append(ids, l.ID)
		}
		return ids
	}
	if all := find(""); len(all) != 2 {
		t.Errorf("all: %q", all)
	}
	if some := find("readwrite"); len(some) != 1 || some[0] != second.Lease.ID {
		t.Errorf("of readwrite: %q", some)
	}
	if none := find("nobody"); len(none) != 0 {
		t.Errorf("of nobody: %q", none)
	}
	l, err := session.Lookup(within(t, 30*time.Second), first.Lease.ID)
	if err != nil || l.Scope[providers.ScopeGroup] != "readonly" || l.Scope[providers.ScopeRun] == "" || !l.Renewable {
		t.Errorf("%+v, %v", l, err)
	}
	if off := l.Expires.Sub(first.Lease.Expires); off < -time.Minute || off > time.Minute {
		t.Errorf("it ends at %v, and was issued until %v", l.Expires, first.Lease.Expires)
	}
	for _, user := range []string{"wc_notours", "someone", "nobody", "it's", ""} {
		if l, err := session.Lookup(within(t, 30*time.Second), user); err != nil || !l.IsZero() {
			t.Errorf("%s: %+v, %v", user, l, err)
		}
	}
	s.revoke(session, l) // what was found is enough to end it
	s.revoke(s.session, second.Lease)
	if all := find(""); len(all) != 0 {
		t.Errorf("after the end of both: %q", all)
	}
}

func TestExpiredFindsWhatAServerDidNotEndWhoseSchedulerWasTurnedOff(t *testing.T) {
	s := openShop(t, harness.MariaDBSetting("event-scheduler", "ON"))
	lives, _ := s.issue("readonly")
	ended, _ := s.issue("readonly", "ttl=3s")
	s.Exec("SET GLOBAL event_scheduler = OFF")
	if _, err := s.guard(s.session).Lookup(within(t, 30*time.Second), ended.Lease.ID); err != nil {
		t.Fatal(err)
	}
	left := s.Users("wc_")
	if len(left) < 2 {
		t.Skip("the server was quicker: it has ended the user")
	}
	session := s.guard(s.session)
	expired := func(past time.Duration) []providers.Lease {
		found, err := session.Expired(within(t, 30*time.Second), past)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	eventually(t, "the user's end has passed", func() bool { return len(expired(time.Second)) == 1 })
	if found := expired(time.Second); found[0].ID != ended.Lease.ID {
		t.Errorf("found %+v", found)
	}
	if found := expired(time.Hour); len(found) != 0 {
		t.Errorf("of those that ended an hour ago: %+v", found)
	}
	s.revoke(session, expired(time.Second)[0])
	s.revoke(s.session, lives.Lease)
}
