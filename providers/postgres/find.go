package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

var (
	_ providers.Finder  = (*Session)(nil)
	_ providers.Expirer = (*Session)(nil)
)

// Expired lists the roles that a machine which vanished left on the server: made by this package, by name and by comment, and past
// their VALID UNTIL for longer than past, which must exceed the time a run that is still alive may be late with a renewal (minutes,
// not seconds). Each is a lease that Revoke ends. It takes one round trip and changes nothing.
func (s *Session) Expired(ctx context.Context, past time.Duration) ([]providers.Lease, error) {
	leases, err := s.find(ctx, "isfinite(rolvaliduntil) and rolvaliduntil < clock_timestamp() - "+interval(past))
	return leases, explain("looking for expired roles", err)
}

// Find lists the roles of this package's making, all or those of a group, also those of runs that are alive.
func (s *Session) Find(ctx context.Context, group string) ([]providers.Lease, error) {
	all, err := s.find(ctx, "true")
	if err != nil {
		return nil, explain("looking for roles of with-creds", err)
	}
	return sqluser.OfGroup(all, group), nil
}

// Lookup finds one role of this package's making; any other role is none.
func (s *Session) Lookup(ctx context.Context, role string) (providers.Lease, error) {
	found, err := s.find(ctx, "rolname = "+literal(role))
	if err != nil {
		return providers.Lease{}, explain("looking for role "+role, err)
	}
	return sqluser.First(found), nil
}

// find lists the roles of this package's making of which the condition holds, in the order of their names. The comment tells them from others that happen to
// be called like that.
func (s *Session) find(ctx context.Context, condition string) (leases []providers.Lease, err error) {
	err = again(ctx, func() error {
		leases = nil
		return s.Use(ctx, func(c *connection) error {
			asked := time.Now()
			results, err := c.exec(ctx, `select rolname, shobj_description(oid, 'pg_authid'),
				case when isfinite(rolvaliduntil) then (extract(epoch from rolvaliduntil - clock_timestamp()) * 1000)::bigint end
				from pg_roles where starts_with(rolname, `+literal(rolePrefix)+") and "+condition+" order by 1", 3)
			if err != nil {
				return err
			}
			for row := range results[0].Rows {
				name := text(results[0], row, 0)
				run, group, ours := readComment(text(results[0], row, 1))
				if !ours || !roleName.MatchString(name) {
					continue
				}
				l := providers.Lease{
					Provider: Name, ID: name, Renewable: true,
					Scope: map[string]string{scopeGroup: group, scopeServer: s.target.server(), providers.ScopeRun: run},
				}
				if ms := text(results[0], row, 2); ms != "" {
					left, err := strconv.ParseInt(ms, 10, 64)
					if err != nil {
						return fmt.Errorf("the end of role %s: %w", name, err)
					}
					l.Expires = asked.Add(time.Duration(left) * time.Millisecond)
				}
				leases = append(leases, l)
			}
			return nil
		})
	})
	return leases, err
}
