package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// A connection is one login. It is for one goroutine at a time.
type connection struct {
	driver driver.Conn
	token  string // the name of a lock it holds until it ends, which no other connection ever has
	count  func()
	broken bool

	id        string // the server's number for it
	mariadb   bool
	scheduler bool // event_scheduler is on
	database  string
	granted   map[string][]string // privileges the administrator has, by roles too, by what they are on: "*.*", "`mysql`.*"
}

// config is what the driver needs to connect.
func (t target) config() (*mysql.Config, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", t.server()
	if t.Socket != "" {
		c.Net = "unix"
	}
	c.User, c.Passwd, c.DBName = t.User, t.Password, t.Database
	c.MultiStatements = true
	c.Logger = &mysql.NopLogger{} // what goes wrong is in the errors
	c.ConnectionAttributes = "program_name:with-creds"
	dial := (&net.Dialer{}).DialContext
	if !t.local() {
		dial = noForeignKey(dial)
	}
	c.DialFunc = sqluser.Bounded(dial)
	c.AllowFallbackToPlaintext = t.TLS == tlsPreferred
	var err error
	c.TLS, err = t.tlsConfig()
	return c, err
}

// connect logs in. A server that is full is asked again while the context lets it: two hundred jobs that begin together must not fail for
// the 151 connections a server has by default.
func (s *Session) connect(ctx context.Context) (*connection, error) {
	doing := fmt.Sprintf("logging in to %s as %s", s.target.server(), s.target.User)
	config, err := s.target.config()
	if err != nil {
		return nil, providers.Refused(fmt.Errorf("%s: %w", doing, err))
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, providers.Refused(fmt.Errorf("%s: %w", doing, err))
	}
	c := &connection{token: lockName(s.settings.Run), count: s.settings.CountRequest}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		s.settings.CountRequest()
		c.driver, err = connector.Connect(ctx)
		if number(err) != errTooManyConnections || !providers.Sleep(ctx, wait/2+rand.N(wait)) {
			break
		}
	}
	if err == nil {
		if err = c.introduce(ctx); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return nil, notSent{fmt.Errorf("%s: %w", doing, spoken{err})}
	}
	return c, nil
}

// spoken has the server's own words where there are any.
type spoken struct{ error }

func (s spoken) Error() string { return words(s.error) }
func (s spoken) Unwrap() error { return s.error }

// notSent says so of an error.
type notSent struct{ error }

func (n notSent) Unwrap() error        { return n.error }
func (n notSent) Is(target error) bool { return target == errNotSent }

// lockName names the run for who looks at the locks, and tells one connection from every other for all time, where the server's number
// would be used again after a restart. At most 64 characters.
func lockName(run string) string {
	return "with-creds " + providers.LowerName(run, 24) + " " + providers.LowerText(16)
}

// sameEverywhere makes statements mean the same on every server, and their answers be whole, whatever its global settings are. UTC, because the end of
// an event is a time of day in the session's time zone. How long a request may take is for the context to say.
const sameEverywhere = `SET NAMES utf8mb4; SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', autocommit = 1, time_zone = '+00:00', sql_auto_is_null = 0, sql_quote_show_create = 1,
	sql_select_limit = 18446744073709551615, sql_big_selects = 1, group_concat_max_len = 1048576 /*M!, max_statement_time = 0 */ /*!80000, max_execution_time = 0 */;
`

// introduce takes the lock by which another process can find this session, and looks what the server and the administrator can do.
func (c *connection) introduce(ctx context.Context) error {
	results, err := c.exec(ctx, sameEverywhere+`
		SELECT GET_LOCK(`+literal(c.token)+`, 0), CONNECTION_ID(), VERSION(), @@GLOBAL.event_scheduler, DATABASE();
		SHOW GRANTS`, row(5), rows(1))
	if err != nil {
		return err
	}
	if results[0][0][0] != "1" {
		return errors.New("the server did not give the session a name (GET_LOCK)")
	}
	about := results[0][0]
	c.id, c.mariadb, c.scheduler, c.database = about[1], strings.Contains(about[2], "MariaDB"), about[3] == "ON" || about[3] == "1", about[4]
	c.granted = map[string][]string{}
	for _, row := range results[1] {
		if g := grant.FindStringSubmatch(row[0]); g != nil {
			c.granted[g[2]] = append(c.granted[g[2]], strings.Split(strings.ReplaceAll(g[1], ", ", ","), ",")...)
		}
	}
	return nil
}

