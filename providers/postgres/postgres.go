// Package postgres issues logins to a PostgreSQL server by itself, without Vault between.
//
// The request postgres:GROUP makes a login role that is a member of the existing role GROUP, so that what it may do is decided by
// the grants of GROUP and nowhere else. What the package promises:
//
//   - The password never leaves this process but as a field: the server is given its SCRAM-SHA-256 verifier (RFC 5802, RFC 7677).
//   - The role cannot outlive the leash: its password has a VALID UNTIL by the server's own clock, moved on by Renew, whatever the settings
//     of the administrator's sessions make of dates, time zones, names and strings.
//   - Its name and the session that makes it are told before it is made (providers.Settings.Intend). A revoker first ends that session
//     and then looks for the role, so no request that is still under way can bring it to life afterwards.
//   - Revoke bars it, ends its sessions, hands what it made, in any database of the cluster, to GROUP, drops it, and reads pg_roles to
//     prove it. Nothing that the command made is lost; what it granted of others' things is taken back.
//   - The process's environment is never read: settings come from providers.Settings.Lookup alone.
//
// The administrator it logs in as is a superuser, or a role with CREATEROLE (and, from PostgreSQL 16 on, with ADMIN OPTION on GROUP).
// Servers from PostgreSQL 11 on are served. A connection pooler between with-creds and the server must pool by session.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/with-creds/with-creds/providers"
)

// Name is the provider's name in a spec and in a lease.
const Name = "postgres"

// Provider issues roles of a PostgreSQL server. Its zero value is ready.
type Provider struct{}

var _ providers.Provider = Provider{}

// maxName is the longest identifier PostgreSQL keeps, in bytes (NAMEDATALEN - 1); it cuts longer ones silently.
const maxName = 63

// Check judges the group's name and the parameters: database=NAME, ttl=DURATION.
func (Provider) Check(r providers.Request) error {
	_, err := parseRequest(r)
	return err
}

// SecretEnv names the ways to the administrator's own login. PGSERVICE is among them because libpq ranks a service above
// PGUSER and PGPASSWORD: a command that inherits it would log in as the administrator.
func (Provider) SecretEnv() []string {
	return []string{
		urlVariable, "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLCERT", "PGSSLKEY", "PGSSLPASSWORD",
	}
}

var _ providers.Judger = Provider{}

// Judge reads the settings, and the files they name.
func (Provider) Judge(s providers.Settings) error {
	_, err := administrator(s)
	return err
}

// Open logs in as the administrator.
func (Provider) Open(ctx context.Context, s providers.Settings) (providers.Session, error) {
	target, err := administrator(s)
	if err != nil {
		return nil, err
	}
	session := newSession(target, s)
	if err := session.Use(ctx, func(*connection) error { return nil }); err != nil {
		return nil, err
	}
	return session, nil
}

// administrator is how to reach the server as the administrator.
func administrator(s providers.Settings) (target, error) {
	t, err := resolve(s)
	if err != nil {
		return t, providers.Refused(failf(err, "the administrator's connection"))
	}
	return t, nil
}

// A request is a spec understood.
type request struct {
	group    string
	database string        // "": the administrator's
	ttl      time.Duration // 0: no end but the leash
}

func parseRequest(r providers.Request) (request, error) {
	q := request{group: r.Path}
	fail := func(format string, args ...any) (request, error) {
		return request{}, failf(nil, format, args...)
	}
	if q.group == "" {
		return fail("no group: write postgres:GROUP, where GROUP is an existing role that the command is to be a member of")
	}
	if q.group == "public" || q.group == "none" {
		return fail("%s is a reserved word, not a role: name a role made with CREATE ROLE … NOLOGIN", q.group)
	}
	if err := checkName(q.group); err != nil {
		return fail("group %q %v", q.group, err)
	}
	if key, twice := r.Twice(); twice {
		return fail("the parameter %q is given twice", key)
	}
	for _, p := range r.Params {
		switch p.Key {
		case "database":
			if p.Value == "" {
				return fail("database is empty: leave it out for the administrator's own")
			}
			if err := checkName(p.Value); err != nil {
				return fail("database %q %v", p.Value, err)
			}
			q.database = p.Value
		case "ttl":
			ttl, err := time.ParseDuration(p.Value)
			if err != nil || ttl < time.Second {
				return fail("ttl=%s is not a duration of a second or more: write 15m or 1h30m", p.Value)
			}
			q.ttl = ttl
		default:
			return fail("unknown parameter %q: there are database and ttl", p.Key)
		}
	}
	return q, nil
}

// checkName refuses what cannot be an identifier of the server's, so that it need not be sent.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return errors.New("is not UTF-8")
	case len(name) > maxName:
		return fmt.Errorf("is longer than the %d bytes a name may have", maxName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("holds a control character")
	}
	return nil
}
