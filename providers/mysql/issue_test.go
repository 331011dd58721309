//go:build !windows

package mysql

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestIssuedUserMayDoWhatItsRoleMayAndNoMore(t *testing.T) {
	s := openShop(t)
	_, fields := s.Issue("readonly")
	conn := s.login(fields)
	var n int
	if err := conn.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM orders").Scan(&n); err != nil || n != 100 {
		t.Errorf("reading: %d rows, %v", n, err)
	}
	for _, statement := range []string{
		"INSERT INTO orders VALUES (1000, 1)", "CREATE TABLE mine (id INT)", "CREATE USER other", "SELECT * FROM mysql.global_priv", "SET PASSWORD FOR boss = ''",
	} {
		if _, err := conn.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("%s was allowed", statement)
		}
	}
	if got := []string{fields["host"], fields["port"], fields["database"]}; got[0] != s.Host || got[1] != fmt.Sprint(s.Port) || got[2] != "shop" {
		t.Errorf("host, port, database: %q", got)
	}
	u, err := url.Parse(fields["url"])
	if password, _ := u.User.Password(); err != nil || password != fields["password"] || u.Path != "/shop" {
		t.Errorf("the url is not of the credential (%v)", err)
	}
}

func TestUserNamesTheRunAndEveryServerTakesIt(t *testing.T) {
	long := strings.Repeat("Ä long röle ", 20)
	for range 100 {
		name := newUserName(long, "abcdefgh")
		if !userName.MatchString(name) || len(name) > 32 || !strings.Contains(name, "_abcdefgh_") {
			t.Fatalf("%q", name)
		}
	}
	if one, other := newUserName("r", "r"), newUserName("r", "r"); one == other {
		t.Error("two names are alike")
	}
}

func TestNoPasswordCrossesTheWireOrStandsInALog(t *testing.T) {
	s := openShop(t, harness.MariaDBSetting("plugin-load-add", "auth_ed25519"))
	w, session := s.Over()
	for _, way := range []auth{authNative, authEd25519} {
		c, fields := s.IssueBy(session, "readonly", "auth="+string(way))
		s.login(fields) // it is the password
		s.Revoke(session, c.Lease)
		if !strings.Contains(w.Sent(), c.Lease.ID) {
			t.Fatal("the statement that made the user is not on the wire: the check is void")
		}
		for where, text := range map[string]string{"the wire": w.Sent() + w.Received(), "the server's log": s.Log(), "the lease": fmt.Sprintf("%+v", c.Lease),
			"the credential printed": fmt.Sprintf("%v %+v %#v", c, c, c)} {
			for _, secret := range []string{fields["password"], s.Password} {
				if where == "the server's log" && secret == s.Password {
					continue // the harness itself sends it there
				}
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s holds a password", way, where)
				}
			}
		}
	}
}

