//go:build !windows

package postgres

import (
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func TestFindAndLookupKnowWhoseARoleIs(t *testing.T) {
	s := openShop(t)
	first, _ := s.issue("readonly")
	second, _ := s.issue("readwrite")
	s.Exec("shop", "create role wc_notours; create role someone")
	find := func(group string) []string {
		found, err := s.guard().Find(within(t, 30*time.Second), group)
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
	l, err := s.guard().Lookup(within(t, 30*time.Second), first.Lease.ID)
	if err != nil || l.Scope[providers.ScopeGroup] != "readonly" || l.Scope[providers.ScopeRun] == "" {
		t.Errorf("%+v, %v", l, err)
	}
	if off := l.Expires.Sub(first.Lease.Expires); off < -time.Minute || off > time.Minute {
		t.Errorf("it ends at %v, and was issued until %v", l.Expires, first.Lease.Expires)
	}
	for _, role := range []string{"wc_notours", "someone", "nobody", "it's"} {
		if l, err := s.guard().Lookup(within(t, 30*time.Second), role); err != nil || !l.IsZero() {
			t.Errorf("%s: %+v, %v", role, l, err)
		}
	}
	s.revoke(s.guard(), l) // what was found is enough to end it
	s.revoke(s.session, second.Lease)
}
