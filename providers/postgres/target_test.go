package postgres

import (
	"encoding/json"
	"fmt"
	"go/build"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// from are settings that come from a map.
func from(env map[string]string) providers.Settings {
	return providers.Settings{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func TestSettingsRankURLThenServiceThenVariablesThenDefaults(t *testing.T) {
	dir := t.TempDir()
	services := filepath.Join(dir, "services")
	content := "[prod]\nhost=service.example\nport=5433\ndbname=servicedb\n[other]\nhost=other.example\n"
	if err := os.WriteFile(services, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(dir, "pgpass")
	if err := os.WriteFile(passwords, []byte("var.example:5432:vardb:varuser:frompassfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".pgpass"), []byte("*:*:*:*:fromhome\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"PGHOST": "var.example", "PGUSER": "varuser", "PGDATABASE": "vardb", "PGSSLMODE": "disable"}
	tests := []struct {
		name string
		env  map[string]string
		want string // host:port/database user password
	}{
		{"variables", vars, "var.example:5432/vardb varuser "},
		{"variables with a password", with(vars, "PGPASSWORD", "pw"), "var.example:5432/vardb varuser pw"},
		{"password file", with(vars, "PGPASSFILE", passwords), "var.example:5432/vardb varuser frompassfile"},
		{"password file of the home directory", with(vars, "HOME", dir), "var.example:5432/vardb varuser fromhome"},
		{"password before password file", with(vars, "PGPASSFILE", passwords, "PGPASSWORD", "pw"), "var.example:5432/vardb varuser pw"},
		{"missing password file", with(vars, "PGPASSFILE", dir+"/none"), "var.example:5432/vardb varuser "},
		{"database defaults to the user", map[string]string{"PGHOST": "h", "PGUSER": "u"}, "h:5432/u u "},
		{"service over variables", with(vars, "PGSERVICE", "prod", "PGSERVICEFILE", services), "service.example:5433/servicedb varuser "},
		{"URL over variables", with(vars, urlVariable, "postgres://u:p@url.example/db"), "url.example:5432/db u p"},
		{"URL over service", with(vars, "PGSERVICE", "prod", "PGSERVICEFILE", services, urlVariable, "postgres://url.example"), "url.example:5433/servicedb varuser "},
		{"URL names the service", with(vars, "PGSERVICEFILE", services, urlVariable, "postgres:///?service=other"), "other.example:5432/vardb varuser "},
		{"URL with a line end", with(vars, urlVariable, "postgres://u:p@url.example/db\n"), "url.example:5432/db u p"},
		{"empty counts as not set", with(vars, urlVariable, "", "PGPORT", ""), "var.example:5432/vardb varuser "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target, err := resolve(from(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(target); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func summary(t target) string {
	return fmt.Sprintf("%s/%s %s %s", t.server(), t.Settings["dbname"], t.Settings["user"], t.Password)
}

func with(env map[string]string, pairs ...string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, env)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

func TestURLIsReadAsLibpqReadsIt(t *testing.T) {
	tests := []struct{ url, want string }{
		{"postgres://u:p@h:5433/d", "h:5433/d u p"},
		{"postgresql://u@h/d", "h:5432/d u "},
		{"postgres://u:p%40%3A%2F%25@h/d", "h:5432/d u p@:/%"},
		{"postgres://u:p+q@h/d%20e", "h:5432/d e u p+q"},
		{"postgres://u:p@h1:1,h2:2/d", "h1,h2:1,2/d u p"},
		{"postgres://u:p@h1,h2/d", "h1,h2:5432/d u p"},
		{"postgres://u:p@[::1]:5433/d", "::1:5433/d u p"},
		{"postgres://u:p@%2Frun%2Fpg/d", "/run/pg:5432/d u p"},
		{"postgres:///d?host=/run/pg&port=5433&user=u&password=p", "/run/pg:5433/d u p"},
		{"postgres://u:p@h/d?dbname=e&application_name=x&keepalives=1", "h:5432/e u p"},
	}
	for _, test := range tests {
		target, err := resolve(from(map[string]string{urlVariable: test.url, "PGSSLMODE": "disable"}))
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
		} else if got := summary(target); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.url, got, test.want)
		}
	}
	target, err := resolve(from(map[string]string{urlVariable: "postgres://u@h/d?ssl=true"}))
	if err != nil || target.Settings["sslmode"] != "require" {
		t.Errorf("ssl=true: %q, %v", target.Settings["sslmode"], err)
	}
}

func TestBadSettingsAreRefusedWithoutShowingThem(t *testing.T) {
	secret := "Zs3cr3tZ"
	tests := []struct{ name, variable, value, want string }{
		{"not a URL", urlVariable, "host=h password=" + secret, "not a connection URI"},
		{"unescaped @", urlVariable, "postgres://u:" + secret + "@x@h/d", "%40"},
		{"unescaped slash", urlVariable, "postgres://u:12" + secret + "/x@h/d", "the port is not a number"},
		{"unescaped percent", urlVariable, "postgres://u:%zz" + secret + "@h/d", "%25"},
		{"unescaped hash", urlVariable, "postgres://u:#" + secret + "@h/d", "%23"},
		{"unknown parameter", urlVariable, "postgres://u:" + secret + "@h/d?pool_size=3", `unknown connection setting "pool_size"`},
		{"NUL", urlVariable, "postgres://u:" + secret + "%00@h/d", "NUL"},
		{"bad port", "PGPORT", secret, "the port is not a number"},
		{"bad sslmode", "PGSSLMODE", "sometimes", "verify-full"},
		{"bad timeout", "PGCONNECT_TIMEOUT", "soon", "connect_timeout"},
		{"a URL as host", "PGHOST", "postgres://u:" + secret + "@h/d", "put it into " + urlVariable},
		{"a URL as service", "PGSERVICE", "postgres://u:" + secret + "@h/d", "put it into " + urlVariable},
		{"missing service file", "PGSERVICE", "prod", "set PGSERVICEFILE"},
		{"missing certificate", "PGSSLROOTCERT", "/nowhere/ca.pem", "/nowhere/ca.pem"},
		{"certificate without key", "PGSSLCERT", "target_test.go", "PGSSLKEY"},
		{"verify-ca without an authority", "PGSSLMODE", "verify-ca", "PGSSLROOTCERT"},
		{"what libpq would check and we cannot", "PGSSLCRL", "crl.pem", "revocation lists"},
		{"hostaddr", "PGHOSTADDR", "10.0.0.1", "put the address into host"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := resolve(from(with(map[string]string{"PGHOST": "h", "PGUSER": "u"}, test.variable, test.value)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error: %v\nwant: …%s…", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the value")
			}
		})
	}
}

// pgx fills every setting that it was not given from the process's environment. Each variable it knows must be overruled.
func TestConnectionIgnoresTheProcessEnvironment(t *testing.T) {
	pgconn, err := build.Import("github.com/jackc/pgx/v5/pgconn", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(pgconn.Dir, "config.go"))
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`"(PG[A-Z_]+)":\s+"([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(known) < 20 {
		t.Fatalf("found only %d variables in pgx's source: the check is void", len(known))
	}
	target, err := resolve(from(map[string]string{"PGHOST": "h", "PGUSER": "u"}))
	if err != nil {
		t.Fatal(err)
	}
	clean, err := target.config("d", "app")
	if err != nil {
		t.Fatal(err)
	}
	want := describe(t, clean)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:fromtheenvironment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	values := map[string]string{"port": "1", "connect_timeout": "7", "sslmode": "verify-full", "service": "prod", "servicefile": home + "/none",
		"sslcertmode": "require", "sslsni": "0", "sslnegotiation": "direct", "target_session_attrs": "standby",
		"min_protocol_version": "3.2", "max_protocol_version": "3.2", "channel_binding": "require", "require_auth": "none"}
	for _, variable := range known {
		if _, overruled := neutral[variable[2]]; !overruled && variable[2] != "service" && variable[2] != "servicefile" && variable[2] != "database" {
			t.Errorf("pgx reads %s, which nothing overrules", variable[1])
		}
		t.Setenv(variable[1], first(values[variable[2]], "fromtheenvironment"))
	}
	got, err := target.config("d", "app")
	if err != nil {
		t.Fatal(err)
	}
	if text := describe(t, got); text != want {
		t.Errorf("the environment shows:\n%s\nwithout it:\n%s", text, want)
	}
	again, err := resolve(from(map[string]string{"PGHOST": "h", "PGUSER": "u"}))
	if err != nil || again.Password != "" || summary(again) != summary(target) {
		t.Errorf("resolving: %v, %s", err, summary(again))
	}
}

// describe is all of a config that can be compared.
func describe(t *testing.T, c any) string {
	t.Helper()
	text := fmt.Sprintf("%+v", c)
	return regexp.MustCompile(`0x[0-9a-f]+|\(0x[0-9a-f]+\)`).ReplaceAllString(text, "PTR")
}

func TestConnectionURIsSurviveTheirReader(t *testing.T) {
	tests := []struct{ hosts, ports, user, password, database string }{
		{"h", "5432", "u", "p", "d"},
		{"h1,h2", "1,2", "u", "p", "d"},
		{"h1,h2", "5432", "u", "p", "d"},
		{"::1", "5432", "u", "p", "d"},
		{"/run/pg", "5433", "u", "p", "d"},
		{"h", "5432", "u@x", "a:b/c?d#e%f g+h&i=j", "d e/f?g"},
	}
	for _, test := range tests {
		uri := connectionURI(test.hosts, test.ports, test.user, test.password, test.database, []string{"sslmode=disable"})
		target, err := resolve(from(map[string]string{urlVariable: uri}))
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		ports := test.ports
		if test.hosts == "h1,h2" && ports == "5432" {
			ports = "5432,5432"
		}
		want := fmt.Sprintf("%s:%s/%s %s %s", test.hosts, ports, test.database, test.user, test.password)
		if got := summary(target); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", uri, got, want)
		}
	}
}

func TestHandoffCarriesTheFilesAndPrintsNoSecret(t *testing.T) {
	dir := t.TempDir()
	secret := sqluser.NewPassword()
	passwords := filepath.Join(dir, "pgpass")
	if err := os.WriteFile(passwords, []byte("*:*:*:*:"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	target, err := resolve(from(map[string]string{"PGHOST": "h", "PGUSER": "u", "PGPASSFILE": passwords, "PGSSLMODE": "disable"}))
	if err != nil {
		t.Fatal(err)
	}
	h := newSession(target, providers.Settings{}).Handoff()
	if err := os.Remove(passwords); err != nil {
		t.Fatal(err)
	}
	session, err := Provider{}.Resume(h, providers.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := session.(*Session).target.config("d", "app")
	if err != nil || config.Password != secret {
		t.Errorf("the password did not survive the file: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", h, h, h); strings.Contains(text, secret) {
		t.Error("a printed handoff shows the password")
	}
	_, err = Provider{}.Resume(providers.Handoff{Data: json.RawMessage(`{"password": "` + secret + `", "settings": 3}`)}, providers.Settings{})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a broken handoff: %v", err)
	}
}

func TestSecretEnvNamesEveryWayToTheAdministratorsLogin(t *testing.T) {
	secret := Provider{}.SecretEnv()
	for _, name := range []string{urlVariable, "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLKEY", "PGSSLCERT", "PGSSLPASSWORD"} {
		if !strings.Contains(" "+strings.Join(secret, " ")+" ", " "+name+" ") {
			t.Errorf("%s reaches the command", name)
		}
	}
}
