package mysql

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

var (
	_ providers.Finder  = (*Session)(nil)
	_ providers.Expirer = (*Session)(nil)
)

// Expired lists the users whose end passed longer than past ago and whom the server did not end, because its event scheduler was turned off meanwhile. Users without
// an end are not among them: what they were made for may be alive.
func (s *Session) Expired(ctx context.Context, past time.Duration) ([]providers.Lease, error) {
	all, err := s.find(ctx, "TRUE")
	if err != nil {
		return nil, failed(err, "looking for expired users")
	}
	var leases []providers.Lease
	for _, l := range all {
		if !l.Expires.IsZero() && time.Since(l.Expires) > past {
			leases = append(leases, l)
		}
	}
	return leases, nil
}

// Find lists the users of this package's making, all or those with a role, also those of runs that are alive.
func (s *Session) Find(ctx context.Context, role string) ([]providers.Lease, error) {
	all, err := s.find(ctx, "TRUE")
	if err != nil {
		return nil, failed(err, "looking for users of with-creds")
	}
	return sqluser.OfGroup(all, role), nil
}

// Lookup finds one user of this package's making; any other is none.
func (s *Session) Lookup(ctx context.Context, user string) (providers.Lease, error) {
	found, err := s.find(ctx, "BINARY u.User = BINARY "+literal(user))
	if err != nil {
		return providers.Lease{}, failed(err, "looking for user "+user)
	}
	return sqluser.First(found), nil
}

// aUser is what newUserName makes: the beginnings of role and run, and what is random. Servers have no comment on a user that every version knows.
var aUser = regexp.MustCompile(`^wc_[a-z0-9_]{1,8}_([a-z0-9_]{1,8})_[a-z2-7]{11}$`)

// find lists the users of this package's making of which the condition holds, in the order of their names. It takes one round trip. A user's end is that of the event
// that ends it.
func (s *Session) find(ctx context.Context, condition string) (leases []providers.Lease, err error) {
	err = again(ctx, func() error {
		leases = nil
		return s.Use(ctx, func(c *connection) error {
			roles := "SELECT GROUP_CONCAT(m.Role) FROM mysql.roles_mapping m WHERE m.User = u.User AND m.Host = u.Host"
			if !c.mariadb {
				roles = "SELECT GROUP_CONCAT(m.FROM_USER) FROM mysql.role_edges m WHERE m.TO_USER = u.User AND m.TO_HOST = u.Host"
			}
			asked := time.Now()
			results, err := c.exec(ctx, `SELECT u.User, u.Host, (`+roles+`), TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), e.EXECUTE_AT)
				FROM mysql.user u LEFT JOIN information_schema.EVENTS e ON e.EVENT_SCHEMA = 'mysql' AND BINARY e.EVENT_NAME = BINARY u.User
				WHERE LEFT(u.User, 3) = 'wc_' AND `+condition+` ORDER BY 1, 2`, rows(4))
			if err != nil {
				return err
			}
			for _, row := range results[0] {
				parts := aUser.FindStringSubmatch(row[0])
				if parts == nil {
					continue
				}
				l := providers.Lease{Provider: Name, ID: row[0], Scope: map[string]string{
					scopeRole: row[2], scopeHost: row[1], scopeServer: s.target.server(), providers.ScopeRun: parts[1],
				}}
				if row[3] != "" {
					left, err := strconv.ParseInt(row[3], 10, 64)
					if err != nil {
						return fmt.Errorf("the end of user %s: %w", row[0], err)
					}
					l.Renewable, l.Expires = true, asked.Add(time.Duration(left)*time.Second)
				}
				leases = append(leases, l)
			}
			return nil
		})
	})
	return leases, err
}