func TestARoleThatCouldMakeLoginsIsRefused(t *testing.T) {
	s := openShop(t)
	// What each may do was tried: CREATE USER, SET PASSWORD of another's, and a procedure that runs as the administrator.
	for role, test := range map[string]struct{ grant, says string }{
		"maker":  {"GRANT CREATE USER ON *.* TO maker", "maker has CREATE USER"},
		"outer1": {"CREATE ROLE inner1; GRANT CREATE USER ON *.* TO inner1; GRANT inner1 TO outer1", "inner1 has CREATE USER"},
		"super1": {"GRANT SUPER ON *.* TO super1", "super1 has SUPER"},
		"wide":   {"GRANT SELECT, INSERT, DELETE ON *.* TO wide", "wide has INSERT or UPDATE on *.*"},
		"setter": {"GRANT SELECT, UPDATE ON *.* TO setter", "setter has INSERT or UPDATE on *.*"},
		"schema": {"GRANT INSERT ON mysql.* TO `schema`", "schema has INSERT or UPDATE on mysql.*"},
		"some":   {"GRANT UPDATE ON `m_s%`.* TO some", "some has INSERT or UPDATE on m_s%.*"},
		"all1":   {"GRANT ALL ON `%`.* TO all1", "all1 has INSERT or UPDATE on %.*"},
		"table1": {"GRANT INSERT ON mysql.global_priv TO table1", "table1 has INSERT or UPDATE on mysql.global_priv"},
		"column": {"GRANT UPDATE (Priv) ON mysql.global_priv TO `column`", "column has INSERT or UPDATE on mysql.global_priv"},
		"above":  {"CREATE ROLE below; GRANT UPDATE (Priv) ON mysql.global_priv TO below; GRANT below TO above", "below has INSERT or UPDATE on mysql.global_priv"},
		"actor":  {"GRANT SET USER ON *.* TO actor", "actor may act as other users"},
	} {
		s.Exec("CREATE ROLE IF NOT EXISTS " + ident(role) + "; " + test.grant)
		_, err := s.Session.Issue(harness.Within(t, 60*time.Second), ask(role))
		if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "name a role without") {
			t.Errorf("%s: %v", role, err)
		}
	}
	if len(s.Intents()) != 0 || len(s.Users("wc_")) != 0 {
		t.Error("something was made all the same")
	}
	// What is not the accounts' is the application's.
	s.Exec("CREATE ROLE free; GRANT FILE, SELECT ON *.* TO free WITH GRANT OPTION; GRANT ALL ON shop.* TO free; GRANT INSERT ON `m\\_sql`.* TO free; GRANT SELECT ON mysql.* TO free; GRANT SELECT (Priv) ON mysql.global_priv TO free")
	c, _ := s.Issue("free")
	if text := strings.Join(c.Warnings, "\n"); !strings.Contains(text, "has FILE") || !strings.Contains(text, "has GRANT OPTION") {
		t.Errorf("warnings: %q", c.Warnings)
	}
	s.Revoke(s.Session, c.Lease)
}

func TestWhatIsWrongIsSaidWithWhatToDo(t *testing.T) {
	s := openShop(t)
	for _, test := range []struct {
		request providers.Request
		says    string
	}{
		{ask("nobody"), "there is no such role: CREATE ROLE `nobody`"},
		{ask("boss"), "there is no such role"}, // a user is none
		{ask("readonly", "auth=caching_sha2"), "is the other server's"},
		{ask("readonly", "host=a", "host=b"), `the parameter "host" is given twice`},
		{ask("readonly", "auth=ed25519"), "INSTALL SONAME 'auth_ed25519'"},
		{ask("readonly", "ttl=15m"), "cannot be kept: the server's event scheduler is off"},
		{ask(""), "write mysql:ROLE"},
		{ask("none"), "reserved word"},
		{ask("readonly", "tls=15m"), "there are database, host, auth and ttl"},
		{ask("readonly", "ttl=1"), "write 15m"},
		{ask("readonly\x01"), "control character"},
	} {
		_, err := s.Session.Issue(harness.Within(t, 60*time.Second), test.request)
		if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "mysql: ") ||
			strings.Count(err.Error(), "mysql: ") != 1 {
			t.Errorf("%v: %v", test.request, err)
		}
	}
	if users := s.Users("wc_"); len(users) != 0 {
		t.Errorf("left: %q", users)
	}
	s.Env[urlVariable] = s.URL(s.User, "wrong", "")
	if _, err := (Provider{}).Open(harness.Within(t, 60*time.Second), s.Settings()); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "check the administrator's login") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestAdministratorWithTheDocumentedRightsSufficesAndWithLessIsTold(t *testing.T) {
	s := openShop(t, events)
	s.deputize("deputy", "GRANT EVENT ON mysql.* TO deputy")
	c, fields := s.Issue("readwrite")
	s.login(fields)
	if c.Lease.Expires.IsZero() || len(c.Warnings) != 0 {
		t.Errorf("expires %v, warnings %q", c.Lease.Expires, c.Warnings)
	}
	s.Revoke(s.Guard(s.Session), c.Lease)

	s.deputize("unpunctual")
	c, fields = s.Issue("readwrite")
	s.login(fields)
	if !c.Lease.Expires.IsZero() || !strings.Contains(strings.Join(c.Warnings, ""), "GRANT EVENT ON mysql.*") {
		t.Errorf("expires %v, warnings %q", c.Lease.Expires, c.Warnings)
	}
	s.Revoke(s.Guard(s.Session), c.Lease)

	s.deputize("stranger", "REVOKE readonly FROM stranger")
	s.Intents()
	if _, err := s.Session.Issue(harness.Within(t, 60*time.Second), ask("readonly")); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "the role WITH ADMIN OPTION") {
		t.Errorf("without the role: %v", err)
	}
	told := s.Intents()
	if len(told) != 1 {
		t.Fatalf("%d intents, want one: the user was made before the role was refused", len(told))
	}
	s.Revoke(s.Session, told[0])

	s.deputize("blind", "REVOKE PROCESS ON *.* FROM blind")
	s.Intents()
	if _, err := s.Session.Issue(harness.Within(t, 60*time.Second), ask("readonly")); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "GRANT PROCESS") {
		t.Errorf("without PROCESS: %v", err)
	}
	if len(s.Intents()) != 0 {
		t.Error("a user was going to be made that cannot be ended")
	}
}

