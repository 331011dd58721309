package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/providers"
)

// A connection is one login. It is for one goroutine at a time.
type connection struct {
	pg    *pgconn.PgConn
	token string // its application_name, which no other connection ever has
	count func()
}

// connect logs in to the database. A server that is full or still starting is asked again while the context lets it: two hundred jobs
// that begin together must not fail for the hundred connections a server has by default.
func (s *Session) connect(ctx context.Context, database string) (*connection, error) {
	token := applicationName(s.settings.Run)
	doing := fmt.Sprintf("logging in to %s, database %s, as %s", s.target.server(), database, s.target.Settings["user"])
	config, err := s.target.config(database, token)
	if err != nil {
		return nil, providers.Refused(failf(err, "%s", doing))
	}
	var pg *pgconn.PgConn
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		s.settings.CountRequest()
		pg, err = pgconn.ConnectConfig(ctx, config)
		if code := sqlstate(err); code != codeTooManyConnections && code != codeCannotConnectNow {
			break
		}
		if !providers.Sleep(ctx, wait/2+rand.N(wait)) {
			break
		}
	}
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // pgx's own account of what it connects to repeats ours
			err = inner
		}
		return nil, explain(doing, err)
	}
	return &connection{pg: pg, token: token, count: s.settings.CountRequest}, nil
}

// applicationName names the run for who looks at pg_stat_activity, and tells one connection from every other for all time, where a
// process number would be used again.
func applicationName(run string) string {
	return "with-creds " + providers.LowerName(run, 24) + " " + providers.LowerText(16)
}

// preamble makes statements mean the same in every session. The administrator's role, the database and the connection's options may each
// say otherwise, and SET outranks them all. It goes with each request, for it costs no round trip, and what a failed transaction had set is undone.
var preamble = []string{
	"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", // a statement sees what was committed before it
	"SET search_path TO pg_catalog",                  // names are the server's own objects, not somebody's in the schema public
	"SET datestyle TO ISO",                           // VALID UNTIL takes text; in other styles a time zone is an abbreviation, which is read back as another's
	"SET timezone TO UTC",
	"SET statement_timeout TO 0", // the context says how long a request may take
	"SET lock_timeout TO 0",
}

// errShape is said of a server that no statement can be told from its answer.
var errShape = errors.New("the server's answer does not fit the question: it is no PostgreSQL, or a hostile one")

// exec sends statements in one round trip and returns their answers. Those up to a COMMIT, or all, are one transaction. Each statement's answer has so many
// columns, 0 where it has no rows. Other answers are an error, and what was asked for may have been done.
func (c *connection) exec(ctx context.Context, sql string, columns ...int) ([]*pgconn.Result, error) {
	results, err := c.execAlone(ctx, strings.Join(append(slices.Clone(preamble), sql), "; "))
	if err != nil {
		return nil, err
	}
	if len(results) != len(preamble)+len(columns) {
		return nil, c.unfit()
	}
	results = results[len(preamble):]
	for i, n := range columns {
		if len(results[i].FieldDescriptions) != n {
			return nil, c.unfit()
		}
	}
	return results, nil
}

// unfit gives the connection up: what comes next on it may be the answer to something else.
func (c *connection) unfit() error {
	c.Close()
	return errShape
}

// execAlone sends a statement as it is, for the few that refuse company.
func (c *connection) execAlone(ctx context.Context, sql string) ([]*pgconn.Result, error) {
	c.count()
	var results []*pgconn.Result
	reader := c.pg.Exec(ctx, sql)
	for reader.NextResult() {
		fields := slices.Clone(reader.ResultReader().FieldDescriptions()) // Read knows them by the first row alone
		result := reader.ResultReader().Read()
		result.FieldDescriptions = fields
		results = append(results, result)
	}
	err := reader.Close()
	if err != nil && !c.pg.IsClosed() && c.pg.TxStatus() != 'I' {
		if _, rollback := c.pg.Exec(ctx, "ROLLBACK").ReadAll(); rollback != nil {
			c.Close()
		}
	}
	return results, err
}

// superuser reports whether the administrator is one; the server says so at login.
func (c *connection) superuser() bool { return c.pg.ParameterStatus("is_superuser") == "on" }

// majorVersion is the server's, 15 for "15.18 (Debian …)"; 0 when it is not a number.
func (c *connection) majorVersion() int {
	version := 0
	for _, digit := range c.pg.ParameterStatus("server_version") {
		if digit < '0' || digit > '9' {
			break
		}
		version = version*10 + int(digit-'0')
	}
	return version
}

// Closed reports whether the connection is known to be broken.
func (c *connection) Closed() bool { return c.pg.IsClosed() }

// Dead reports whether the server has hung up meanwhile. The look costs a millisecond, so it is saved in a burst of calls.
func (c *connection) Dead(unused time.Duration) bool {
	if c.pg.IsClosed() || unused < 20*time.Millisecond {
		return c.pg.IsClosed()
	}
	return c.pg.CheckConn() != nil //nolint:staticcheck // Ping, its successor, is a round trip; a broken connection that this misses is noticed by the call itself
}

// Close says goodbye and closes the connection.
func (c *connection) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_ = c.pg.Close(ctx) // there is nothing to do about it, and the server drops it anyway
}
