//go:build !windows

package mysql

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func from(env map[string]string) providers.Settings {
	return providers.Settings{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func TestSettingsRankURLThenVariablesThenDefaults(t *testing.T) {
	vars := map[string]string{"MYSQL_HOST": "var.example", "MYSQL_TCP_PORT": "3307", "MYSQL_USER": "varuser", "MYSQL_PWD": "varpw", "MYSQL_DATABASE": "vardb"}
	with := func(pairs ...string) map[string]string {
		env := maps.Clone(vars)
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return env
	}
	for name, test := range map[string]struct {
		env  map[string]string
		want string // user:password@server/database tls
	}{
		"variables":               {vars, "varuser:varpw@var.example:3307/vardb PREFERRED"},
		"URL over variables":      {with(urlVariable, "mysql://u:p%40%3A%2F@url.example:1/db?ssl-mode=required"), "u:p@:/@url.example:1/db REQUIRED"},
		"URL fills up":            {with(urlVariable, "mysql://url.example"), "varuser:varpw@url.example:3307/vardb PREFERRED"},
		"defaults":                {map[string]string{"MYSQL_USER": "u"}, "u:@127.0.0.1:3306/ PREFERRED"},
		"an IPv6 address":         {with(urlVariable, "mariadb://u:p@[::1]:3308/"), "u:p@[::1]:3308/vardb PREFERRED"},
		"a socket":                {with("MYSQL_UNIX_PORT", "/run/my.sock"), "varuser:varpw@/run/my.sock/vardb DISABLED"},
		"a socket in the URL":     {with(urlVariable, "mysql://u:p@/db?socket=/run/url.sock"), "u:p@/run/url.sock/db DISABLED"},
		"a host over a socket":    {with("MYSQL_UNIX_PORT", "/run/my.sock", urlVariable, "mysql://u:p@url.example/db"), "u:p@url.example:3307/db PREFERRED"},
		"URL with a line end":     {with(urlVariable, "mysql://u:p@url.example/db\n"), "u:p@url.example:3307/db PREFERRED"},
		"empty counts as not set": {with(urlVariable, "", "MYSQL_UNIX_PORT", ""), "varuser:varpw@var.example:3307/vardb PREFERRED"},
	} {
		got, err := resolve(from(test.env))
		if text := got.User + ":" + got.Password + "@" + got.server() + "/" + got.Database + " " + got.TLS; err != nil || text != test.want {
			t.Errorf("%s: %s (%v), want %s", name, text, err, test.want)
		}
		if text := fmt.Sprintf("%v %+v %#v", got, got, got); len(got.Password) > 3 && strings.Contains(text, got.Password) {
			t.Errorf("%s: a printed target holds the password", name)
		}
	}
}

func TestWrongSettingsAreSaidWithoutThePassword(t *testing.T) {
	for text, says := range map[string]string{
		"postgres://u:s3cret@h/d":                   "not a connection URI",
		"mysql:u:s3cret@h":                          "not a connection URI",
		"mysql://u:s3cret@h:s3cret/d":               "not a connection URI",
		"mysql://u:s3%cret@h/d":                     "not a connection URI",
		"mysql://u:s3cret@h/d#s3cret":               "write %23",
		"mysql://u:s3cret@h:0/d":                    "not a number from 1",
		"mysql://u:s3cret@h/d?sslmode=require":      "there are socket, ssl-mode",
		"mysql://u:s3cret@h/d?ssl-mode=s3cret-like": "there are DISABLED, PREFERRED",
		"mysql://u:s3cret@h/d?ssl-mode=VERIFY_CA":   "add ssl-ca=FILE",
		"mysql://u:s3cret@h/d?ssl-ca=/nowhere":      "no such file",
		"mysql://u:s3cret@/d?socket=relative":       "not an absolute path",
		"mysql://h/d":                               "no administrator's name",
	} {
		_, err := Provider{}.Open(t.Context(), from(map[string]string{urlVariable: text}))
		if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), says) || strings.Contains(strings.ReplaceAll(err.Error(), "s3cret-like", ""), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOverASocketTheCommandIsToldTheSocket(t *testing.T) {
	s := openShop(t)
	u := url.URL{Scheme: "mysql", User: url.UserPassword(s.User, s.Password), Path: "/shop", RawQuery: url.Values{"socket": {s.Socket}}.Encode()}
	s.Env[urlVariable] = u.String()
	s.Session = s.Open(s.Settings())
	c, fields := s.Issue("readonly")
	if fields["host"] != "localhost" || fields["socket"] != s.Socket || fields["port"] != "" || !strings.Contains(fields["url"], "socket=") {
		t.Errorf("host %q, socket %q, port %q", fields["host"], fields["socket"], fields["port"])
	}
	s.Revoke(s.Guard(s.Session), c.Lease)
}

func TestTLSModesMeanWhatTheMySQLClientsMean(t *testing.T) {
	ca, other := harness.NewAuthority(t), harness.NewAuthority(t)
	dir, err := os.MkdirTemp("", "wc-my-tls-") // not t.TempDir: the server's account cannot enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, 0o644)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours, theirs := url.QueryEscape(write("ours.pem", ca.PEM)), url.QueryEscape(write("theirs.pem", other.PEM))
	serving := func(name string) *shop {
		cert, key := ca.Sign(name, name)
		return openShop(t, harness.MariaDBSetting("ssl-cert", write(name+".pem", cert)), harness.MariaDBSetting("ssl-key", write(name+".key", key)))
	}
	named, elsewhere, plain := serving("127.0.0.1"), serving("db.example"), openShop(t)
	for _, test := range []struct {
		name, query string
		server      *shop
		encrypted   bool
		says        string // "": it is let in
		host        string // "": 127.0.0.1
	}{
		{"preferred, from afar", "", named, true, "", afar},
		{"preferred, from afar, without TLS there", "", plain, false, "", afar},
		{"preferred", "", named, true, "", ""},
		{"preferred, without TLS there", "", plain, false, "", ""},
		{"disabled", "ssl-mode=DISABLED", named, false, "", ""},
		{"required", "ssl-mode=REQUIRED", elsewhere, true, "", ""},
		{"required, without TLS there", "ssl-mode=REQUIRED", plain, false, "TLS", ""},
		{"an authority is given", "ssl-ca=" + ours, elsewhere, true, "", ""},
		{"another authority is given", "ssl-ca=" + theirs, named, false, "unknown authority", ""},
		{"identity", "ssl-mode=VERIFY_IDENTITY&ssl-ca=" + ours, named, true, "", ""},
		{"identity of another", "ssl-mode=VERIFY_IDENTITY&ssl-ca=" + ours, elsewhere, false, "127.0.0.1", ""},
	} {
		test.server.Env[urlVariable] = strings.Replace(test.server.AdminURL("shop"), "127.0.0.1", cmp.Or(test.host, "127.0.0.1"), 1) + "?" + test.query
		opened, err := Provider{}.Open(harness.Within(t, 60*time.Second), test.server.Settings())
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", test.name, err, test.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		session := opened.(*Session)
		var cipher string
		if err := session.Use(harness.Within(t, 60*time.Second), func(c *connection) error {
			results, err := c.exec(t.Context(), "SHOW SESSION STATUS LIKE 'Ssl_cipher'", row(2))
			if err == nil {
				cipher = results[0][0][1]
			}
			return err
		}); err != nil || (cipher != "") != test.encrypted {
			t.Errorf("%s: cipher %q (%v), want encryption: %t", test.name, cipher, err, test.encrypted)
		}
		// The guard has the files' content, wherever it is.
		if text, _ := json.Marshal(session.target); strings.Contains(test.query, "ssl-ca") && !strings.Contains(string(text), "BEGIN CERTIFICATE") {
			t.Errorf("%s: the handoff lacks the authority", test.name)
		}
		session.Close(t.Context())
	}
}
