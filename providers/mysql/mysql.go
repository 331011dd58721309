// Package mysql issues logins to a MySQL or MariaDB server by itself, without Vault between.
//
// The request mysql:ROLE makes a user whose default role is the existing role ROLE, so that what it may do is decided by the grants of
// ROLE and nowhere else. A role by which the command could make logins of its own is refused. What the package promises:
//
//   - The password never leaves this process but as a field: the server is given what it keeps of one (see auth).
//   - The user's name and the session that makes it are told before it is made (providers.Settings.Intend). A revoker first ends that
//     session and then looks for the user, so no request that is still under way can bring it to life afterwards.
//   - Revoke drops the user, ends its sessions, waits until the last has rolled back, and reads mysql.user to prove it.
//   - Where the server runs scheduled events (event_scheduler=ON: the default of MySQL 8, not of MariaDB), the user cannot outlive the
//     leash: an event in the schema mysql drops it, and Renew puts the event off. It is made before the user is.
//   - The process's environment and option files (my.cnf) are never read: settings come from providers.Settings.Lookup alone.
//
// # What it cannot do
//
// Neither server can end a user at a time by itself (PASSWORD EXPIRE counts days). Without the event scheduler, or without the right to
// make events, a user lives until it is revoked: by the run, its guard, or `with-creds sweep`. Issue warns of that, and refuses ttl.
//
// Tables belong to nobody, so what the command made stays. Views, routines, triggers and events it made name it as their DEFINER and
// fail until that is changed; from MySQL 8.0.22 on the server keeps such a user from being dropped: then it is locked, its
// sessions are ended, by the event too, and Revoke says what to do. A transaction it prepared with XA PREPARE stays (XA RECOVER lists it), for the
// server does not say whose it is.
//
// The administrator needs CREATE USER, the role WITH ADMIN OPTION, SELECT on mysql.*, PROCESS, CONNECTION ADMIN (CONNECTION_ADMIN on
// MySQL), UPDATE on mysql.* on MariaDB, and EVENT on mysql.* for the leash. MariaDB from 10.4 on and MySQL from 8.0 on are served; the
// tests run against MariaDB, and one of them against any server that is given (it was against MySQL 9.7).
// A pooler between with-creds and the server must pool by session.
package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/with-creds/with-creds/providers"
)

// Name is the provider's name in a spec and in a lease.
const Name = "mysql"

// Provider issues users of a MySQL or MariaDB server. Its zero value is ready.
type Provider struct{}

var _ providers.Provider = Provider{}

// Check judges the role's name and the parameters: database=NAME, host=PATTERN, auth=METHOD, ttl=DURATION.
func (Provider) Check(r providers.Request) error {
	_, err := parseRequest(r)
	return failed(err, "")
}

// Called is the other server that it is for.
func (Provider) Called() []string { return []string{"mariadb"} }

// SecretEnv names the ways to the administrator's own login.
func (Provider) SecretEnv() []string { return []string{urlVariable, "MYSQL_PWD"} }

var _ providers.Judger = Provider{}

// Judge reads the settings, and the files they name, where any is set.
func (Provider) Judge(s providers.Settings) error {
	if s.Get(urlVariable) == "" && s.Get("MYSQL_USER") == "" {
		return nil
	}
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
		return nil, failed(err, "")
	}
	return session, nil
}

// administrator is how to reach the server as the administrator.
func administrator(s providers.Settings) (target, error) {
	t, err := resolve(s)
	if err != nil {
		return t, providers.Refused(failed(err, "the administrator's connection"))
	}
	return t, nil
}

// A request is a spec understood.
type request struct {
	role     string
	database string // what the fields say; "": the administrator's
	host     string // from where the user may log in, as the server matches it
	auth     auth   // "": the server's usual one
	ttl      time.Duration
}

// maxName is the longest name of a role that both servers keep (MySQL 32 characters, MariaDB 128).
const maxName = 128

func parseRequest(r providers.Request) (request, error) {
	q := request{role: r.Path, host: "%"}
	if q.role == "" {
		return q, errors.New("no role: write mysql:ROLE, where ROLE is an existing role that the command is to have")
	}
	if strings.EqualFold(q.role, "none") || strings.EqualFold(q.role, "public") {
		return q, fmt.Errorf("%s is a reserved word, not a role: name a role made with CREATE ROLE", q.role)
	}
	if err := checkName(q.role); err != nil {
		return q, fmt.Errorf("role %q %w", q.role, err)
	}
	if key, twice := r.Twice(); twice {
		return q, fmt.Errorf("the parameter %q is given twice", key)
	}
	for _, p := range r.Params {
		switch p.Key {
		case "database", "host":
			if p.Value == "" {
				return q, fmt.Errorf("%s is empty: leave it out for the usual one", p.Key)
			}
			if err := checkName(p.Value); err != nil {
				return q, fmt.Errorf("%s %q %w", p.Key, p.Value, err)
			}
			if p.Key == "database" {
				q.database = p.Value
			} else {
				q.host = p.Value
			}
		case "auth":
			if q.auth = auth(p.Value); !slices.Contains(auths, q.auth) {
				return q, fmt.Errorf("auth=%s: there are native and ed25519 (MariaDB), and caching_sha2 (MySQL)", p.Value)
			}
		case "ttl":
			ttl, err := time.ParseDuration(p.Value)
			if err != nil || ttl < time.Second {
				return q, fmt.Errorf("ttl=%s is not a duration of a second or more: write 15m or 1h30m", p.Value)
			}
			q.ttl = ttl
		default:
			return q, fmt.Errorf("unknown parameter %q: there are database, host, auth and ttl", p.Key)
		}
	}
	return q, nil
}

// checkName refuses what cannot be a name of the server's, so that it need not be sent.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return errors.New("is not UTF-8")
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("is longer than the %d characters a name may have", maxName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("holds a control character")
	}
	return nil
}
