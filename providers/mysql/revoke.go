package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Revoke ends a user: nobody can log in with it any more, its sessions are gone, and mysql.user has it no longer. It is safe to repeat and
// to run in two processes at once, and needs of the lease only what an intent holds.
//
// In the ordinary case, a user of this session that has no session open, it takes one round trip.
func (s *Session) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	doing := "revoking user " + l.ID
	if err := s.checkLease(l); err != nil {
		return providers.Failed, failed(err, doing)
	}
	dropped := false
	err := again(ctx, func() error {
		if err := s.settle(ctx, l); err != nil {
			return err
		}
		return s.end(ctx, l, &dropped)
	})
	if err == nil {
		return providers.Proven, nil
	}
	if dropped {
		doing += " (it can log in no more)"
	}
	return providers.Failed, failed(err, doing)
}

// settle makes sure that no request to make the user is still under way: the session that makes it holds a lock until it ends. Where that is
// this very connection, the turn says that the request is over.
func (s *Session) settle(ctx context.Context, l providers.Lease) error {
	maker := l.Scope[scopeMaker]
	if maker == "" {
		return nil
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		making := false
		err := s.Use(ctx, func(c *connection) error {
			if maker == c.token {
				return nil
			}
			results, err := c.exec(ctx, "SELECT IS_USED_LOCK("+literal(maker)+")", row(1))
			if err != nil {
				return err
			}
			holder := results[0][0][0]
			if making = holder != ""; making {
				return c.kill(ctx, holder)
			}
			return nil
		})
		if err != nil || !making {
			return err
		}
		if !providers.Sleep(ctx, wait) {
			return fmt.Errorf("waiting for the session that makes it to end: %w", ctx.Err())
		}
	}
}

// end drops the user and ends its sessions, telling them again and again until the last is gone.
//
// A login that had passed the check of its password when the user was dropped shows no name yet; so while there are such, it looks again,
// for as long as a login takes.
func (s *Session) end(ctx context.Context, l providers.Lease, dropped *bool) error {
	const login = 300 * time.Millisecond
	began := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		var sessions []string
		arriving := false
		err := s.Use(ctx, func(c *connection) error {
			if err := c.mayEndSessions(); err != nil {
				return err
			}
			drop, err := c.drop(ctx, l)
			if err != nil {
				return err
			}
			*dropped = true
			for _, row := range drop {
				if row[1] == l.ID {
					sessions = append(sessions, row[0])
				} else {
					arriving = true
				}
			}
			for _, id := range sessions {
				if err := c.kill(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case len(sessions) == 0 && (!arriving || time.Since(began) > login):
			return nil
		}
		if !providers.Sleep(ctx, wait) {
			return fmt.Errorf("waiting for its sessions to end (connections %s; one that rolls back much takes its time): %w",
				strings.Join(sessions, ", "), ctx.Err())
		}
	}
}

// errStillThere should never be seen.
var errStillThere = errors.New("it was dropped, and yet mysql.user has it")

// drop drops the user and then, in statements of their own, proves it and lists its sessions, and logins that show no name yet. Whatever user
// comes to be by an event or a replica that lags behind is seen the next time.
func (c *connection) drop(ctx context.Context, l providers.Lease) (result, error) {
	look := `SELECT COUNT(*) FROM mysql.user WHERE User = ` + literal(l.ID) + `;
		SELECT ID, USER FROM information_schema.PROCESSLIST WHERE USER IN (` + literal(l.ID) + `, 'unauthenticated user')`
	// An administrator without the right to make events has made none, and may not drop any.
	event := "DROP EVENT IF EXISTS " + event(l) + "; "
	results, err := c.exec(ctx, "DROP USER IF EXISTS "+account(l)+"; "+event+look, row(1), rows(2))
	if number(err) == errDBAccessDenied {
		results, err = c.exec(ctx, "DROP USER IF EXISTS "+account(l)+"; "+look, row(1), rows(2))
	}
	if number(err) == errReferencedAsDefiner {
		return nil, c.bar(ctx, l, err)
	}
	if err != nil {
		return nil, err
	}
	if results[0][0][0] != "0" {
		return nil, errStillThere
	}
	return results[1], nil
}

// bar locks a user that cannot be dropped, and ends the sessions there are.
func (c *connection) bar(ctx context.Context, l providers.Lease, why error) error {
	results, err := c.exec(ctx, "ALTER USER "+account(l)+" ACCOUNT LOCK; SELECT ID FROM information_schema.PROCESSLIST WHERE USER = "+literal(l.ID), rows(1))
	if err != nil {
		return errors.Join(spoken{why}, err)
	}
	for _, row := range results[0] {
		if err := c.kill(ctx, row[0]); err != nil {
			return errors.Join(spoken{why}, err)
		}
	}
	return fmt.Errorf("it is locked, and its sessions are told to end; but it cannot be dropped: %w", spoken{why})
}

// kill tells a session to end; one that has ended already is no error.
func (c *connection) kill(ctx context.Context, id string) error {
	_, err := c.exec(ctx, "KILL "+id)
	if number(err) == errUnknownThread {
		return nil
	}
	return err
}
