package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// Issue makes a role in one round trip.
//
// With a leash, the role ends that much later unless renewed; ttl is the end that no renewal passes. Without a leash it ends after
// ttl, or after an hour. The end is kept by the server's clock and reported by this machine's.
func (s *Session) Issue(ctx context.Context, r providers.Request) (providers.Credential, error) {
	q, err := parseRequest(r)
	if err != nil {
		return providers.Credential{}, providers.Refused(err)
	}
	if q.database == "" {
		q.database = s.target.Settings["dbname"]
	}
	password := sqluser.NewPassword()
	verifier, err := scramVerifier(password, newSalt())
	if err != nil {
		return providers.Credential{}, failf(err, "making a role in group %s", q.group)
	}
	var lease providers.Lease
	var answer issued
	err = again(ctx, func() error {
		lease, answer, err = s.makeRole(ctx, q, verifier)
		return err
	})
	if err != nil {
		return providers.Credential{}, err
	}
	// The time the server reports is what was left when it answered; counted from before the request it errs on the early side.
	lease.Expires = lease.Issued.Add(answer.left)
	if q.ttl > 0 {
		lease.MaxExpire = lease.Issued.Add(q.ttl)
	}
	lease.Renewable = q.ttl == 0 || sqluser.Life(s.settings.Leash, q.ttl) < q.ttl
	return providers.Credential{
		Fields: s.fields(lease.ID, password, q.database), Lease: lease, Warnings: answer.warnings(q),
	}, nil
}

// makeRole makes a role of a new name. A connection that broke may have made it all the same: the intent stays, and is revoked with the rest.
func (s *Session) makeRole(ctx context.Context, q request, verifier string) (providers.Lease, issued, error) {
	lease := providers.Lease{Provider: Name, ID: newRoleName(q.group, s.settings.Run)}
	var answer issued
	err := s.Use(ctx, func(c *connection) error {
		lease.Scope = s.scope(q.group, c)
		if err := s.settings.Intending(lease); err != nil {
			return failf(err, "noting role %s before making it", lease.ID)
		}
		lease.Issued = time.Now()
		results, err := c.exec(ctx, createRole(lease.ID, q, verifier, sqluser.Life(s.settings.Leash, q.ttl), roleComment(s.settings.Run, q.group)), 0, 5)
		if err != nil {
			return explainIssue(q, err)
		}
		if answer, err = readIssued(results[1]); err != nil {
			return explainIssue(q, err)
		}
		return nil
	})
	return lease, answer, err
}

// createRole is one transaction: the checks, the role, its comment, and what there is to report. Only a program (DO) can compute
// VALID UNTIL from the server's clock.
//
// A group through which SET ROLE leads to SUPERUSER or CREATEROLE is refused: with either, the command could make logins that
// outlive its own. (Attributes are not inherited, but a member can become the role that has them.)
func createRole(role string, q request, verifier string, life time.Duration, comment string) string {
	body := `
declare
	powerful text;
begin
	if not exists (select from pg_roles where rolname = ` + literal(q.group) + `) then
		raise exception using errcode = '` + codeNoGroup + `', message = 'no such role';
	end if;
	if not exists (select from pg_database where datname = ` + literal(q.database) + ` and datallowconn) then
		raise exception using errcode = '` + codeNoDatabase + `', message = 'no such database';
	end if;
	` + reachable(q.group) + `
	select string_agg(rolname || case when rolsuper then ' is a superuser' else ' may create roles' end, ', ')
		into powerful from reachable where rolsuper or rolcreaterole;
	if powerful is not null then
		raise exception using errcode = '` + codePowerfulGroup + `', message = powerful;
	end if;
	execute format('create role ` + ident(role) + ` login inherit nosuperuser nocreatedb nocreaterole password %L valid until %L in role %I',
		` + literal(verifier) + `, clock_timestamp() + ` + interval(life) + `, ` + literal(q.group) + `);
	comment on role ` + ident(role) + ` is ` + literal(comment) + `;
end`
	return "DO " + literal(body) + `;
` + reachable(q.group) + `
select (extract(epoch from r.rolvaliduntil - clock_timestamp()) * 1000)::bigint,
	has_database_privilege(r.oid, d.oid, 'connect'),
	coalesce((select string_agg(rolname, ' ') from reachable where rolname in
		('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')), ''),
	coalesce((select string_agg(rolname, ' ') from reachable where rolcreatedb or rolreplication or rolbypassrls), ''),
	coalesce((select string_agg(distinct m.roleid::regrole::text, ' ') from pg_auth_members m where m.admin_option and m.member in (select oid from reachable)), '')
from pg_roles r, pg_database d where r.rolname = ` + literal(role) + ` and d.datname = ` + literal(q.database)
}

