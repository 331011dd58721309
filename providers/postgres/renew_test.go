//go:build !windows

package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestNobodyLogsInAfterTheRolesEnd(t *testing.T) {
	s := openShop(t)
	c, fields := s.Issue("readonly")
	if _, err := s.Guard(s.Session).Renew(harness.Within(t, time.Minute), c.Lease, 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	if _, err := s.Connect(fields["username"], fields["password"], "shop"); err == nil {
		t.Error("a login succeeded after the role's end")
	}
}

func TestARoleThatSomebodyHasDroppedIsSaidToBeGone(t *testing.T) {
	s := openShop(t)
	c, _ := s.Issue("readonly")
	s.Exec("shop", "drop role "+c.Lease.ID)
	if _, err := s.Guard(s.Session).Renew(harness.Within(t, time.Minute), c.Lease, time.Minute); !errors.Is(err, providers.ErrGone) {
		t.Errorf("%v", err)
	}
}
