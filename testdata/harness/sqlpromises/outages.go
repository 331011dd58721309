//go:build !windows

package sqlpromises

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func deadlinesHoldAgainstAServerThatNeverAnswers(s *Shop) {
	const deadline, generous = 500 * time.Millisecond, 10 * time.Second
	c, _ := s.Issue("readonly")
	s.db.Pause()
	for name, session := range map[string]Session{"over an open connection": s.Session, "over a new one": s.Guard(s.Session)} {
		start := time.Now()
		proof, err := session.Revoke(harness.Within(s.T, deadline), c.Lease)
		if took := time.Since(start); took > generous {
			s.T.Errorf("%s: it took %s against a deadline of %s", name, took, deadline)
		}
		if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			s.T.Errorf("%s: %v, %v; want a failure that may be retried", name, proof, err)
		}
	}
	start := time.Now()
	if _, err := s.kind.Provider.Open(harness.Within(s.T, deadline), s.Settings()); err == nil || time.Since(start) > generous {
		s.T.Errorf("opening: %v after %s", err, time.Since(start))
	}
	s.db.Continue()
	s.Revoke(s.Session, c.Lease)
}

func callsWaitForTheirTurnNoLongerThanTheirDeadline(s *Shop) {
	c, _ := s.Issue("readonly")
	s.db.Pause()
	slow := make(chan error)
	go func() {
		_, err := s.Session.Renew(harness.Within(s.T, time.Minute), c.Lease, time.Minute)
		slow <- err
	}()
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	_, err := s.Session.Revoke(harness.Within(s.T, 300*time.Millisecond), c.Lease)
	if took := time.Since(start); err == nil || took > 10*time.Second {
		s.T.Errorf("%v after %s", err, took)
	}
	s.db.Continue()
	if err := <-slow; err != nil {
		s.T.Error(err)
	}
	s.Revoke(s.Session, c.Lease)
}

func revokeAfterTheServerCameBack(s *Shop) {
	for name, end := range map[string]func(){"stopped": s.db.Stop, "crashed": s.db.Crash} {
		c, _ := s.Issue("readonly")
		guard := s.Guard(s.Session)
		end()
		proof, err := s.Session.Revoke(harness.Within(s.T, 5*time.Second), c.Lease)
		if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			s.T.Errorf("%s: %v, %v; want a failure that may be retried", name, proof, err)
		}
		s.db.Start()
		s.Revoke(s.Session, c.Lease)
		s.Revoke(guard, c.Lease)
	}
	s.NoUsers()
}

func serverRestartedBetweenCallsIsNotNoticed(s *Shop) {
	c, _ := s.Issue("readonly")
	s.db.Stop()
	s.db.Start()
	time.Sleep(150 * time.Millisecond)
	if _, err := s.Session.Renew(harness.Within(s.T, time.Minute), c.Lease, time.Minute); err != nil {
		s.T.Error(err)
	}
	s.db.Stop()
	s.db.Start()
	d, _ := s.Issue("readonly")
	s.Revoke(s.Session, c.Lease)
	s.Revoke(s.Session, d.Lease)
}

func idleConnectionIsGivenBackAndOpenedAgain(s *Shop) {
	patient, _ := s.IssueBy(s.db.Impatient(time.Hour), "readonly")
	session := s.db.Impatient(100 * time.Millisecond)
	c, _ := s.IssueBy(session, "readonly")
	harness.Eventually(s.T, "given back", func() bool { return !s.db.Connected(c.Lease) })
	if !s.db.Connected(patient.Lease) {
		s.T.Error("one that may be kept for an hour is not seen: the check is void")
	}
	s.Revoke(session, c.Lease)
}

func closedSessionSaysSo(s *Shop) {
	if proof, err := s.Session.Close(context.Background()); proof != providers.Proven || err != nil {
		s.T.Errorf("closing: %v, %v", proof, err)
	}
	if _, err := s.Session.Issue(harness.Within(s.T, time.Minute), s.ask("readonly")); err == nil || !strings.Contains(err.Error(), "closed") {
		s.T.Errorf("issuing: %v", err)
	}
}
