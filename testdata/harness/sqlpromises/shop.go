//go:build !windows

package sqlpromises

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A Kind is a provider, and what its tests must know of it.
type Kind struct {
	Provider          providers.Provider
	Name, URLVariable string // its own, and the variable with the administrator's URL
	// RevokeWaits says that what holds up the making of a user (Database.Lock) holds up its end too.
	RevokeWaits bool
	// Unwanted is for a Wire: connections that a process which was killed would not make.
	Unwanted func(head []byte) bool
}

// A Database is a server with a small database called shop and the roles readonly and readwrite, and what differs between servers.
type Database interface {
	Stop()
	Start()
	Crash()
	Pause()
	Continue()
	Address() string
	AdminURL(database string) string

	// Run runs statements as the administrator, in shop.
	Run(statements string)
	// Users lists the users whose names begin so.
	Users(prefix string) []string
	// Remains says what the server still has of a user that is gone from Users; "" when there is nothing.
	Remains(user string) string
	// Left is how long the server lets the user live.
	Left(user string) time.Duration
	// Work does as that user, of the role readwrite, what a command would. What it returns looks, after the user's end, whether the work is kept.
	Work(user, password string) (kept func())
	// Deputize makes the shop's session that of an administrator with no more rights than the documentation asks for.
	Deputize(name string)

	// Lock takes a lock for which the making of a user waits.
	Lock() (unlock func())
	// Waiting reports whether the session that makes a lease's user waits in the server to make it.
	Waiting(l providers.Lease) bool
	// Connected reports whether that session is there.
	Connected(l providers.Lease) bool
	// Impatient is a session that gives its connection back when it was not used for so long.
	Impatient(idle time.Duration) Session
}

// A Session is what each of the providers opens.
type Session interface {
	providers.Session
	providers.Finder
	providers.Expirer
	providers.Examiner
}

// A Shop is a database, and a run's session with it. Its methods may be called concurrently, except Open.
type Shop struct {
	T       *testing.T
	Env     map[string]string // of the run
	Session Session
	Run     string       // its id
	Sent    atomic.Int64 // round trips

	kind Kind
	db   Database
	runs atomic.Int64 // others, so far

	mu      sync.Mutex
	intents []providers.Lease
	warned  []string
}

// Open opens a run's session with a database, as its administrator.
func Open(t *testing.T, kind Kind, db Database) *Shop {
	t.Helper()
	s := &Shop{T: t, kind: kind, db: db, Run: "r7k2", Env: map[string]string{kind.URLVariable: db.AdminURL("shop")}}
	s.Session = s.Open(s.Settings())
	return s
}

// Settings are a run's, with a leash of five minutes.
func (s *Shop) Settings() providers.Settings {
	return providers.Settings{
		Lookup: func(name string) (string, bool) { v, ok := s.Env[name]; return v, ok },
		Run:    s.Run, Leash: 5 * time.Minute, Requests: &s.Sent,
		Intend: func(l providers.Lease) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.intents = append(s.intents, l)
			return nil
		},
		Warn: func(format string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.warned = append(s.warned, fmt.Sprintf(format, args...))
		},
	}
}

// Intents are those told since it was last asked, by sessions with the shop's settings.
func (s *Shop) Intents() []providers.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.intents
	s.intents = nil
	return told
}

// Warned is what was warned of since it was last asked, a line each.
func (s *Shop) Warned() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := strings.Join(s.warned, "\n")
	s.warned = nil
	return said
}

// Open opens a session that the test's end closes.
func (s *Shop) Open(settings providers.Settings) Session {
	s.T.Helper()
	session, err := s.kind.Provider.Open(harness.Within(s.T, time.Minute), settings)
	if err != nil {
		s.T.Fatal(err)
	}
	return s.closed(session)
}

// Guard is what another process makes of a session, knowing only its handoff.
func (s *Shop) Guard(of providers.Session) Session {
	s.T.Helper()
	session, err := s.kind.Provider.Resume(of.Handoff(), providers.Settings{Run: s.Run})
	if err != nil {
		s.T.Fatal(err)
	}
	return s.closed(session)
}

