//go:build !windows

package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func (s *shop) address() string { return net.JoinHostPort(s.Host, fmt.Sprint(s.Port)) }

// wired opens a session over a wire and returns the settings it uses, which collect its intents.
func (s *shop) wired(f harness.Fault) (*harness.Wire, *Session, *[]providers.Lease, error) {
	s.t.Helper()
	f.Unwanted = func(head []byte) bool { // a process that was killed asks for no cancellation (protocol code 80877102)
		return binary.BigEndian.Uint32(head[4:]) == 80877102
	}
	w := harness.NewWire(s.t, s.address(), f)
	intents := &[]providers.Lease{}
	settings := s.settings()
	env := map[string]string{urlVariable: w.Through(s.AdminURL("shop"))}
	settings.Lookup = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	settings.Intend = func(l providers.Lease) error { *intents = append(*intents, l); return nil }
	session, err := Provider{}.Open(within(s.t, 500*time.Millisecond), settings)
	if err != nil {
		return w, nil, intents, err
	}
	return w, session.(*Session), intents, nil
}

// resumed is the guard's session, from nothing but a handoff.
func (s *shop) resumed(h providers.Handoff) *Session {
	s.t.Helper()
	session, err := Provider{}.Resume(h, providers.Settings{})
	if err != nil {
		s.t.Fatal(err)
	}
	return session.(*Session)
}

func TestNoPasswordCrossesTheWire(t *testing.T) {
	s := openShop(t)
	w, session, _, err := s.wired(harness.NoFault)
	if err != nil {
		t.Fatal(err)
	}
	c, err := session.Issue(within(t, 5*time.Second), ask("readonly"))
	if err != nil {
		t.Fatal(err)
	}
	s.revoke(session, c.Lease)
	password, _ := c.Field("password")
	sent, received := w.Sent(), w.Received()
	if !strings.Contains(sent, c.Lease.ID) || !strings.Contains(sent, "SCRAM-SHA-256$4096:") {
		t.Fatal("the statement that made the role is not on the wire: the check is void")
	}
	noSecret(t, "what was sent", sent, password.Value, s.Password)
	noSecret(t, "what was received", received, password.Value, s.Password)
}

