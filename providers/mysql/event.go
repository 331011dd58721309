package mysql

import (
	"strconv"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// createEvent makes the event that ends a user when it is not renewed any more: it locks and drops the user and then ends its
// sessions. A user that cannot be dropped (on MySQL, because something names it as its DEFINER) stays locked. The server removes the event when it has been carried
// out. A session that vanished between the list and KILL is passed over.
func createEvent(l providers.Lease, life time.Duration) string {
	return `CREATE EVENT ` + event(l) + ` ON SCHEDULE ` + at(life) + ` COMMENT 'with-creds ends the user that the run did not' DO
BEGIN
	DECLARE finished INT DEFAULT 0;
	DECLARE session BIGINT UNSIGNED;
	DECLARE sessions CURSOR FOR SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ` + literal(l.ID) + `;
	DECLARE CONTINUE HANDLER FOR NOT FOUND SET finished = 1;
	DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
	ALTER USER IF EXISTS ` + account(l) + ` ACCOUNT LOCK;
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