// reachable begins a query over every role that a member of the group can be: the group and all it is a member of.
func reachable(group string) string {
	return `with recursive reached(id) as (
		select oid from pg_roles where rolname = ` + literal(group) + `
		union select m.roleid from pg_auth_members m join reached on m.member = reached.id),
	reachable as (select * from pg_roles where oid in (select id from reached))`
}

func interval(d time.Duration) string {
	return "interval '" + strconv.FormatInt(d.Milliseconds(), 10) + " milliseconds'"
}

// issued is the server's answer.
type issued struct {
	left       time.Duration
	mayConnect bool
	dangerous  string // predefined roles by which the command could take over the server's machine
	attributes string // roles with attributes that SET ROLE would give
	passedOn   string // roles that the command could make others members of
}

func readIssued(r *pgconn.Result) (issued, error) {
	ms, err := strconv.ParseInt(text(r, 0, 0), 10, 64)
	if err != nil {
		return issued{}, failf(err, "the server did not report the role it made")
	}
	return issued{
		left: time.Duration(ms) * time.Millisecond, mayConnect: text(r, 0, 1) == "t",
		dangerous: text(r, 0, 2), attributes: text(r, 0, 3), passedOn: text(r, 0, 4),
	}, nil
}

func (a issued) warnings(q request) []string {
	var list []string
	if !a.mayConnect {
		list = append(list, fmt.Sprintf("group %s has no right to connect to database %s: GRANT CONNECT ON DATABASE %s TO %s",
			q.group, q.database, ident(q.database), ident(q.group)))
	}
	if a.dangerous != "" {
		list = append(list, fmt.Sprintf("group %s includes %s, with which the command can take over the database server; what it does there is not undone",
			q.group, strings.ReplaceAll(a.dangerous, " ", ", ")))
	}
	if a.attributes != "" {
		list = append(list, fmt.Sprintf("group %s reaches attributes (CREATEDB, REPLICATION or BYPASSRLS) that the command gets by SET ROLE: %s",
			q.group, strings.ReplaceAll(a.attributes, " ", ", ")))
	}
	if a.passedOn != "" {
		list = append(list, fmt.Sprintf("group %s may make others members (WITH ADMIN OPTION) of %s: whom the command makes one stays one, for such a grant is not undone",
			q.group, strings.ReplaceAll(a.passedOn, " ", ", ")))
	}
	return list
}

func explainIssue(q request, err error) error {
	doing := "making a role in group " + q.group
	var why string
	switch sqlstate(err) {
	case codeNoGroup:
		why = fmt.Sprintf("there is no role %s: create it, and grant it what the command may do: CREATE ROLE %s NOLOGIN", q.group, ident(q.group))
	case codeNoDatabase:
		why = fmt.Sprintf("there is no database %s that accepts connections: check database= in the spec, or PGDATABASE", q.database)
	case codePowerfulGroup:
		why = fmt.Sprintf("%s, so the command could make logins that outlive its own: name a group without SUPERUSER and CREATEROLE",
			plain{err})
		why = strings.Replace(why, " ["+codePowerfulGroup+"]", "", 1)
	case "": // not the server's words
		return explain(doing, providers.Unanswered(err))
	default:
		return explain(doing, err)
	}
	return providers.Refused(failf(nil, "%s: %s", doing, why))
}