// TestIntentAloneUndoesAnIssueThatDiedAnywhere kills the issuing process's connection at points all through an issue, in both directions, cut
// or hanging, and lets a second process revoke what the intent names. Afterwards what the hanging wire held back is delivered.
func TestIntentAloneUndoesAnIssueThatDiedAnywhere(t *testing.T) {
	s := openShop(t)
	w, session, _, err := s.wired(harness.NoFault)
	if err != nil {
		t.Fatal(err)
	}
	upOpen, downOpen := w.Passed()
	c, err := session.Issue(within(t, 5*time.Second), ask("readonly"))
	if err != nil {
		t.Fatal(err)
	}
	upIssued, downIssued := w.Passed()
	s.revoke(session, c.Lease)

	var faults []harness.Fault
	for _, hang := range []bool{false, true} {
		for _, k := range harness.Spread(upOpen, upIssued, 5) {
			faults = append(faults, harness.Fault{Up: k, Down: -1, Hang: hang})
		}
		for _, k := range harness.Spread(downOpen, downIssued, 5) {
			faults = append(faults, harness.Fault{Up: -1, Down: k, Hang: hang})
		}
		for _, k := range harness.Spread(1, upOpen-1, 2) { // during the login: there is no intent yet
			faults = append(faults, harness.Fault{Up: k, Down: -1, Hang: hang})
		}
	}
	died := 0
	for _, f := range faults {
		w, session, intents, err := s.wired(f)
		if err == nil {
			_, err = session.Issue(within(t, 150*time.Millisecond), ask("readonly"))
		}
		if err != nil || len(*intents) > 1 { // a connection that broke is replaced, and the role it may have made is one more
			died++
		}
		for _, l := range *intents {
			// The handoff of this session, as the guard has it from before the issue.
			s.revoke(s.resumed(session.Handoff()), l)
		}
		w.Release()
		time.Sleep(20 * time.Millisecond)
		if roles := s.Roles("wc_"); len(roles) != 0 {
			t.Fatalf("%+v left %q", f, roles)
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
	for _, sql := range []string{"begin", "lock table pg_auth_members in exclusive mode"} {
		if _, err := lock.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	_, session, intents, err := s.wired(harness.NoFault)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Issue(within(t, 300*time.Millisecond), ask("readonly")); !errors.Is(err, providers.ErrUnanswered) {
		t.Fatalf("error: %v; want one that says that the answer did not come", err)
	}
	var waiting int
	s.QueryRow("shop", &waiting, "select count(*) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'", (*intents)[0].Scope[scopeMaker])
	if waiting != 1 {
		t.Fatal("the request does not wait in the server: the check is void")
	}
	s.revoke(s.resumed(session.Handoff()), (*intents)[0])
	if _, err := lock.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if roles := s.Roles("wc_"); len(roles) != 0 {
		t.Errorf("left: %q", roles)
	}
}

func TestRevokeSurvivesAConnectionThatDiesAnywhere(t *testing.T) {
	s := openShop(t)
	w, session, _, err := s.wired(harness.NoFault)
	if err != nil {
		t.Fatal(err)
	}
	make := func(session *Session) providers.Lease {
		t.Helper()
		c, err := session.Issue(within(t, 5*time.Second), ask("readwrite"))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := c.Field("password")
		s.must(s.login(map[string]string{"username": c.Lease.ID, "password": password.Value}, "shop"), "create table "+c.Lease.ID+" (id int)")
		return c.Lease
	}
	l := make(session)
	up0, down0 := w.Passed()
	s.revoke(session, l)
	up1, down1 := w.Passed()

	var faults []harness.Fault
	for _, k := range harness.Spread(up0+1, up1, 8) {
		faults = append(faults, harness.Fault{Up: k, Down: -1})
	}
	for _, k := range harness.Spread(down0+1, down1, 8) {
		faults = append(faults, harness.Fault{Up: -1, Down: k})
	}
	for _, f := range faults {
		_, session, _, err := s.wired(f)
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		l := make(session)
		s.revoke(session, l)
		if owner := s.owner("shop", l.ID); owner != "readwrite" {
			t.Errorf("%+v: what the role made belongs to %s", f, owner)
		}
	}
}

func TestRevokeKeepsItsDeadlineAgainstAServerThatNeverAnswers(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	s.Pause()
	for name, session := range map[string]*Session{"over an open connection": s.session, "over a new one": s.guard()} {
		start := time.Now()
		proof, err := session.Revoke(within(t, 500*time.Millisecond), c.Lease)
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("%s: it took %s against a deadline of 0.5 s", name, took)
		}
		if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			t.Errorf("%s: %v, %v; want a failure that may be retried", name, proof, err)
		}
	}
	start := time.Now()
	if _, err := (Provider{}).Open(within(t, 500*time.Millisecond), s.settings()); err == nil || time.Since(start) > 1500*time.Millisecond {
		t.Errorf("opening: %v after %s", err, time.Since(start))
	}
	s.Continue()
	s.revoke(s.session, c.Lease)
}

func TestCallsWaitForTheirTurnNoLongerThanTheirDeadline(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	s.Pause()
	slow := make(chan error)
	go func() {
		_, err := s.session.Renew(within(t, 3*time.Second), c.Lease, time.Minute)
		slow <- err
	}()
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	_, err := s.session.Revoke(within(t, 300*time.Millisecond), c.Lease)
	if took := time.Since(start); err == nil || took > time.Second {
		t.Errorf("%v after %s", err, took)
	}
	s.Continue()
	if err := <-slow; err != nil {
		t.Error(err)
	}
	s.revoke(s.session, c.Lease)
}

func TestRevokeAfterTheServerCameBack(t *testing.T) {
	s := openShop(t)
	for name, end := range map[string]func(){"stopped": s.Stop, "crashed": s.Crash} {
		c, _ := s.issue("readonly")
		guard := s.guard()
		end()
		proof, err := s.session.Revoke(within(t, 2*time.Second), c.Lease)
		if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			t.Errorf("%s: %v, %v; want a failure that may be retried", name, proof, err)
		}
		s.Start()
		s.revoke(s.session, c.Lease)
		s.revoke(guard, c.Lease)
	}
}

