package postgres

import (
	"context"
	"encoding/json"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// A Session is one administrator's login, on which concurrent calls take turns.
type Session struct {
	target   target
	settings providers.Settings
	login    *sqluser.Login[*connection]
}

var _ providers.Session = (*Session)(nil)

func newSession(t target, s providers.Settings) *Session {
	session := &Session{target: t, settings: s}
	session.login = sqluser.NewLogin(t.server(), func(ctx context.Context) (*connection, error) {
		return session.connect(ctx, t.Settings["dbname"])
	})
	return session
}

// Resume makes the session anew from a Handoff. It connects at the first call that needs the server.
func (Provider) Resume(h providers.Handoff, s providers.Settings) (providers.Session, error) {
	var t target
	if err := json.Unmarshal(h.Data, &t); err != nil {
		// Not the error itself: it may quote the data.
		return nil, failf(nil, "the handed over session is not readable")
	}
	return newSession(t, s), nil
}

// Handoff holds the administrator's login and the TLS files' content.
func (s *Session) Handoff() providers.Handoff {
	data, err := json.Marshal(s.target)
	if err != nil {
		panic("postgres: a target of strings does not marshal: " + err.Error())
	}
	return providers.Handoff{Provider: Name, Origin: s.target.server(), Data: data}
}

// Own is nil: the administrator's login is not the run's to end.
func (s *Session) Own() *providers.Lease { return nil }

// Close closes the connection. Nothing is left to prove.
func (s *Session) Close(ctx context.Context) (providers.Proof, error) {
	s.login.Close(ctx)
	return providers.Proven, nil
}

// use runs f with the connection, opening it first if need be. Errors of f come back as they are; those of connecting, explained.
func (s *Session) use(ctx context.Context, f func(*connection) error) error {
	return s.login.Use(ctx, f)
}

// again repeats what can be repeated without harm (sqluser.Again).
func again(ctx context.Context, f func() error) error { return sqluser.Again(ctx, contended, f) }
