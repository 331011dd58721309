//go:build !windows

package sqlpromises

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func intentComesBeforeTheUserAndSufficesToRevoke(s *Shop) {
	settings := s.Settings()
	var intents []providers.Lease
	settings.Intend = func(l providers.Lease) error {
		intents = append(intents, l)
		s.NoUsers()
		return nil
	}
	session := s.Open(settings)
	c, _ := s.IssueBy(session, "readonly")
	if len(intents) != 1 || intents[0].ID != c.Lease.ID || intents[0].Scope[providers.ScopeGroup] != "readonly" {
		s.T.Fatalf("intents %+v, lease %+v", intents, c.Lease)
	}
	s.Revoke(s.Guard(session), intents[0])
}

func aForbiddenIntentMakesNoUser(s *Shop) {
	settings := s.Settings()
	settings.Intend = func(providers.Lease) error { return errors.New("the guard is lost") }
	_, err := s.Open(settings).Issue(harness.Within(s.T, time.Minute), s.ask("readonly"))
	if err == nil || !strings.Contains(err.Error(), "the guard is lost") || errors.Is(err, providers.ErrUnanswered) {
		s.T.Errorf("error: %v", err)
	}
	s.NoUsers()
}

func oneSessionServesManyRequestsAtOnce(s *Shop) {
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c, err := s.Session.Issue(harness.Within(s.T, time.Minute), s.ask("readonly"))
			if err != nil {
				s.T.Error(err)
				return
			}
			if _, err := s.Session.Renew(harness.Within(s.T, time.Minute), c.Lease, time.Minute); err != nil {
				s.T.Error(err)
			}
			if proof, err := s.Session.Revoke(harness.Within(s.T, time.Minute), c.Lease); proof != providers.Proven {
				s.T.Error(err)
			}
		})
	}
	all.Wait()
	s.NoUsers()
}
