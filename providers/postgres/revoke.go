package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/providers"
)

// Revoke ends a role: nobody can log in with it any more, its sessions are gone, what it made belongs to its group, and pg_roles has it
// no longer. It is safe to repeat and to run in two processes at once, and needs of the lease only what an intent holds.
//
// In the ordinary case, a role of this session that made nothing, it takes two round trips.
func (s *Session) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	if err := s.checkLease(l); err != nil {
		return providers.Failed, err
	}
	// Another revoker, or a session at its end, can change what a step just saw. Then the steps are taken once more.
	const rounds = 20
	var err error
	var disabled bool
	for round := range rounds {
		err = again(ctx, func() error { return s.revokeOnce(ctx, l, round > 0, &disabled) })
		if err == nil {
			return providers.Proven, nil
		}
		if !changedMeanwhile(err) || !providers.Sleep(ctx, 20*time.Millisecond) {
			break
		}
	}
	doing := "revoking role " + l.ID
	if disabled {
		doing += " (it can log in no more, and its sessions are ended)"
	}
	return providers.Failed, explain(doing, err)
}

// changedMeanwhile reports an error that can come of looking first and acting then. The missing right is among them: an administrator's
// rights over a role go when another revoker drops it.
func changedMeanwhile(err error) bool {
	switch sqlstate(err) {
	case codeUndefinedObject, codeDependents, codeInvalidCatalogName, codeInsufficient:
		return true
	}
	return errors.Is(err, errStillThere)
}

// revokeOnce takes the steps once. Without an error, the role is proven to be gone; with one, disabled says whether it is at least
// of no more use to anybody.
func (s *Session) revokeOnce(ctx context.Context, l providers.Lease, look bool, disabled *bool) error {
	exists, err := s.settle(ctx, l, look)
	if err != nil || !exists {
		return err
	}
	left, err := s.disable(ctx, l)
	if err != nil {
		return err
	}
	if left.sessions > 0 {
		if err := s.endSessions(ctx, left.oid); err != nil {
			return err
		}
		if left, err = s.disable(ctx, l); err != nil { // what the sessions did until they ended
			return err
		}
	}
	*disabled = true
	if len(left.prepared) > 0 || len(left.databases) > 0 {
		if err := s.handOver(ctx, l, left); err != nil {
			return err
		}
	}
	return s.drop(ctx, l, left.oid)
}

// settle makes sure that no request to make the role is still under way, and then looks whether there is one. Where this session made
// the role over the connection it still has, the turn says that the request is over, and the look is saved unless insisted on.
func (s *Session) settle(ctx context.Context, l providers.Lease, look bool) (exists bool, err error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		var making bool
		err := s.Use(ctx, func(c *connection) error {
			maker := l.Scope[scopeMaker]
			if maker == c.token && !look {
				exists = true
				return nil
			}
			// A session leaves pg_stat_activity only after its transaction has ended, one way or the other; and each SELECT
			// has a snapshot of its own, taken after the one before. So the role, if it came to be, is seen. The session is the login's, whatever
			// role the administrator's settings make of that.
			results, err := c.exec(ctx, `set local role none;
				select count(pg_terminate_backend(pid)) from pg_stat_activity
					where application_name = `+literal(maker)+` and application_name <> '' and pid <> pg_backend_pid();
				select count(*) from pg_roles where rolname = `+literal(l.ID), 0, 1, 1)
			if err != nil {
				return err
			}
			making, exists = text(results[1], 0, 0) != "0", text(results[2], 0, 0) != "0"
			return nil
		})
		if err != nil || !making {
			return exists, err
		}
		if !providers.Sleep(ctx, wait) {
			return false, fmt.Errorf("waiting for the session that makes it to end: %w", ctx.Err())
		}
	}
}

// What there is of a role when it has been disabled.
type remains struct {
	oid       string
	sessions  int
	groupGone bool
	databases []database   // where something depends on the role
	prepared  []preparedTx // two-phase transactions of its own, which outlive sessions
}

type database struct {
	name    string
	accepts bool // connections
	owned   bool // the role owns something in it that another role can own
}

type preparedTx struct{ gid, database string }

