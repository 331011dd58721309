//go:build !windows

package mysql

import (
	"errors"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// wired opens a session over a wire and returns the settings it uses, which collect its intents.
func (s *shop) wired(f harness.Fault, patience time.Duration) (*harness.Wire, *Session, *[]providers.Lease, error) {
	s.t.Helper()
	w := harness.NewWire(s.t, s.address(), f)
	intents := &[]providers.Lease{}
	settings := s.settings()
	env := map[string]string{urlVariable: w.Through(s.AdminURL("shop"))}
	settings.Lookup = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	settings.Intend = func(l providers.Lease) error { *intents = append(*intents, l); return nil }
	session, err := Provider{}.Open(within(s.t, patience), settings)
	if err != nil {
		return w, nil, intents, err
	}
	return w, session.(*Session), intents, nil
}

// TestIntentAloneUndoesAnIssueThatDiedAnywhere kills the issuing process's connection at points all through an issue, in both directions, cut
// or hanging, and lets a second process revoke what the intent names. Afterwards what the hanging wire held back is delivered.
func TestIntentAloneUndoesAnIssueThatDiedAnywhere(t *testing.T) {
	s := openShop(t, events)
	w, session, _, err := s.wired(harness.NoFault, 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	upOpen, downOpen := w.Passed()
	c, err := session.Issue(within(t, 60*time.Second), ask("readonly"))
	if err != nil {
		t.Fatal(err)
	}
	upIssued, downIssued := w.Passed()
	s.revoke(session, c.Lease)

	var faults []harness.Fault
	for _, hang := range []bool{false, true} {
		for _, k := range harness.Spread(upOpen, upIssued, 8) {
			faults = append(faults, harness.Fault{Up: k, Down: -1, Hang: hang})
		}
		for _, k := range harness.Spread(downOpen, downIssued, 8) {
			faults = append(faults, harness.Fault{Up: -1, Down: k, Hang: hang})
		}
		faults = append(faults, harness.Fault{Up: upOpen / 2, Down: -1, Hang: hang}) // during the login: there is no intent yet
	}
	died := 0
	for _, f := range faults {
		w, session, intents, err := s.wired(f, time.Second)
		if err == nil {
			_, err = session.Issue(within(t, 400*time.Millisecond), ask("readonly"))
		}
		if err != nil || len(*intents) > 1 { // a connection that broke is replaced, and the user it may have made is one more
			died++
		}
		for _, l := range *intents {
			s.revoke(s.guard(session), l)
		}
		w.Release()
		time.Sleep(20 * time.Millisecond)
		if users := s.Users("wc_"); len(users) != 0 {
			t.Fatalf("%+v left %q", f, users)
		}
	}
	if died < len(faults)*3/4 {
		t.Errorf("only %d of %d faults disturbed an issue: the test tests little", died, len(faults))
	}
}

// A request can sit in the server, waiting for a lock, long after the process that sent it has died.
func TestIntentAloneUndoesAnIssueStillWaitingInTheServer(t *testing.T) {
	s := openShop(t)
	lock, err := s.Connect(s.User, s.Password, "shop")
	if err != nil {
		t.Fatal(err)
	}
	s.must(lock, "FLUSH TABLES WITH READ LOCK") // as a backup does
	_, session, intents, err := s.wired(harness.NoFault, 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Issue(within(t, 500*time.Millisecond), ask("readonly")); !errors.Is(err, providers.ErrUnanswered) {
		t.Fatalf("error: %v; want one that says that the answer did not come", err)
	}
	if n := s.count("information_schema.PROCESSLIST WHERE ID = " + (*intents)[0].Scope[scopePID] + " AND INFO LIKE 'CREATE USER%'"); n != 1 {
		t.Fatal("the request does not wait in the server: the check is void")
	}
	guard := s.guard(session)
	// The revocation's own statements wait for that lock too; but what was under way is ended.
	if proof, err := guard.Revoke(within(t, 500*time.Millisecond), (*intents)[0]); proof != providers.Failed || errors.Is(err, providers.ErrRefused) {
		t.Errorf("while the lock is held: %v, %v", proof, err)
	}
	if n := s.count("information_schema.PROCESSLIST WHERE ID = " + (*intents)[0].Scope[scopePID]); n != 0 {
		t.Error("the session that makes the user goes on")
	}
	s.must(lock, "UNLOCK TABLES")
	s.revoke(guard, (*intents)[0])
	time.Sleep(100 * time.Millisecond)
	if users := s.Users("wc_"); len(users) != 0 {
		t.Errorf("left: %q", users)
	}
}

func TestRevokeSurvivesAConnectionThatDiesAnywhere(t *testing.T) {
	s := openShop(t, events)
	w, session, _, err := s.wired(harness.NoFault, 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	make := func(session *Session) providers.Lease {
		t.Helper()
		c, err := session.Issue(within(t, 60*time.Second), ask("readwrite"))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := c.Field("password")
		s.login(map[string]string{"username": c.Lease.ID, "password": password.Value})
		return c.Lease
	}
	l := make(session)
	up0, down0 := w.Passed()
	s.revoke(session, l)
	up1, down1 := w.Passed()

	var faults []harness.Fault
	for _, k := range harness.Spread(up0+1, up1, 6) {
		faults = append(faults, harness.Fault{Up: k, Down: -1})
	}
	for _, k := range harness.Spread(down0+1, down1, 6) {
		faults = append(faults, harness.Fault{Up: -1, Down: k})
	}
	for _, f := range faults {
		_, session, _, err := s.wired(f, 60*time.Second)
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		s.revoke(session, make(session))
	}
}

func TestRevokeKeepsItsDeadlineAgainstAServerThatNeverAnswers(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	s.Pause()
	for name, session := range map[string]*Session{"over an open connection": s.session, "over a new one": s.guard(s.session)} {
		start := time.Now()
		proof, err := session.Revoke(within(t, 500*time.Millisecond), c.Lease)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: it took %s against a deadline of 0.5 s", name, took)
		}
		if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			t.Errorf("%s: %v, %v; want a failure that may be retried", name, proof, err)
		}
	}
	s.Continue()
	s.revoke(s.session, c.Lease)
}

func TestRevokeAfterTheServerCameBack(t *testing.T) {
	s := openShop(t)
	for name, end := range map[string]func(){"stopped": s.Stop, "crashed": s.Crash} {
		c, _ := s.issue("readonly")
		guard := s.guard(s.session)
		end()
		proof, err := s.session.Revoke(within(t, 5*time.Second), c.Lease)
		if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			t.Errorf("%s: %v, %v; want a failure that may be retried", name, proof, err)
		}
		s.Start()
		s.revoke(s.session, c.Lease)
		s.revoke(guard, c.Lease)
	}
	if users := s.Users("wc_"); len(users) != 0 {
		t.Errorf("left: %q", users)
	}
}

func TestIdleConnectionIsGivenBackAndOpenedAgain(t *testing.T) {
	s := openShop(t)
	session := newSession(s.session.target, s.settings())
	session.login.Idle = 100 * time.Millisecond
	c, err := session.Issue(within(t, 60*time.Second), ask("readonly"))
	if err != nil {
		t.Fatal(err)
	}
	id := c.Lease.Scope[scopePID]
	eventually(t, "closed", func() bool { return s.count("information_schema.PROCESSLIST WHERE ID = "+id) == 0 })
	s.revoke(session, c.Lease)
}