// grant is a line of SHOW GRANTS: GRANT CREATE USER, PROCESS ON *.* TO `boss`@`%`. A role that was granted is quoted, and no privilege is. The roles that are
// in force have lines of their own on MariaDB, and on MySQL are in the user's; information_schema has not those of MariaDB's.
var grant = regexp.MustCompile(`^GRANT ([A-Z_, ]+) ON (\S+) TO `)

// may reports whether the administrator has one of the privileges on something.
func (c *connection) may(on string, privileges ...string) bool {
	return slices.ContainsFunc(c.granted[on], func(p string) bool { return p == "ALL PRIVILEGES" || slices.Contains(privileges, p) })
}

// mayEndSessions reports a missing right without which a session could stay, unseen.
func (c *connection) mayEndSessions() error {
	if !c.may("*.*", "PROCESS") || !c.may("*.*", "SUPER", "CONNECTION ADMIN", "CONNECTION_ADMIN") {
		kill := "CONNECTION ADMIN"
		if !c.mariadb {
			kill = "CONNECTION_ADMIN"
		}
		return providers.Refused(fmt.Errorf("the administrator cannot see and end other users' sessions: GRANT PROCESS, %s ON *.* to it", kill))
	}
	return nil
}

// A result is the rows of one statement, as text; NULL is "".
type result [][]string

// A shape is what an answer has to look like to be one to the statement.
type shape struct {
	columns int
	single  bool // it is exactly one row
}

func rows(columns int) shape { return shape{columns: columns} }
func row(columns int) shape  { return shape{columns: columns, single: true} }

// errShape is said of a server that no statement can be told from its answer.
var errShape = errors.New("the server's answer does not fit the question: it is no MySQL or MariaDB, or a hostile one")

// exec sends statements in one round trip and returns the answers of those that have one, whose shapes are expected. After the first that fails none is
// carried out. Answers of other shapes are an error, and what was asked for may have been done.
func (c *connection) exec(ctx context.Context, statements string, expected ...shape) ([]result, error) {
	c.count()
	all, err := c.query(ctx, statements, expected)
	if err != nil {
		return nil, c.noting(ctx, err)
	}
	return all, nil
}

func (c *connection) query(ctx context.Context, statements string, expected []shape) ([]result, error) {
	rows, err := c.driver.(driver.QueryerContext).QueryContext(ctx, statements, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []result
	for {
		if n := len(rows.Columns()); n > 0 {
			if len(all) == len(expected) || n != expected[len(all)].columns {
				return nil, errShape
			}
			r, err := read(rows, n)
			if err != nil {
				return nil, err
			}
			if expected[len(all)].single && len(r) != 1 {
				return nil, errShape
			}
			all = append(all, r)
		}
		more, ok := rows.(driver.RowsNextResultSet)
		if ok && more.HasNextResultSet() {
			err = more.NextResultSet()
		} else {
			err = io.EOF
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return nil, err
		case len(all) < len(expected):
			return nil, errShape
		default:
			return all, nil
		}
	}
}

func read(rows driver.Rows, columns int) (result, error) {
	r := result{}
	values := make([]driver.Value, columns)
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		row := make([]string, columns)
		for i, v := range values {
			switch v := v.(type) {
			case nil:
			case []byte:
				row[i] = string(v)
			case int64:
				row[i] = strconv.FormatInt(v, 10)
			default:
				row[i] = fmt.Sprint(v)
			}
		}
		r = append(r, row)
	}
}

// noting notes that the connection is of no more use after anything but the server's own word.
func (c *connection) noting(ctx context.Context, err error) error {
	if number(err) == 0 {
		c.broken = true
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// Closed reports whether the connection is known to be broken.
func (c *connection) Closed() bool {
	return c.broken || !c.driver.(driver.Validator).IsValid()
}

// Dead reports whether the server has hung up meanwhile. The look is saved in a burst of calls.
func (c *connection) Dead(unused time.Duration) bool {
	if c.Closed() || unused < 20*time.Millisecond {
		return c.Closed()
	}
	return c.driver.(driver.SessionResetter).ResetSession(context.Background()) != nil // it sends nothing
}

// Close says goodbye and closes the connection.
func (c *connection) Close() {
	if c.driver != nil {
		_ = c.driver.Close() // there is nothing to do about it, and the server drops it anyway
	}
}
