package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Renew puts the event off that ends the user, but never past the lease's MaxExpire. It is refused for a user that the server does not
// end by itself: there is nothing to put off.
func (s *Session) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	doing := "renewing user " + l.ID
	if err := s.checkLease(l); err != nil {
		return l, failed(err, doing)
	}
	var sent time.Time
	var life time.Duration
	err := again(ctx, func() error {
		return s.Use(ctx, func(c *connection) error {
			sent, life = time.Now(), increment
			if !l.MaxExpire.IsZero() {
				life = min(life, l.MaxExpire.Sub(sent))
			}
			if life <= 0 {
				return providers.Refused(errors.New("it has reached its ttl"))
			}
			_, err := c.exec(ctx, "ALTER EVENT "+event(l)+" ON SCHEDULE "+at(life))
			if number(err) == errEventMissing {
				return providers.Refused(fmt.Errorf("the server ends it no more: the user was ended already, or never had an end (%w)", spoken{err}))
			}
			return err
		})
	})
	if err != nil {
		return l, failed(err, doing)
	}
	l.Expires = sent.Add(life)
	l.Renewable = l.MaxExpire.IsZero() || sent.Add(increment).Before(l.MaxExpire)
	return l, nil
}
