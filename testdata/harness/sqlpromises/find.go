//go:build !windows

package sqlpromises

import (
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func findAndLookupKnowWhoseAUserIs(s *Shop) {
	first, _ := s.Issue("readonly")
	second, _ := s.Issue("readwrite")
	s.db.Run("CREATE USER wc_notours; CREATE USER someone")
	session := s.Guard(s.Session)
	find := func(role string) []string {
		s.T.Helper()
		found, err := session.Find(harness.Within(s.T, time.Minute), role)
		if err != nil {
			s.T.Fatal(err)
		}
		var ids []string
		for _, l := range found {
			ids = append(ids, l.ID)
		}
		return ids
	}
	lookup := func(user string) providers.Lease {
		s.T.Helper()
		l, err := session.Lookup(harness.Within(s.T, time.Minute), user)
		if err != nil {
			s.T.Fatal(err)
		}
		return l
	}
	if all := find(""); len(all) != 2 {
		s.T.Errorf("all: %q", all)
	}
	if some := find("readwrite"); len(some) != 1 || some[0] != second.Lease.ID {
		s.T.Errorf("of readwrite: %q", some)
	}
	if none := find("nobody"); len(none) != 0 {
		s.T.Errorf("of nobody: %q", none)
	}
	l := lookup(first.Lease.ID)
	if l.Scope[providers.ScopeGroup] != "readonly" || l.Scope[providers.ScopeRun] == "" || !l.Renewable {
		s.T.Errorf("%+v", l)
	}
	if off := l.Expires.Sub(first.Lease.Expires); off < -time.Minute || off > time.Minute {
		s.T.Errorf("it ends at %v, and was issued until %v", l.Expires, first.Lease.Expires)
	}
	for _, user := range []string{"wc_notours", "someone", "nobody", "it's", ""} {
		if l := lookup(user); !l.IsZero() {
			s.T.Errorf("%s: %+v", user, l)
		}
	}
	s.Revoke(session, l) // what was found is enough to end it
	s.Revoke(s.Session, second.Lease)
	if all := find(""); len(all) != 0 {
		s.T.Errorf("after the end of both: %q", all)
	}
}
