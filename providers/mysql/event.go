package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// createEvent makes the event that ends a user when it is not renewed any more: it drops the user and then ends its sessions. The server
// removes the event when it has been carried out. A session that vanished between the list and KILL is passed over.
func createEvent(l providers.Lease, life time.Duration) string {
	return `CREATE EVENT ` + event(l) + ` ON SCHEDULE ` + at(life) + ` COMMENT 'with-creds ends the user that the run did not' DO
BEGIN
	DECLARE finished INT DEFAULT 0;
	DECLARE session BIGINT UNSIGNED;
	DECLARE sessions CURSOR FOR SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ` + literal(l.ID) + `;
	DECLARE CONTINUE HANDLER FOR NOT FOUND SET finished = 1;
	DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
	DROP USER IF EXISTS ` + account(l) + `;
	OPEN sessions;
	ended: LOOP
		FETCH sessions INTO session;
		IF finished THEN
			LEAVE ended;
		END IF;
		KILL session;
	END LOOP;
	CLOSE sessions;
END`
}

// at is the clause for a time so far from now. The server cuts times to the second, so one is added.
func at(life time.Duration) string {
	seconds := int64((life+time.Second-1)/time.Second) + 1
	return "AT CURRENT_TIMESTAMP + INTERVAL " + strconv.FormatInt(seconds, 10) + " SECOND"
}

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
		return s.use(ctx, func(c *connection) error {
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
