//go:build !windows

package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestIssuedRoleMayDoWhatItsGroupMayAndNoMore(t *testing.T) {
	s := openShop(t)
	c, fields := s.Issue("readonly")
	conn := s.login(fields, "shop")
	var total int
	if err := conn.QueryRow(t.Context(), "select sum(total) from orders").Scan(&total); err != nil || total != 50500 {
		t.Errorf("reading: %d, %v", total, err)
	}
	for _, sql := range []string{
		"insert into orders values (101, 1)", "create table mine (id int)", "create role mine", "create database mine",
		"alter role " + c.Lease.ID + " valid until 'infinity'", "drop table orders",
	} {
		if _, err := conn.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
	}
	s.Revoke(s.Session, c.Lease)
}

func TestIssuedRoleIsNamedForItsRunAndEndsWithTheLeash(t *testing.T) {
	s := openShop(t)
	before := time.Now()
	c, fields := s.Issue("readonly")
	if !strings.HasPrefix(c.Lease.ID, "wc_readonly_r7k2_") || c.Lease.ID != fields["username"] {
		t.Errorf("lease %q, user name %q", c.Lease.ID, fields["username"])
	}
	var comment string
	var left float64
	s.QueryRow("shop", &comment, "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1", c.Lease.ID)
	s.QueryRow("shop", &left, "select extract(epoch from rolvaliduntil - now())::float8 from pg_roles where rolname = $1", c.Lease.ID)
	if comment != "with-creds run r7k2 for group readonly" {
		t.Errorf("comment: %q", comment)
	}
	if left < 290 || left > 300 {
		t.Errorf("the server lets the password live %.1f s more, want just under 300", left)
	}
	if ttl := c.Lease.Expires.Sub(before); ttl < 299*time.Second || ttl > 330*time.Second {
		t.Errorf("the lease ends in %s, want 5m", ttl)
	}
	if !c.Lease.Renewable || !c.Lease.MaxExpire.IsZero() {
		t.Errorf("lease: %+v", c.Lease)
	}
}

func TestFieldsAreWhatAClientNeedsAndOnlySecretsAreSecret(t *testing.T) {
	s := openShop(t)
	c, fields := s.Issue("readonly", "database=other")
	want := map[string]string{
		"username": c.Lease.ID, "host": "127.0.0.1", "port": fmt.Sprint(s.Port), "database": "other", "sslmode": "disable",
		"password": fields["password"],
		"url":      fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/other?sslmode=disable", c.Lease.ID, fields["password"], s.Port),
	}
	if !slices.Equal(sortedKeys(fields), sortedKeys(want)) {
		t.Errorf("fields %q, want %q", sortedKeys(fields), sortedKeys(want))
	}
	for name, value := range want {
		if fields[name] != value {
			t.Errorf("field %s is not as wanted", name)
		}
	}
	for _, f := range c.Fields {
		if wantSecret := f.Name == "password" || f.Name == "url"; f.Secret != wantSecret {
			t.Errorf("field %s: secret %t", f.Name, f.Secret)
		}
	}
	if u, err := url.Parse(fields["url"]); err != nil || u.User.Username() != c.Lease.ID {
		t.Errorf("the url does not parse: %v", err)
	}
}

func TestIssuingTakesOneRoundTripAndRevokingTwo(t *testing.T) {
	s := openShop(t)
	opened := s.Sent.Load()
	c, _ := s.Issue("readonly")
	issued := s.Sent.Load()
	s.Revoke(s.Session, c.Lease)
	revoked := s.Sent.Load()
	if opened != 1 || issued-opened != 1 || revoked-issued != 2 {
		t.Errorf("round trips: open %d, issue %d, revoke %d; want 1, 1, 2", opened, issued-opened, revoked-issued)
	}
}

