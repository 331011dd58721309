//go:build !windows

package postgres

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// hostileSettings are settings of a session's that change what statements mean, or how their results read. An administrator has them for reasons of its own.
var hostileSettings = []struct {
	name string
	set  []string // name=value
}{
	{"India's dates and clock", []string{"datestyle=SQL, DMY", "timezone=Asia/Kolkata"}}, // IST is Israel's time as well
	{"the Philippines'", []string{"datestyle=SQL, DMY", "timezone=Asia/Manila"}},
	{"China's", []string{"datestyle=Postgres, MDY", "timezone=Asia/Shanghai"}}, // CST is Chicago's as well
	{"Samoa's", []string{"datestyle=SQL, MDY", "timezone=Pacific/Pago_Pago"}},
	{"Germany's", []string{"datestyle=German", "timezone=Europe/Berlin"}},
	{"a clock nobody has", []string{"datestyle=SQL", "timezone=<ab>-13:30"}},
	{"other intervals", []string{"intervalstyle=sql_standard"}},
	{"other abbreviations", []string{"datestyle=SQL, DMY", "timezone=Australia/Sydney", "timezone_abbreviations=Australia"}},
	{"look-alikes first on the path", []string{"search_path=evil, pg_catalog"}},
	{"strings as they were", []string{"standard_conforming_strings=off", "escape_string_warning=on", "backslash_quote=off"}},
	{"every name quoted", []string{"quote_all_identifiers=on"}},
	{"other bytes", []string{"client_encoding=LATIN1", "bytea_output=escape"}},
	{"another name", []string{"application_name=somebody"}},
	{"old passwords", []string{"password_encryption=md5"}},
	{"strict isolation", []string{"default_transaction_isolation=serializable", "default_transaction_deferrable=on"}},
	{"row security", []string{"row_security=off"}},
	{"short of patience", []string{"idle_in_transaction_session_timeout=1", "deadlock_timeout=1"}},
	{"all is logged", []string{"log_statement=all", "log_min_duration_statement=0", "client_min_messages=debug1"}},
	{"a strict PL/pgSQL", []string{"plpgsql.variable_conflict=error", "plpgsql.extra_errors=all", "check_function_bodies=off"}},
	{"other planning", []string{"enable_seqscan=off", "enable_indexscan=off", "force_parallel_mode=on"}},
	{"other odds and ends", []string{"transform_null_equals=on", "array_nulls=off", "extra_float_digits=-15", "track_activities=off", "synchronous_commit=off"}},
}