// A server told not to wait for its disk forgets the last commits when it crashes. A role must not come back that way.
func TestRoleStaysGoneWhenAServerWithoutSynchronousCommitCrashes(t *testing.T) {
	s := openShop(t, harness.PostgresSetting("synchronous_commit", "off"), harness.PostgresSetting("wal_writer_delay", "10s"))
	c, _ := s.issue("readonly")
	s.Exec("shop", "set synchronous_commit to on; create role kept") // with the WAL flushed up to here, the role's making is kept
	s.revoke(s.session, c.Lease)
	s.Crash()
	s.Start()
	if roles := s.Roles("wc_"); len(roles) != 0 {
		t.Errorf("back from the dead: %q", roles)
	}
}

func TestServerRestartedBetweenCallsIsNotNoticed(t *testing.T) {
	s := openShop(t)
	c, _ := s.issue("readonly")
	s.Stop()
	s.Start()
	time.Sleep(150 * time.Millisecond)
	if _, err := s.session.Renew(within(t, 2*time.Second), c.Lease, time.Minute); err != nil {
		t.Error(err)
	}
	s.Stop()
	s.Start()
	d, _ := s.issue("readonly")
	s.revoke(s.session, c.Lease)
	s.revoke(s.session, d.Lease)
}

func TestIdleConnectionIsGivenBackAndOpenedAgain(t *testing.T) {
	s := openShop(t)
	session := newSession(s.session.target, s.settings())
	session.login.Idle = 100 * time.Millisecond
	c, err := session.Issue(within(t, 5*time.Second), ask("readonly"))
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		var n int
		s.QueryRow("shop", &n, "select count(*) from pg_stat_activity where application_name = $1", c.Lease.Scope[scopeMaker])
		return n
	}
	if n := count(); n != 1 {
		t.Fatalf("%d connections in use", n)
	}
	deadline := time.Now().Add(3 * time.Second)
	for count() != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the connection is kept")
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.revoke(session, c.Lease)
}

func TestClosedSessionSaysSo(t *testing.T) {
	s := openShop(t)
	if proof, err := s.session.Close(context.Background()); proof != providers.Proven || err != nil {
		t.Errorf("closing: %v, %v", proof, err)
	}
	if _, err := s.session.Issue(within(t, time.Second), ask("readonly")); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("issuing: %v", err)
	}
}

func TestFailedLoginSaysWhatToDoAndNoSecret(t *testing.T) {
	s := openShop(t)
	wrong := "wrong" + s.Password
	tests := []struct {
		name, url, want string
		refused         bool
	}{
		{"wrong password", s.URL("postgres", wrong, "shop"), "check the administrator's login in " + urlVariable, true},
		{"unknown user", s.URL("nobody", wrong, "shop"), "check the administrator's login", true},
		{"unknown database", s.AdminURL("nowhere"), "check PGDATABASE", true},
		{"nobody listens", strings.Replace(s.AdminURL("shop"), fmt.Sprint(s.Port), "1", 1), "connection refused", false},
		{"encryption the server does not have", strings.Replace(s.AdminURL("shop"), "disable", "require", 1), "TLS", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.env[urlVariable] = test.url
			_, err := Provider{}.Open(within(t, 5*time.Second), s.settings())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error: %v\nwant: …%s…", err, test.want)
			}
			if errors.Is(err, providers.ErrRefused) != test.refused {
				t.Errorf("refused: %t, want %t", !test.refused, test.refused)
			}
			if !strings.HasPrefix(err.Error(), "postgres: ") || strings.Contains(err.Error(), ": postgres: ") {
				t.Errorf("the provider is named more than once, or never: %v", err)
			}
			noSecret(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err), s.Password, wrong)
		})
	}
}