func TestPasswordIsNeitherInTheServersLogNorInAnythingButItsFields(t *testing.T) {
	s := openShop(t)
	c, fields := s.Issue("readonly")
	s.login(fields, "shop")
	lease, err := json.Marshal([]any{c.Lease, s.Intents()})
	if err != nil {
		t.Fatal(err)
	}
	log := s.Log()
	if !strings.Contains(log, "SCRAM-SHA-256$4096:") {
		t.Fatal("the log does not show the statement that made the role: the check is void")
	}
	secrets := []string{fields["password"], s.Password}
	noSecret(t, "the server's log", log, secrets...)
	noSecret(t, "the lease or the intent", string(lease), secrets...)
	noSecret(t, "a printed credential", fmt.Sprintf("%v %+v %#v", c, c, c), secrets...)
	noSecret(t, "a printed handoff", fmt.Sprintf("%v %+v %#v", s.Session.Handoff(), s.Session.Handoff(), s.Session.Handoff()), secrets...)
	noSecret(t, "a printed target", fmt.Sprintf("%v %+v %#v", s.target(), s.target(), s.target()), secrets...)
}

func TestNoPasswordCrossesTheWire(t *testing.T) {
	s := openShop(t)
	w, session := s.Over()
	c, fields := s.IssueBy(session, "readonly")
	s.Revoke(session, c.Lease)
	sent, received := w.Sent(), w.Received()
	if !strings.Contains(sent, c.Lease.ID) || !strings.Contains(sent, "SCRAM-SHA-256$4096:") {
		t.Fatal("the statement that made the role is not on the wire: the check is void")
	}
	noSecret(t, "what was sent", sent, fields["password"], s.Password)
	noSecret(t, "what was received", received, fields["password"], s.Password)
}

func TestIssueRefusesWithAWayOut(t *testing.T) {
	s := openShop(t)
	s.Exec("shop", `create role boss superuser nologin; create role hirer createrole nologin;
		create role deputy nologin; grant boss to deputy; create role "Sales Team" nologin; grant select on orders to "Sales Team"`)
	tests := []struct {
		name, group, param string
		want               string
	}{
		{"unknown group", "nobody", "", `there is no role nobody: create it, and grant it what the command may do: CREATE ROLE "nobody" NOLOGIN`},
		{"superuser", "boss", "", "boss is a superuser"},
		{"superuser by way of another", "deputy", "", "boss is a superuser"},
		{"may create roles", "hirer", "", "hirer may create roles"},
		{"unknown database", "readonly", "database=nowhere", "there is no database nowhere"},
		{"unknown parameter", "readonly", "role=x", "there are database and ttl"},
		{"parameter given twice", "readonly", "database=shop&database=app", `the parameter "database" is given twice`},
		{"ttl without a unit", "readonly", "ttl=15", "write 15m"},
		{"no group", "", "", "write postgres:GROUP"},
		{"too long", strings.Repeat("g", 64), "", "63 bytes"},
		{"injected statement", `x"; drop role readonly; --`, "", "there is no role"},
		{"injected literal", `x'; drop role readonly; --`, "", "there is no role"},
		{"injected backslash", `x\'; drop role readonly; --`, "", "there is no role"},
		{"injected dollar quote", `x$$; drop role readonly; $$`, "", "there is no role"},
		{"injected format verb", `%I %s %L`, "", "there is no role"},
		{"control character", "a\nb", "", "control character"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var params []string
			if test.param != "" {
				params = strings.Split(test.param, "&")
			}
			_, err := s.Session.Issue(harness.Within(t, 5*time.Second), ask(test.group, params...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error: %v\nwant: …%s…", err, test.want)
			}
			if !errors.Is(err, providers.ErrRefused) {
				t.Error("the lifecycle would ask again in vain")
			}
		})
	}
	if roles := s.Roles("wc_"); len(roles) != 0 {
		t.Errorf("left behind: %q", roles)
	}
	if roles := s.Roles("readonly"); len(roles) != 1 {
		t.Error("the group readonly is gone: a group's name was run as SQL")
	}
	c, fields := s.Issue("Sales Team")
	var n int
	if err := s.login(fields, "shop").QueryRow(t.Context(), "select count(*) from orders").Scan(&n); err != nil || n != 100 {
		t.Errorf("a group whose name needs quotes: %d, %v", n, err)
	}
	s.Revoke(s.Session, c.Lease)
}