// TestTheAdministratorsSettingsChangeNothing: whichever way they come, to a session that issues, renews and revokes.
func TestTheAdministratorsSettingsChangeNothing(t *testing.T) {
	s := openShop(t)
	s.Deputize("deputy")
	s.Exec("shop", `create schema evil; grant usage on schema evil to public;
		create function evil.clock_timestamp() returns timestamptz language sql as $$ select 'infinity'::timestamptz $$;
		create table evil.pg_roles (rolname name, oid oid, rolsuper bool, rolcreaterole bool, rolvaliduntil timestamptz);
		grant select on evil.pg_roles to public`)
	// Each way sets settings and takes them back. The first row is tried in all of them, the others in the first.
	ways := []struct {
		name      string
		set       string // a statement, in which %s is what is set
		undo      string
		inOptions bool
	}{
		{name: "role", set: "alter role deputy set %s", undo: "alter role deputy reset all"},
		{name: "role in the database", set: "alter role deputy in database shop set %s", undo: "alter role deputy in database shop reset all"},
		{name: "database", set: "alter database shop set %s", undo: "alter database shop reset all"},
		{name: "connection's options", inOptions: true},
	}
	plain := s.Env[urlVariable]
	for i, hostile := range hostileSettings {
		for j, way := range ways {
			if i > 0 && j > 0 {
				continue
			}
			t.Run(hostile.name+" by the "+way.name, func(t *testing.T) {
				var options strings.Builder
				for _, setting := range hostile.set {
					name, value, _ := strings.Cut(setting, "=")
					fmt.Fprintf(&options, " -c %s=%s", name, strings.ReplaceAll(value, " ", `\ `))
					if name != "search_path" { // a list
						value = literal(value)
					}
					if !way.inOptions {
						s.Exec("postgres", fmt.Sprintf(way.set, name+" = "+value))
					}
				}
				if way.inOptions {
					s.Env[urlVariable] = plain + "&options=" + url.PathEscape(options.String())
					defer func() { s.Env[urlVariable] = plain }()
				} else {
					defer s.Exec("postgres", way.undo)
				}
				session := s.Open(s.Settings())
				defer session.Close(t.Context())
				c, fields := s.IssueBy(session, "readwrite")
				lives(t, s, c.Lease, 5*time.Minute)
				l, err := s.Guard(session).Renew(harness.Within(t, time.Minute), c.Lease, 10*time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				lives(t, s, l, 10*time.Minute)
				if found, err := session.Lookup(harness.Within(t, time.Minute), l.ID); err != nil || found.ID != l.ID || found.Expires.Sub(l.Expires).Abs() > 10*time.Second {
					t.Errorf("it is found as %+v, %v", found, err)
				}
				s.must(s.login(fields, "shop"), "create table public.relic (id int)")
				s.Revoke(s.Guard(session), l)
				if owner := s.owner("shop", "public.relic"); strings.Trim(owner, `"`) != "readwrite" {
					t.Errorf("what it made belongs to %s", owner)
				}
				s.Exec("shop", "drop table public.relic")
			})
		}
	}
}

// lives checks when the lease and, by its own clock, the server end a role.
func lives(t *testing.T, s *shop, l providers.Lease, want time.Duration) {
	t.Helper()
	if left, ttl := s.Left(l.ID), time.Until(l.Expires); left > want || left < want-time.Minute || (ttl-left).Abs() > 10*time.Second {
		t.Errorf("the server ends it in %v and the lease in %v, want %v", left, ttl, want)
	}
}

// A limit is meant for queries of the administrator's own: how long a request may take is for its context to say.
func TestTheAdministratorsTimeoutsEndNoRequest(t *testing.T) {
	s := openShop(t)
	s.Deputize("deputy")
	const limit = 100 * time.Millisecond
	s.Exec("postgres", fmt.Sprintf("alter role deputy set statement_timeout = %[1]d; alter role deputy set lock_timeout = %[1]d", limit.Milliseconds()))
	unlock := s.Lock()
	failed := make(chan error)
	go func() {
		session := s.Open(s.Settings())
		_, err := session.Issue(harness.Within(t, time.Minute), ask("readonly"))
		failed <- err
	}()
	harness.Eventually(t, "waiting for longer than the limits", func() bool {
		return s.sessions("usename = 'deputy' and wait_event_type = 'Lock' and clock_timestamp() - query_start > $1::interval", (2*limit).String()) == 1
	})
	unlock()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// What makes the administrator somebody else, or forbids changes, is somebody's will. It is heeded, and told with what to do.
func TestAnAdministratorWhoIsKeptFromItIsToldOf(t *testing.T) {
	s := openShop(t)
	s.Deputize("deputy")
	s.Exec("postgres", "create role nobody nologin; grant nobody to deputy; create role dba nologin createrole; grant dba to deputy; grant readonly to dba with admin option")
	for _, c := range []struct{ set, want string }{
		{"default_transaction_read_only = on", "standby or read-only"},
		{"role = nobody", "CREATEROLE"},
		{"role = dba", ""},
	} {
		t.Run(c.set, func(t *testing.T) {
			s.Exec("postgres", "alter role deputy set "+c.set)
			defer s.Exec("postgres", "alter role deputy reset all")
			session := s.Open(s.Settings())
			made, err := session.Issue(harness.Within(t, time.Minute), ask("readonly"))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				s.Revoke(s.Guard(session), made.Lease)
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v; want …%s…", err, c.want)
			}
		})
	}
	s.NoUsers()
}
