package postgres

import (
	"context"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// A Session is one administrator's login, on which concurrent calls take turns.
type Session struct {
	*sqluser.Login[*connection]
	target   target
	settings providers.Settings
}

var _ providers.Session = (*Session)(nil)

func newSession(t target, s providers.Settings) *Session {
	session := &Session{target: t, settings: s}
	session.Login = sqluser.NewLogin(t.server(), func(ctx context.Context) (*connection, error) {
		return session.connect(ctx, t.Settings["dbname"])
	})
	return session
}

// Resume makes the session anew from a Handoff. It connects at the first call that needs the server.
func (Provider) Resume(h providers.Handoff, s providers.Settings) (providers.Session, error) {
	var t target
	if err := sqluser.Resume(h, &t); err != nil {
		return nil, failf(err, "resuming")
	}
	return newSession(t, s), nil
}

// Handoff holds the administrator's login and the TLS files' content.
func (s *Session) Handoff() providers.Handoff {
	return sqluser.Handoff(Name, s.target.server(), s.target)
}

// again repeats what can be repeated without harm (sqluser.Again).
func again(ctx context.Context, f func() error) error { return sqluser.Again(ctx, contended, f) }