func TestIssueWarnsOfWhatTheCommandCannotOrShouldNotHave(t *testing.T) {
	s := openShop(t)
	s.Exec("shop", `revoke connect on database other from public; create role runner nologin createdb; grant pg_execute_server_program to runner;
		create role "Team lead" nologin; grant readwrite to "Team lead" with admin option; grant "Team lead" to runner`)
	c, _ := s.Issue("runner", "database=other")
	all := strings.Join(c.Warnings, "\n")
	for _, want := range []string{`GRANT CONNECT ON DATABASE "other" TO "runner"`, "pg_execute_server_program", "SET ROLE: runner", "(WITH ADMIN OPTION) of readwrite:"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning says %s:\n%s", want, all)
		}
	}
	if c, _ := s.Issue("readonly"); len(c.Warnings) > 0 {
		t.Errorf("warnings without cause: %q", c.Warnings)
	}
}

func TestManyRunsAtOnceDoNotDisturbEachOther(t *testing.T) {
	s := openShop(t)
	const runs = 20
	errs := make(chan error, runs)
	for range runs {
		settings := s.Settings()
		settings.Intend = nil
		go func() {
			errs <- func() error {
				session, err := Provider{}.Open(harness.Within(t, 30*time.Second), settings)
				if err != nil {
					return err
				}
				defer session.Close(t.Context())
				c, err := session.Issue(harness.Within(t, 30*time.Second), ask("readwrite"))
				if err != nil {
					return err
				}
				user, _ := c.Field("username")
				password, _ := c.Field("password")
				conn, err := s.Connect(user.Value, password.Value, "shop")
				if err != nil {
					return err
				}
				if _, err := conn.Exec(t.Context(), "create table "+user.Value+" (id int)"); err != nil {
					return err
				}
				proof, err := session.Revoke(harness.Within(t, 30*time.Second), c.Lease)
				if err == nil && proof != providers.Proven {
					err = fmt.Errorf("proof: %s", proof)
				}
				return err
			}()
		}()
	}
	for range runs {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if roles := s.Roles("wc_"); len(roles) != 0 {
		t.Errorf("left: %q", roles)
	}
}

func TestRunsWaitForAFullServer(t *testing.T) {
	s := openShop(t, harness.PostgresSetting("max_connections", "8"), harness.PostgresSetting("superuser_reserved_connections", "2"))
	s.Deputize("deputy")
	s.Session.Close(t.Context())
	errs := make(chan error)
	for range 40 {
		go func() {
			errs <- func() error {
				session, err := Provider{}.Open(harness.Within(t, 20*time.Second), providers.Settings{Lookup: s.Settings().Lookup, Run: "full"})
				if err != nil {
					return err
				}
				defer session.Close(t.Context())
				c, err := session.Issue(harness.Within(t, 20*time.Second), ask("readonly"))
				if err != nil {
					return err
				}
				_, err = session.Revoke(harness.Within(t, 20*time.Second), c.Lease)
				return err
			}()
		}()
	}
	for range 40 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(s.Log(), "FATAL:  remaining connection slots are reserved") && !strings.Contains(s.Log(), "FATAL:  sorry, too many clients already") {
		t.Error("the server was never full: the test tests nothing")
	}
	if roles := s.Roles("wc_"); len(roles) != 0 {
		t.Errorf("left: %q", roles)
	}
}

func BenchmarkIssueAndRevoke(b *testing.B) {
	s := harness.Postgres(b)
	s.Exec("postgres", "create role readonly nologin")
	settings := from(map[string]string{urlVariable: s.AdminURL("postgres")})
	for _, part := range []string{"with the login", "without the login"} {
		b.Run(part, func(b *testing.B) {
			var session providers.Session
			for b.Loop() {
				if session == nil || part == "with the login" {
					var err error
					if session, err = (Provider{}).Open(b.Context(), settings); err != nil {
						b.Fatal(err)
					}
				}
				c, err := session.Issue(b.Context(), ask("readonly"))
				if err != nil {
					b.Fatal(err)
				}
				if proof, err := session.Revoke(b.Context(), c.Lease); proof != providers.Proven {
					b.Fatal(err)
				}
				if part == "with the login" {
					session.Close(b.Context())
				}
			}
		})
	}
}