// disable bars the role from logging in, then tells its sessions to end, and lists what depends on it. Only the first is a
// transaction: new sessions must be impossible before the last is counted.
//
// An administrator who is no superuser joins the role first, to have the right to end its sessions and to give its objects away (to
// the group, whose member it becomes by the same step). The membership ends with the role.
func (s *Session) disable(ctx context.Context, l providers.Lease) (remains, error) {
	var left remains
	err := s.Use(ctx, func(c *connection) error {
		join, columns := "", []int{0, 0, 0}
		if !c.superuser() {
			join, columns = "GRANT "+ident(l.ID)+" TO CURRENT_USER", append(columns, 0)
			if c.majorVersion() >= 16 { // where creating a role gives the right to grant it, but not its privileges
				join += " WITH INHERIT TRUE, SET TRUE"
			}
		}
		results, err := c.exec(ctx, "BEGIN; ALTER ROLE "+ident(l.ID)+" NOLOGIN; "+join+"; COMMIT; "+inventory(l), append(columns, 2, 1, 2, 3)...)
		if err != nil {
			return err
		}
		left, err = readRemains(results[len(results)-4:])
		return err
	})
	return left, err
}

func inventory(l providers.Lease) string {
	role := "(select oid from pg_roles where rolname = " + literal(l.ID) + ")"
	return `
select oid, (select count(*) from pg_roles where rolname = ` + literal(l.Scope[scopeGroup]) + `) from pg_roles where rolname = ` + literal(l.ID) + `;
select count(pg_terminate_backend(pid)) from pg_stat_activity where usesysid = ` + role + `;
select gid, database from pg_prepared_xacts where owner = ` + literal(l.ID) + `;
select d.datname, d.datallowconn,
	bool_or(s.deptype = 'o' and s.classid not in ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)) from pg_shdepend s
	join pg_database d on d.oid = s.dbid or (s.dbid = 0 and d.datname = current_database())
	where s.refclassid = 'pg_authid'::regclass and s.refobjid = ` + role + ` group by 1, 2 order by 1`
}

func readRemains(results []*pgconn.Result) (remains, error) {
	if len(results[0].Rows) != 1 {
		return remains{}, fmt.Errorf("the role has gone meanwhile: %w", &pgconn.PgError{Code: codeUndefinedObject})
	}
	sessions, err := strconv.Atoi(text(results[1], 0, 0))
	left := remains{oid: text(results[0], 0, 0), groupGone: text(results[0], 0, 1) == "0", sessions: sessions}
	for row := range results[2].Rows {
		left.prepared = append(left.prepared, preparedTx{text(results[2], row, 0), text(results[2], row, 1)})
	}
	for row := range results[3].Rows {
		left.databases = append(left.databases,
			database{text(results[3], row, 0), text(results[3], row, 1) == "t", text(results[3], row, 2) == "t"})
	}
	return left, err
}

// endSessions waits until the last session of the role is gone, telling them again and again.
func (s *Session) endSessions(ctx context.Context, oid string) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		var pids []string
		err := s.Use(ctx, func(c *connection) error {
			results, err := c.exec(ctx, "select pid, pg_terminate_backend(pid) from pg_stat_activity where usesysid = "+oid, 2)
			if err != nil {
				return err
			}
			pids = nil
			for row := range results[0].Rows {
				pids = append(pids, text(results[0], row, 0))
			}
			return nil
		})
		if err != nil || len(pids) == 0 {
			return err
		}
		if !providers.Sleep(ctx, wait) {
			return fmt.Errorf("waiting for its sessions to end (server processes %s): %w", strings.Join(pids, ", "), ctx.Err())
		}
	}
}

// flushed makes the commit of its transaction wait for the server's disk where it would not: a role must not come back after a crash.
const flushed = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"

// errStillThere asks for another round.
var errStillThere = errors.New("it was dropped, and yet the role or a session of it is there")

// drop drops the role and then reads pg_roles, in a transaction of its own, to prove it.
//
// A session that was past the check of its login when the role was barred may show up only now. It is told to end too; and it
// could do nothing: the memberships, by which a role made here has all its rights, went with the role.
func (s *Session) drop(ctx context.Context, l providers.Lease, oid string) error {
	return s.Use(ctx, func(c *connection) error {
		results, err := c.exec(ctx, "BEGIN; "+flushed+"; DROP ROLE IF EXISTS "+ident(l.ID)+`; COMMIT;
			select count(*) from pg_roles where rolname = `+literal(l.ID)+`;
			select count(pg_terminate_backend(pid)) from pg_stat_activity where usesysid = `+oid, 0, 1, 0, 0, 1, 1)
		if err != nil {
			return err
		}
		proof := results[len(results)-2:]
		if text(proof[0], 0, 0) != "0" || text(proof[1], 0, 0) != "0" {
			return errStillThere
		}
		return nil
	})
}

// text is one value of an answer; "" where there is none.
func text(r *pgconn.Result, row, column int) string {
	if row >= len(r.Rows) || column >= len(r.Rows[row]) {
		return ""
	}
	return string(r.Rows[row][column])
}
