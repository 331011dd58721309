//go:build !windows

package sqlpromises

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// intentAloneUndoesAnIssueThatDiedAnywhere kills the issuing process's connection at points all through an issue, in both directions, cut
// or hanging, and lets a second process revoke what the intent names. Afterwards what the hanging wire held back is delivered.
func intentAloneUndoesAnIssueThatDiedAnywhere(s *Shop) {
	w, session := s.Over()
	upOpen, downOpen := w.Passed()
	c, _ := s.IssueBy(session, "readonly")
	upIssued, downIssued := w.Passed()
	s.Revoke(session, c.Lease)

	var faults []harness.Fault
	for _, hang := range []bool{false, true} {
		for _, k := range harness.Spread(upOpen, upIssued, 8) {
			faults = append(faults, harness.Fault{Up: k, Down: -1, Hang: hang})
		}
		for _, k := range harness.Spread(downOpen, downIssued, 8) {
			faults = append(faults, harness.Fault{Up: -1, Down: k, Hang: hang})
		}
		for _, k := range harness.Spread(1, upOpen-1, 2) { // during the login: there is no intent yet
			faults = append(faults, harness.Fault{Up: k, Down: -1, Hang: hang})
		}
	}
	var died atomic.Int64
	var all errgroup.Group
	all.SetLimit(8) // what they do is wait
	for _, f := range faults {
		all.Go(func() error {
			disturbed, err := s.undone(f)
			if disturbed {
				died.Add(1)
			}
			if err != nil {
				s.T.Errorf("%+v: %v", f, err)
			}
			return nil
		})
	}
	_ = all.Wait() // told of above
	if n := int(died.Load()); n < len(faults)*3/4 {
		s.T.Errorf("only %d of %d faults disturbed an issue: the test tests little", n, len(faults))
	}
	s.NoUsers()
}

// undone issues over a wire with the fault, and then knows the intents alone.
func (s *Shop) undone(f harness.Fault) (disturbed bool, err error) {
	w, run, issued := s.over(f, 500*time.Millisecond)
	if issued == nil {
		_, issued = run.Session.Issue(harness.Within(s.T, 300*time.Millisecond), s.ask("readonly"))
	}
	intents := run.Intents()
	for _, l := range intents {
		// The handoff of this session, as the guard has it from before the issue.
		proof, err := s.Guard(run.Session).Revoke(harness.Within(s.T, time.Minute), l)
		if proof != providers.Proven {
			return true, err
		}
	}
	w.Release()
	time.Sleep(20 * time.Millisecond)
	if users := run.made("readonly"); len(users) != 0 {
		err = fmt.Errorf("it left %q", users)
	}
	return issued != nil || len(intents) > 1, err // a connection that broke is replaced, and the user it may have made is one more
}

// A request can sit in the server, waiting for a lock, long after the process that sent it has died.
func intentAloneUndoesAnIssueStillWaitingInTheServer(s *Shop) {
	unlock := s.db.Lock()
	_, run, err := s.over(harness.NoFault, time.Minute)
	if err != nil {
		s.T.Fatal(err)
	}
	session := run.Session
	ctx, die := context.WithCancel(harness.Within(s.T, time.Minute))
	failed := make(chan error)
	go func() {
		_, err := session.Issue(ctx, s.ask("readonly"))
		failed <- err
	}()
	var intent providers.Lease
	harness.Eventually(s.T, "waiting in the server", func() bool {
		for _, l := range run.Intents() {
			intent = l
		}
		return !intent.IsZero() && s.db.Waiting(intent)
	})
	die()
	if err := <-failed; !errors.Is(err, providers.ErrUnanswered) {
		s.T.Fatalf("error: %v; want one that says that the answer did not come", err)
	}
	guard := s.Guard(session)
	if s.kind.RevokeWaits { // but what was under way is ended
		proof, err := guard.Revoke(harness.Within(s.T, 500*time.Millisecond), intent)
		if proof != providers.Failed || errors.Is(err, providers.ErrRefused) {
			s.T.Errorf("while the lock is held: %v, %v", proof, err)
		}
		if s.db.Connected(intent) {
			s.T.Error("the session that makes the user goes on")
		}
		unlock()
		s.Revoke(guard, intent)
	} else {
		s.Revoke(guard, intent)
		unlock()
	}
	time.Sleep(100 * time.Millisecond)
	s.NoUsers()
}

func revokeSurvivesAConnectionThatDiesAnywhere(s *Shop) {
	work := func(session Session) (l providers.Lease, kept func()) {
		s.T.Helper()
		c, fields := s.IssueBy(session, "readwrite")
		return c.Lease, s.db.Work(fields["username"], fields["password"])
	}
	w, session := s.Over()
	l, _ := work(session)
	up0, down0 := w.Passed()
	s.Revoke(session, l)
	up1, down1 := w.Passed()

	var faults []harness.Fault
	for _, k := range harness.Spread(up0+1, up1, 8) {
		faults = append(faults, harness.Fault{Up: k, Down: -1})
	}
	for _, k := range harness.Spread(down0+1, down1, 8) {
		faults = append(faults, harness.Fault{Up: -1, Down: k})
	}
	for _, f := range faults {
		_, run, err := s.over(f, time.Minute)
		if err != nil {
			s.T.Fatalf("%+v: %v", f, err)
		}
		l, kept := work(run.Session)
		s.Revoke(run.Session, l)
		kept()
	}
}
