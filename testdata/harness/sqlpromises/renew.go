//go:build !windows

package sqlpromises

import (
	"errors"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func near(got, want time.Duration) bool { return got > want-30*time.Second && got < want+5*time.Second }

func renewExtendsAndShortensByTheServersClock(s *Shop) {
	c, _ := s.Issue("readonly")
	for _, session := range []Session{s.Session, s.Guard(s.Session)} {
		for _, increment := range []time.Duration{10 * time.Minute, time.Minute} {
			l, err := session.Renew(harness.Within(s.T, time.Minute), c.Lease, increment)
			if left := s.db.Left(c.Lease.ID); err != nil || !near(left, increment) || !near(time.Until(l.Expires), increment) || !l.Renewable {
				s.T.Errorf("renewed by %s: the server says %s, the lease %s (renewable %t); %v", increment, left, time.Until(l.Expires), l.Renewable, err)
			}
		}
	}
}

func renewNeverPassesTheTTL(s *Shop) {
	c, _ := s.Issue("readonly", "ttl=8m")
	if left := s.db.Left(c.Lease.ID); !near(left, 5*time.Minute) || !near(time.Until(c.Lease.MaxExpire), 8*time.Minute) || !c.Lease.Renewable {
		s.T.Fatalf("issued: %s left of at most %s, renewable %t", left, time.Until(c.Lease.MaxExpire), c.Lease.Renewable)
	}
	l, err := s.Guard(s.Session).Renew(harness.Within(s.T, time.Minute), c.Lease, 7*time.Minute)
	if left := s.db.Left(c.Lease.ID); err != nil || !near(left, 7*time.Minute) || !near(time.Until(l.Expires), 7*time.Minute) || !l.Renewable {
		s.T.Errorf("renewed by 7m: the server says %s, the lease %s (renewable %t); %v", left, time.Until(l.Expires), l.Renewable, err)
	}
	l, err = s.Session.Renew(harness.Within(s.T, time.Minute), l, time.Hour)
	if left := s.db.Left(c.Lease.ID); err != nil || !near(left, 8*time.Minute) || l.Renewable || l.Expires.After(l.MaxExpire.Add(time.Second)) {
		s.T.Errorf("renewed past its ttl: %s left, renewable %t; %v", left, l.Renewable, err)
	}
	l.MaxExpire = time.Now().Add(-time.Second)
	if _, err := s.Session.Renew(harness.Within(s.T, time.Minute), l, time.Hour); !errors.Is(err, providers.ErrRefused) {
		s.T.Errorf("at its end: %v", err)
	}
	s.Revoke(s.Session, c.Lease)
}

func renewOfAVanishedUserIsRefused(s *Shop) {
	c, _ := s.Issue("readonly")
	s.Revoke(s.Session, c.Lease)
	_, err := s.Session.Renew(harness.Within(s.T, time.Minute), c.Lease, time.Minute)
	if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "does not exist") && !strings.Contains(err.Error(), "was ended already") {
		s.T.Errorf("error: %v", err)
	}
}
