package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Expired lists the roles that a machine which vanished left on the server: made by this package, by name and by comment, and past
// their VALID UNTIL for longer than past, which must exceed the time a run that is still alive may be late with a renewal (minutes,
// not seconds). Each is a lease that Revoke ends. It takes one round trip and changes nothing.
func (s *Session) Expired(ctx context.Context, past time.Duration) ([]providers.Lease, error) {
	var leases []providers.Lease
	err := again(ctx, func() error {
		leases = nil
		return s.use(ctx, func(c *connection) error {
			sent := time.Now()
			results, err := c.exec(ctx, `select rolname, (extract(epoch from clock_timestamp() - rolvaliduntil) * 1000)::bigint, shobj_description(oid, 'pg_authid')
				from pg_roles where starts_with(rolname, `+literal(rolePrefix)+`) and isfinite(rolvaliduntil)
				and rolvaliduntil < clock_timestamp() - `+interval(past)+" order by rolvaliduntil")
			if err != nil {
				return err
			}
			for row := range results[0].Rows {
				name := text(results[0], row, 0)
				group, ours := groupOfComment(text(results[0], row, 2))
				if !ours || !roleName.MatchString(name) {
					continue
				}
				ago, err := time.ParseDuration(text(results[0], row, 1) + "ms")
				if err != nil {
					return fmt.Errorf("the end of role %s: %w", name, err)
				}
				leases = append(leases, providers.Lease{
					Provider: Name, ID: name, Expires: sent.Add(-ago),
					Scope: map[string]string{scopeGroup: group, scopeServer: s.target.server()},
				})
			}
			return nil
		})
	})
	if err != nil {
		return nil, explain("looking for expired roles", err)
	}
	return leases, nil
}
