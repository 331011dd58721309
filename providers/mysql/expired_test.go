//go:build !windows

package mysql

import (
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestExpiredFindsWhatAServerDidNotEndWhoseSchedulerWasTurnedOff(t *testing.T) {
	s := openShop(t, events)
	lives, _ := s.Issue("readonly")
	ended, _ := s.Issue("readonly", "ttl=3s")
	s.Exec("SET GLOBAL event_scheduler = OFF")
	if _, err := s.Guard(s.Session).Lookup(harness.Within(t, 30*time.Second), ended.Lease.ID); err != nil {
		t.Fatal(err)
	}
	left := s.Users("wc_")
	if len(left) < 2 {
		t.Skip("the server was quicker: it has ended the user")
	}
	session := s.Guard(s.Session)
	expired := func(past time.Duration) []providers.Lease {
		found, err := session.Expired(harness.Within(t, 30*time.Second), past)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	harness.Eventually(t, "the user's end has passed", func() bool { return len(expired(time.Second)) == 1 })
	if found := expired(time.Second); found[0].ID != ended.Lease.ID {
		t.Errorf("found %+v", found)
	}
	if found := expired(time.Hour); len(found) != 0 {
		t.Errorf("of those that ended an hour ago: %+v", found)
	}
	s.Revoke(session, expired(time.Second)[0])
	s.Revoke(s.Session, lives.Lease)
}
