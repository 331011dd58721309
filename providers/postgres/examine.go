package postgres

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Examiner = (*Session)(nil)

// Examine asks the server about itself, the administrator and each group: two round trips, and one for what lost machines have left.
func (s *Session) Examine(ctx context.Context, requests []providers.Request) []providers.Finding {
	e := &examination{session: s, ctx: ctx}
	if err := e.server(); err != nil {
		says, fix := providers.Advice(explain("asking the server about itself", err))
		e.add(providers.Fail, "", fix, "%s", says)
		return e.found
	}
	seen := map[string]bool{}
	for _, r := range requests {
		q, err := parseRequest(r)
		if err != nil || seen[q.group] {
			continue
		}
		seen[q.group] = true
		if err := e.group(q.group); err != nil {
			says, fix := providers.Advice(explain("asking about the group "+q.group, err))
			e.add(providers.Fail, "", fix, "%s", says)
		}
	}
	e.remains()
	return e.found
}

// An examination collects what is found.
type examination struct {
	session *Session
	ctx     context.Context
	found   []providers.Finding
}

func (e *examination) add(level providers.Level, promise, fix, format string, args ...any) {
	e.found = append(e.found, providers.Finding{Level: level, Promise: promise, Says: fmt.Sprintf(format, args...), Fix: fix})
}

// ask sends one query and gives the answer's first row to read.
func (e *examination) ask(query string, columns int, read func(c *connection, column func(int) string)) error {
	return again(e.ctx, func() error {
		return e.session.Use(e.ctx, func(c *connection) error {
			results, err := c.exec(e.ctx, query, columns)
			if err != nil {
				return err
			}
			read(c, func(i int) string { return text(results[0], 0, i) })
			return nil
		})
	})
}

// server is about the server, the way to it, and the administrator.
func (e *examination) server() error {
	const query = `select current_setting('server_version'), pg_is_in_recovery(), current_setting('default_transaction_read_only'),
		coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false),
		extract(epoch from clock_timestamp())::bigint, current_user, r.rolsuper, r.rolcreaterole,
		current_setting('max_connections')::int - (select count(*) from pg_stat_activity where backend_type = 'client backend'),
		coalesce((select application_name from pg_stat_activity where pid = pg_backend_pid()), '')
		from pg_roles r where r.rolname = current_user`
	const version, standby, readOnly, tls, clock, admin, super, creates, free, application, columns = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	return e.ask(query, columns, func(c *connection, column func(int) string) {
		switch {
		case c.majorVersion() != 0 && c.majorVersion() < 11:
			e.add(providers.Fail, "", "upgrade to PostgreSQL 11 or later", "PostgreSQL %s is older than what is served", column(version))
		case column(standby) == "t":
			e.add(providers.Fail, "", "name the primary, or several hosts with target_session_attrs=read-write", "PostgreSQL %s at %s is a standby: no role can be made on it", column(version), e.session.target.server())
		case column(readOnly) == "on":
			e.add(providers.Fail, "", "set default_transaction_read_only to off for the administrator", "transactions are read-only: no role can be made")
		default:
			e.add(providers.OK, "", "", "PostgreSQL %s answers as its primary", column(version))
		}
		if column(tls) != "t" && !e.local() {
			e.add(providers.Warn, "P3", "use sslmode=verify-full", "what is read and written crosses the network in clear, and whoever is on the way can change it, or ask for the password (require_auth=scram-sha-256 gives none)")
		}
		var epoch int64
		if _, err := fmt.Sscan(column(clock), &epoch); err == nil {
			if skew := time.Since(time.Unix(epoch, 0)).Abs(); skew > 30*time.Second {
				e.add(providers.Warn, "", "set the clocks (NTP)", "the clock here and the server's are %v apart: times in receipts are this machine's", skew.Round(time.Second))
			}
		}
		switch {
		case column(super) == "t":
			e.add(providers.OK, "", "", "the administrator %s is a superuser; CREATEROLE and ADMIN OPTION on the groups would do", column(admin))
		case column(creates) == "t":
			e.add(providers.OK, "", "", "the administrator %s may make roles", column(admin))
		default:
			e.add(providers.Fail, "", "ALTER ROLE "+ident(column(admin))+" CREATEROLE", "the administrator %s may not make roles", column(admin))
		}
		if column(application) != c.token {
			e.add(providers.Fail, "P2", "connect to the server itself, or have the pooler pool by session", "between here and the server is a pooler that does not keep a session together")
		}
		var left int
		if _, err := fmt.Sscan(column(free), &left); err == nil && left < 5 {
			e.add(providers.Warn, "", "raise max_connections", "only %d connections are free: runs will wait", left)
		}
	})
}

// local reports whether nobody can listen on the way.
func (e *examination) local() bool {
	for host := range strings.SplitSeq(e.session.target.Settings["host"], ",") {
		ip := net.ParseIP(host)
		if !filepath.IsAbs(host) && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// group is about one group that logins are to be members of.
func (e *examination) group(group string) error {
	query := reachable(group) + `
		select g.rolcanlogin,
			coalesce((select string_agg(rolname, ', ') from reachable where rolsuper or rolcreaterole), ''),
			(select rolsuper from pg_roles where rolname = current_user)
				or exists (select from pg_auth_members where roleid = g.oid and member = (select oid from pg_roles where rolname = current_user) and admin_option)
		from pg_roles g where g.rolname = ` + literal(group)
	const login, powerful, admin, columns = 0, 1, 2, 3
	return e.ask(query, columns, func(c *connection, column func(int) string) {
		switch {
		case column(login) == "":
			e.add(providers.Fail, "", "CREATE ROLE "+ident(group)+" NOLOGIN, and grant it what the command needs", "there is no group %s", group)
		case column(powerful) != "":
			e.add(providers.Fail, "P2", "use a group without SUPERUSER and CREATEROLE", "a member of %s could become %s and make logins that outlive its own", group, column(powerful))
		case column(admin) != "t" && c.majorVersion() >= 16:
			e.add(providers.Fail, "", "GRANT "+ident(group)+" TO "+ident(e.session.target.Settings["user"])+" WITH ADMIN OPTION", "the administrator may not make members of %s", group)
		case column(login) == "t":
			e.add(providers.Warn, "", "ALTER ROLE "+ident(group)+" NOLOGIN", "the group %s can log in itself", group)
		default:
			e.add(providers.OK, "", "", "members of %s can be made; a login is dropped at the end, and proven to be gone from pg_roles", group)
		}
	})
}

// remains is what machines that are gone have left.
func (e *examination) remains() {
	const past = 15 * time.Minute // later than any run that is alive renews
	left, err := e.session.Expired(e.ctx, past)
	switch {
	case err != nil:
		says, fix := providers.Advice(err)
		e.add(providers.Warn, "", fix, "%s", says)
	case len(left) > 0:
		e.add(providers.Warn, "P2", "with-creds sweep postgres", "%d of with-creds' logins have ended, and nobody took them away (they can log in no more)", len(left))
	}
}
