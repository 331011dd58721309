//go:build !windows

package sqlpromises

import (
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func revokingWhatIsGoneOrNeverWasIsProven(s *Shop) {
	c, _ := s.Issue("readonly")
	never := c.Lease
	never.ID = "wc_readonly_r7k2_neverwas"
	for _, session := range []Session{s.Session, s.Session, s.Guard(s.Session)} {
		s.Revoke(session, c.Lease)
		s.Revoke(session, never)
	}
}

// refused holds that the session will have nothing to do with a lease.
func (s *Shop) refused(l providers.Lease) error {
	s.T.Helper()
	proof, err := s.Session.Revoke(harness.Within(s.T, time.Minute), l)
	if proof != providers.Failed || !errors.Is(err, providers.ErrRefused) {
		s.T.Errorf("%q: %v, %v", l.ID, proof, err)
	}
	return err
}

func revokeTouchesNoUserButItsOwn(s *Shop) {
	c, _ := s.Issue("readonly")
	s.db.Run("CREATE USER someone")
	for _, id := range []string{"someone", "readonly", "wc_", "wc_x;drop", "wc_'", `wc_"`, "WC_A", ""} {
		other := c.Lease
		other.ID = id
		_ = s.refused(other)
	}
	if len(s.db.Users("someone")) != 1 {
		s.T.Error("another's user is gone")
	}
	s.Revoke(s.Session, c.Lease)
}

func revokeDoesNotTakeAnotherServersSilenceForProof(s *Shop) {
	c, _ := s.Issue("readonly")
	elsewhere := c.Lease
	elsewhere.Scope = maps.Clone(c.Lease.Scope)
	elsewhere.Scope["server"] = "db.example.com:1"
	if err := s.refused(elsewhere); err != nil && !strings.Contains(err.Error(), "db.example.com:1") {
		s.T.Errorf("it does not say where the user is: %v", err)
	}
	s.Revoke(s.Session, c.Lease)
}

func twoRevokersAtOnceBothProve(s *Shop) {
	for _, deputy := range []string{"", "deputy"} {
		if deputy != "" {
			s.db.Deputize(deputy)
		}
		for round := range 15 {
			c, fields := s.Issue("readwrite")
			s.db.Work(fields["username"], fields["password"])
			errs := make(chan error)
			for _, session := range []Session{s.Session, s.Guard(s.Session), s.Guard(s.Session)} {
				go func() {
					proof, err := session.Revoke(harness.Within(s.T, time.Minute), c.Lease)
					if err == nil && proof != providers.Proven {
						err = errors.New(string(proof))
					}
					errs <- err
				}()
			}
			for range 3 {
				if err := <-errs; err != nil {
					s.T.Errorf("%s, round %d: %v", deputy, round, err)
				}
			}
			s.NoUsers()
		}
	}
}
