package mysql

import (
	"context"
	"fmt"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// Issue looks at the role and makes a user: two round trips.
//
// Where the server can end the user by itself, it ends with the leash unless renewed; ttl is the end that no renewal passes. Without a
// leash it ends after ttl, or after an hour. Elsewhere the lease has no end, and a warning says so.
func (s *Session) Issue(ctx context.Context, r providers.Request) (providers.Credential, error) {
	q, err := parseRequest(r)
	if err != nil {
		return providers.Credential{}, providers.Refused(failed(err, ""))
	}
	doing := "making a user with role " + q.role
	password := sqluser.NewPassword()
	var lease providers.Lease
	var warnings []string
	err = again(ctx, func() error {
		lease, warnings, err = s.makeUser(ctx, &q, password)
		return err
	})
	if err != nil {
		return providers.Credential{}, failed(err, doing)
	}
	return providers.Credential{Fields: s.fields(lease.ID, password, q.database), Lease: lease, Warnings: warnings}, nil
}

// makeUser makes a user of a new name. A connection that broke may have made it all the same: the intent stays, and is revoked with the rest.
func (s *Session) makeUser(ctx context.Context, q *request, password string) (l providers.Lease, warnings []string, err error) {
	l = providers.Lease{Provider: Name, ID: newUserName(q.role, s.settings.Run)}
	err = s.Use(ctx, func(c *connection) error {
		if q.database == "" {
			q.database = c.database
		}
		if err := c.mayEndSessions(); err != nil {
			return err
		}
		if warnings, err = c.judge(ctx, *q); err != nil {
			return err
		}
		create, err := c.createUser(*q, l.ID, password)
		if err != nil {
			return providers.Refused(err)
		}
		l.Scope = s.scope(*q, c)
		if err := s.settings.Intending(l); err != nil {
			return notSent{fmt.Errorf("noting user %s before making it: %w", l.ID, err)}
		}
		ends, why, err := s.make(ctx, c, &l, *q, create)
		if !ends && err == nil {
			warnings = append(warnings, why)
		}
		if brokeOff(err) {
			return providers.Unanswered(spoken{err})
		}
		return err
	})
	return l, warnings, err
}

// make sends the statements, the event that ends the user first. It reports whether the user ends by itself, and if not, why.
func (s *Session) make(ctx context.Context, c *connection, l *providers.Lease, q request, create string) (ends bool, why string, err error) {
	const consequence = ": should this machine vanish, it lives on until `with-creds sweep` or an administrator ends it"
	life := sqluser.Life(s.settings.Leash, q.ttl)
	if c.scheduler {
		l.Issued = time.Now()
		_, err := c.exec(ctx, createEvent(*l, life)+";\n"+create)
		switch number(err) {
		case errDBAccessDenied:
			why = "the administrator may not make events, so the server does not end the user by itself (GRANT EVENT ON mysql.* to it)"
		default:
			l.Expires, l.Renewable = l.Issued.Add(life), q.ttl == 0 || life < q.ttl
			if q.ttl > 0 {
				l.MaxExpire = l.Issued.Add(q.ttl)
			}
			return true, "", err
		}
	} else {
		why = "the server's event scheduler is off, so it does not end the user by itself (SET GLOBAL event_scheduler = ON, and the same in its configuration)"
	}
	if q.ttl > 0 {
		return false, "", providers.Refused(fmt.Errorf("ttl=%s cannot be kept: %s", q.ttl, why))
	}
	l.Issued = time.Now()
	_, err = c.exec(ctx, create)
	return false, why + consequence, err
}

// createUser are the statements that make the user.
func (c *connection) createUser(q request, name, password string) (string, error) {
	way := q.auth
	switch {
	case way == "" && c.mariadb:
		way = authNative
	case way == "":
		way = authCachingSHA2
	case c.mariadb == (way == authCachingSHA2):
		return "", fmt.Errorf("auth=%s is the other server's: MariaDB has native and ed25519, MySQL has caching_sha2", way)
	}
	identified, err := way.identified(password)
	if err != nil {
		return "", err
	}
	user := literal(name) + "@" + literal(q.host)
	if c.mariadb {
		role := ident(q.role)
		return "CREATE USER " + user + " " + identified + ";\nGRANT " + role + " TO " + user + ";\nSET DEFAULT ROLE " + role + " FOR " + user, nil
	}
	role := literal(q.role) + "@'%'"
	return "CREATE USER " + user + " " + identified + ";\nGRANT " + role + " TO " + user + ";\nALTER USER " + user + " DEFAULT ROLE " + role, nil
}
