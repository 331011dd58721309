package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Renew moves VALID UNTIL, by the server's clock, but never past the lease's MaxExpire. It bounds when the password can be used to
// log in; a session already open is ended by Revoke alone.
func (s *Session) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	if err := s.checkLease(l); err != nil {
		return l, err
	}
	doing := "renewing role " + l.ID
	var left time.Duration
	var sent time.Time
	err := again(ctx, func() error {
		return s.Use(ctx, func(c *connection) error {
			sent = time.Now()
			life := increment
			if !l.MaxExpire.IsZero() {
				life = min(life, l.MaxExpire.Sub(sent))
			}
			if life <= 0 {
				return providers.Refused(failf(nil, "%s: it has reached its ttl", doing))
			}
			results, err := c.exec(ctx, validUntil(l.ID, life), 0, 1)
			if err != nil {
				return err
			}
			ms, err := strconv.ParseInt(text(results[1], 0, 0), 10, 64)
			if err != nil {
				return failf(err, "the server did not report the new end")
			}
			left = time.Duration(ms) * time.Millisecond
			return nil
		})
	})
	if errors.Is(err, providers.ErrRefused) {
		return l, err
	}
	if sqlstate(err) == codeUndefinedObject { // somebody has dropped it
		return l, providers.Gone(explain(doing, err))
	}
	if err != nil {
		return l, explain(doing, err)
	}
	l.Expires = sent.Add(left)
	l.Renewable = l.MaxExpire.IsZero() || sent.Add(increment).Before(l.MaxExpire)
	return l, nil
}

func validUntil(role string, life time.Duration) string {
	body := `begin
	execute format('alter role ` + ident(role) + ` valid until %L', clock_timestamp() + ` + interval(life) + `);
end`
	return "DO " + literal(body) + "; select (extract(epoch from rolvaliduntil - clock_timestamp()) * 1000)::bigint from pg_roles where rolname = " +
		literal(role)
}
