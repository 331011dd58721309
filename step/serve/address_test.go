package serve

import (
	"testing"

	"github.com/with-creds/with-creds/providers"
)

func TestHostAndPortMeanTheSameHoweverTheyAreWritten(t *testing.T) {
	for _, c := range []struct{ host, port, wantHost, wantPort, wantAddress string }{
		{"db", "", "db", "", "db"},
		{"db", "5433", "db", "5433", "db:5433"},
		{"db:5433", "", "db", "5433", "db:5433"},
		{"db:5433", "1", "db", "5433", "db:5433"},
		{"127.0.0.1:5433", "", "127.0.0.1", "5433", "127.0.0.1:5433"},
		{"::1", "", "::1", "", "[::1]"},
		{"[::1]", "5433", "::1", "5433", "[::1]:5433"},
		{"[::1]:5433", "", "::1", "5433", "[::1]:5433"},
		{"fe80::1", "5433", "fe80::1", "5433", "[fe80::1]:5433"},
		{"one:1,two", "", "one,two", "1,", "one:1,two"},
		{"one,two", "1,2", "one,two", "1,2", "one:1,two:2"},
		{"one,two", "1", "one,two", "1", "one:1,two:1"},
		{"one:27017,two:27018", "", "one,two", "27017,27018", "one:27017,two:27018"},
		{"/run/postgresql", "5433", "/run/postgresql", "5433", "/run/postgresql"},
		{"db,1444", "", "db,1444", "", "db,1444"}, // as sqlcmd has it
		{`db\instance`, "", `db\instance`, "", `db\instance`},
		{"db:name", "", "db:name", "", "db:name"},
		{"db:", "", "db", "", "db"},
		{"", "5433", "", "5433", ""},
	} {
		given := providers.Credential{Fields: []providers.Field{{Name: "host", Value: c.host}}}
		if c.port != "" {
			given.Fields = append(given.Fields, providers.Field{Name: "port", Value: c.port, Secret: true})
		}
		got := Located(given)
		for name, want := range map[string]string{"host": c.wantHost, "port": c.wantPort, "address": c.wantAddress} {
			if f, _ := got.Field(name); f.Value != want {
				t.Errorf("host=%s port=%s: %s is %q, want %q", c.host, c.port, name, f.Value, want)
			}
		}
		if f, _ := got.Field("address"); f.Secret != (c.port != "" && c.host != "") {
			t.Errorf("host=%s port=%s: whether the address is a secret: %t", c.host, c.port, f.Secret)
		}
		if f, _ := given.Field("host"); f.Value != c.host {
			t.Error("what was given is changed")
		}
	}
	if c := Located(providers.Credential{}); len(c.Fields) > 0 {
		t.Errorf("got %v", c)
	}
}