func TestRightsCountWhateverTheAdministratorIsCalledAndHoweverItHasThem(t *testing.T) {
	s := openShop(t, events)
	for name, grants := range map[string]string{
		"ci@corp": "GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO %[1]s; GRANT SELECT, UPDATE, EVENT ON mysql.* TO %[1]s; GRANT readonly TO %[1]s WITH ADMIN OPTION",
		"by_role": `CREATE ROLE dba; GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO dba; GRANT SELECT, UPDATE, EVENT ON mysql.* TO dba; GRANT readonly TO %[1]s WITH ADMIN OPTION;
			GRANT dba TO %[1]s; SET DEFAULT ROLE dba FOR %[1]s`,
		"almighty": "GRANT ALL ON *.* TO %[1]s; GRANT readonly TO %[1]s WITH ADMIN OPTION",
	} {
		s.Exec("CREATE USER " + ident(name) + " IDENTIFIED BY " + literal(s.Password) + "; " + fmt.Sprintf(grants, ident(name)))
		s.Env[urlVariable] = s.URL(name, s.Password, "")
		session := s.Open(s.Settings())
		for _, f := range session.Examine(harness.Within(t, time.Minute), []providers.Request{ask("readonly")}) {
			if f.Level != providers.OK {
				t.Errorf("%s: %s %s", name, f.Level, f.Says)
			}
		}
		c, _ := s.IssueBy(session, "readonly")
		s.Revoke(s.Guard(session), c.Lease)
	}
}

func TestExamineSaysWhatEachPromiseRestsOn(t *testing.T) {
	s := openShop(t)
	s.Exec("CREATE ROLE maker; GRANT CREATE USER ON *.* TO maker")
	says := func() string {
		t.Helper()
		var all []string
		for _, f := range s.Session.Examine(harness.Within(t, 60*time.Second), []providers.Request{ask("readonly"), ask("maker"), ask("nobody"), ask("readonly")}) {
			all = append(all, fmt.Sprintf("%s %s: %s → %s", f.Level, f.Promise, f.Says, f.Fix))
		}
		return strings.Join(all, "\n")
	}
	want := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not said:\n%s", part, text)
			}
		}
	}
	text := says()
	want(text, "warn P2: the server's event scheduler is off", "ok : users with the role readonly", "maker has CREATE USER", "there is no such role")
	if strings.Count(text, "role readonly") != 1 {
		t.Errorf("a role is examined twice:\n%s", text)
	}
	s.Exec("SET GLOBAL event_scheduler = ON")
	s.deputize("deputy")
	want(says(), "warn P2: the administrator may not make events")
	s.deputize("punctual", "GRANT EVENT ON mysql.* TO punctual")
	want(says(), "ok P2: the server ends a user")
	s.deputize("blind", "REVOKE PROCESS ON *.* FROM blind", "REVOKE CREATE USER ON *.* FROM blind")
	want(says(), "fail P1: ", "may not make users")
	if len(s.Intents()) != 0 || len(s.Users("wc_")) != 0 {
		t.Error("something was issued")
	}
}
