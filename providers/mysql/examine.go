package mysql

import (
	"context"
	"fmt"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Examiner = (*Session)(nil)

// Examine asks the server about itself, the administrator and each role: one round trip, and one for each role.
func (s *Session) Examine(ctx context.Context, requests []providers.Request) []providers.Finding {
	e := &examination{session: s}
	if err := again(ctx, func() error {
		e.found = nil
		return s.Use(ctx, func(c *connection) error { return e.server(ctx, c) })
	}); err != nil {
		says, fix := providers.Advice(failed(err, "asking the server about itself"))
		e.add(providers.Fail, "", fix, "%s", says)
		return e.found
	}
	seen := map[string]bool{}
	for _, r := range requests {
		q, err := parseRequest(r)
		if err != nil || seen[q.role] {
			continue
		}
		seen[q.role] = true
		e.role(ctx, q)
	}
	return e.found
}

// An examination collects what is found.
type examination struct {
	session *Session
	found   []providers.Finding
}

func (e *examination) add(level providers.Level, promise, fix, format string, args ...any) {
	e.found = append(e.found, providers.Finding{Level: level, Promise: promise, Says: fmt.Sprintf(format, args...), Fix: fix})
}

// server is about the server, the way to it, and the administrator.
func (e *examination) server(ctx context.Context, c *connection) error {
	results, err := c.exec(ctx, `SELECT VERSION(), @@GLOBAL.read_only, CURRENT_USER();
		SHOW SESSION STATUS LIKE 'Ssl_cipher'`, row(3), rows(2))
	if err != nil {
		return err
	}
	about := results[0][0]
	version, readOnly, admin := about[0], about[1] == "1" || about[1] == "ON", about[2]
	if readOnly {
		e.add(providers.Fail, "", "name the primary", "%s at %s is read-only, as a replica is: no user can be made on it", version, e.session.target.server())
	} else {
		e.add(providers.OK, "", "", "%s answers", version)
	}
	if len(results[1]) == 1 && results[1][0][1] == "" && !e.session.target.local() {
		e.add(providers.Warn, "P3", "use ssl-mode=VERIFY_IDENTITY in "+urlVariable, "what is read and written crosses the network in clear, and whoever is on the way can change it (passwords cross it as proofs and hashes)")
	}
	if !c.may("*.*", "CREATE USER") {
		e.add(providers.Fail, "", "GRANT CREATE USER ON *.* TO the administrator", "the administrator %s may not make users", admin)
	}
	if err := c.mayEndSessions(); err != nil {
		e.add(providers.Fail, "P1", "GRANT PROCESS and CONNECTION ADMIN (MySQL: CONNECTION_ADMIN) ON *.* TO the administrator", "%v", err)
	}
	switch {
	case !c.scheduler:
		e.add(providers.Warn, "P2", "SET GLOBAL event_scheduler = ON, and the same in the server's configuration",
			"the server's event scheduler is off: it does not end users by itself, so there is no leash; after a power cut `with-creds sweep` must")
	case !c.may("*.*", "EVENT") && !c.may("`mysql`.*", "EVENT"):
		e.add(providers.Warn, "P2", "GRANT EVENT ON mysql.* TO the administrator",
			"the administrator may not make events, so the server does not end users by itself, and there is no leash; after a power cut `with-creds sweep` must")
	default:
		e.add(providers.OK, "P2", "", "the server ends a user that is not renewed any more, by an event")
	}
	return nil
}

// role is about one role that users are to have.
func (e *examination) role(ctx context.Context, q request) {
	var warnings []string
	err := again(ctx, func() error {
		return e.session.Use(ctx, func(c *connection) (err error) {
			warnings, err = c.judge(ctx, q)
			return err
		})
	})
	if err != nil {
		says, fix := providers.Advice(failed(err, "the role "+q.role))
		e.add(providers.Fail, "", fix, "%s", says)
		return
	}
	for _, w := range warnings {
		e.add(providers.Warn, "P2", "take that right from the role, or name a role without it", "%s", w)
	}
	e.add(providers.OK, "", "", "users with the role %s can be made; each is dropped at the end, and proven to be gone from mysql.user", q.role)
}