func (s *Shop) closed(session providers.Session) Session {
	s.T.Cleanup(func() { session.Close(context.Background()) })
	return session.(Session)
}

// Ask is a request to a provider for a user of the role, with parameters written as key=value.
func Ask(provider, role string, params ...string) providers.Request {
	r := providers.Request{Provider: provider, Path: role}
	for _, p := range params {
		key, value, _ := strings.Cut(p, "=")
		r.Params = append(r.Params, providers.Param{Key: key, Value: value})
	}
	return r
}

func (s *Shop) ask(role string, params ...string) providers.Request {
	return Ask(s.kind.Name, role, params...)
}

// Issue makes a credential and returns it with its fields by name.
func (s *Shop) Issue(role string, params ...string) (providers.Credential, map[string]string) {
	s.T.Helper()
	return s.IssueBy(s.Session, role, params...)
}

// IssueBy is Issue by another session than the shop's.
func (s *Shop) IssueBy(session providers.Session, role string, params ...string) (providers.Credential, map[string]string) {
	s.T.Helper()
	c, err := session.Issue(harness.Within(s.T, time.Minute), s.ask(role, params...))
	if err != nil {
		s.T.Fatal(err)
	}
	always, sometimes := s.kind.Provider.(providers.Foreseer).Fields(s.ask(role, params...))
	if fixed := slices.DeleteFunc(c.FieldNames(), func(name string) bool { return slices.Contains(sometimes, name) }); !slices.Equal(fixed, always) {
		s.T.Errorf("it has the fields %q; foreseen were %q, and perhaps %q", c.FieldNames(), always, sometimes)
	}
	fields := map[string]string{}
	for _, f := range c.Fields {
		fields[f.Name] = f.Value
	}
	return c, fields
}

// Revoke revokes and checks that what is proven is so.
func (s *Shop) Revoke(session providers.Session, l providers.Lease) {
	s.T.Helper()
	proof, err := session.Revoke(harness.Within(s.T, time.Minute), l)
	if err != nil || proof != providers.Proven {
		s.T.Fatalf("revoking: %v, %v", proof, err)
	}
	if slices.Contains(s.db.Users("wc_"), l.ID) {
		s.T.Fatalf("user %s is said to be gone, and the server has it", l.ID)
	}
	if remains := s.db.Remains(l.ID); remains != "" {
		s.T.Fatalf("of user %s there remains: %s", l.ID, remains)
	}
}

// NoUsers checks that none of with-creds' users is on the server.
func (s *Shop) NoUsers() {
	s.T.Helper()
	if users := s.db.Users("wc_"); len(users) != 0 {
		s.T.Errorf("left: %q", users)
	}
}

// over opens another run's session over a wire. An error leaves the run without one.
func (s *Shop) over(f harness.Fault, patience time.Duration) (w *harness.Wire, run *Shop, err error) {
	s.T.Helper()
	f.Unwanted = s.kind.Unwanted
	w = harness.NewWire(s.T, s.db.Address(), f)
	run = &Shop{T: s.T, kind: s.kind, db: s.db, Run: fmt.Sprint("r", s.runs.Add(1)), Env: map[string]string{s.kind.URLVariable: w.Through(s.db.AdminURL("shop"))}}
	opened, err := s.kind.Provider.Open(harness.Within(s.T, patience), run.Settings())
	if err == nil {
		run.Session = run.closed(opened)
	}
	return w, run, err
}

// made lists the users with the role that the run has made.
func (s *Shop) made(role string) []string { return s.db.Users("wc_" + role + "_" + s.Run + "_") }

// Over opens a run's session over a wire that records what passes.
func (s *Shop) Over() (*harness.Wire, Session) {
	s.T.Helper()
	w, run, err := s.over(harness.NoFault, time.Minute)
	if err != nil {
		s.T.Fatal(err)
	}
	return w, run.Session
}
