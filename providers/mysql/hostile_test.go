//go:build !windows

package mysql

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// hostileSettings are global ones that change what statements mean, or how their results read. A server has them for reasons of its own.
var hostileSettings = []struct {
	name string
	set  []string // name=value
}{
	{"India's clock", []string{"time_zone='+05:30'"}},
	{"another day", []string{"time_zone='-12:00'"}},
	{"ANSI's quotes", []string{"sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT,IGNORE_SPACE'"}},
	{"Oracle's language", []string{"sql_mode='ORACLE'"}},
	{"another's language", []string{"sql_mode='MSSQL'"}},
	{"no backslashes", []string{"sql_mode='NO_BACKSLASH_ESCAPES'"}},
	{"strictness", []string{"sql_mode='TRADITIONAL,ONLY_FULL_GROUP_BY,NO_AUTO_CREATE_USER,PAD_CHAR_TO_FULL_LENGTH'"}},
	{"no mode", []string{"sql_mode=''"}},
	{"no autocommit", []string{"autocommit=0", "completion_type=2"}},
	{"few rows", []string{"sql_select_limit=1"}},
	{"small joins", []string{"max_join_size=1"}},
	{"short of patience", []string{"max_statement_time=0.000001"}},
	{"shorter of patience", []string{"lock_wait_timeout=1", "innodb_lock_wait_timeout=1", "net_read_timeout=1"}},
	{"other characters", []string{"character_set_client=latin1", "character_set_connection=latin1", "character_set_results=latin1", "collation_connection=latin1_swedish_ci"}},
	{"Japanese characters", []string{"character_set_connection=sjis", "character_set_results=sjis", "character_set_database=sjis", "character_set_server=sjis"}},
	{"safe updates", []string{"sql_safe_updates=1"}},
	{"odds and ends", []string{"sql_auto_is_null=1", "div_precision_increment=0", "group_concat_max_len=4", "sql_quote_show_create=0", "sql_warnings=1", "max_error_count=0"}},
	{"a greeting", []string{"init_connect='SET time_zone = ''+03:00'', timestamp = 86400, sql_mode = ''ANSI_QUOTES'''"}},
}

// TestTheServersSettingsChangeNothing for sessions that issue, renew, find and revoke.
func TestTheServersSettingsChangeNothing(t *testing.T) {
	const role = `Größe 'x' \"y"`
	for name, opts := range map[string][]harness.MariaDBOption{
		"characters are the client's": {events},
		"characters are the server's": {events, harness.MariaDBSetting("character-set-client-handshake", "OFF"), harness.MariaDBSetting("character-set-server", "latin1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, opts...)
			s.Deputize("deputy")
			admin, err := s.Connect(s.User, s.Password, "") // which the settings do not reach
			if err != nil {
				t.Fatal(err)
			}
			s.must(admin, "SET NAMES utf8mb4; SET time_zone = '+00:00'; CREATE ROLE "+ident(role)+"; GRANT SELECT ON shop.* TO "+ident(role)+"; GRANT "+ident(role)+" TO deputy WITH ADMIN OPTION")
			for _, hostile := range hostileSettings {
				t.Run(hostile.name, func(t *testing.T) {
					for _, setting := range hostile.set {
						name, _, _ := strings.Cut(setting, "=")
						s.must(admin, "SET @"+name+" = @@GLOBAL."+name+"; SET GLOBAL "+setting)
						defer s.must(admin, "SET GLOBAL "+name+" = @"+name)
					}
					session := s.Open(s.Settings())
					defer session.Close(t.Context())
					for _, f := range session.Examine(harness.Within(t, time.Minute), []providers.Request{ask(role)}) {
						if f.Level != providers.OK {
							t.Errorf("%s: %s", f.Level, f.Says)
						}
					}
					l := s.endsIn(t, admin, 5*time.Minute, func(ctx context.Context) (providers.Lease, error) {
						c, err := session.Issue(ctx, ask(role))
						return c.Lease, err
					})
					l = s.endsIn(t, admin, 10*time.Minute, func(ctx context.Context) (providers.Lease, error) {
						return s.Guard(session).Renew(ctx, l, 10*time.Minute)
					})
					if found, err := session.Lookup(harness.Within(t, time.Minute), l.ID); err != nil || found.Scope[scopeRole] != role || found.Expires.Sub(l.Expires).Abs() > 10*time.Second {
						t.Errorf("it is found as %+v, %v", found, err)
					}
					if proof, err := s.Guard(session).Revoke(harness.Within(t, time.Minute), l); proof != providers.Proven {
						t.Error(err)
					}
					var left int
					if err := admin.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'wc_%') + (SELECT COUNT(*) FROM mysql.event)").Scan(&left); err != nil || left != 0 {
						t.Errorf("%d users and events are left, %v", left, err)
					}
				})
			}
		})
	}
}

// endsIn makes or renews a lease, and checks when that and, by its own clock, the server end the user.
func (s *shop) endsIn(t *testing.T, admin *sql.Conn, want time.Duration, make func(context.Context) (providers.Lease, error)) providers.Lease {
	t.Helper()
	l, err := make(harness.Within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var seconds int
	err = admin.QueryRowContext(t.Context(), "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), EXECUTE_AT) FROM information_schema.EVENTS WHERE EVENT_NAME = '"+l.ID+"'").Scan(&seconds)
	if left, ttl := time.Duration(seconds)*time.Second, time.Until(l.Expires); err != nil || left > want+2*time.Second || left < want-time.Minute || (ttl-left).Abs() > 10*time.Second {
		t.Errorf("the server ends it in %v and the lease in %v, want %v; %v", left, ttl, want, err)
	}
	return l
}
