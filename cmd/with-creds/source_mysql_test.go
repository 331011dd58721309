//go:build linux

package main

import (
	"strconv"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// mysqlRow is a MariaDB server of its own, which carries out scheduled events, and the row for it: logins issued by mysql:ROLE.
func mysqlRow(t testing.TB) server {
	t.Helper()
	db := harness.MariaDB(t, harness.MariaDBSetting("event-scheduler", "ON"))
	return server{
		secrets: []string{"MYSQL_PWD"}, log: db.Log,
		name: "mysql", address: db.Host + ":" + strconv.Itoa(db.Port),
		source: func(t testing.TB, address string, o order) *source {
			t.Helper()
			role := newSourceName()
			db.Exec("CREATE ROLE " + role + "; GRANT PROCESS ON *.* TO " + role)
			s := &source{left: func() []string { return db.Users("wc_" + role + "_") }}
			host, port := splitAddress(t, address)
			s.env = map[string]string{"MYSQL_HOST": host, "MYSQL_TCP_PORT": port, "MYSQL_USER": db.User, "MYSQL_PWD": db.Password}
			from := "mysql:" + role
			if o.life > 0 {
				from += "?ttl=" + o.life.String()
			}
			s.specs = o.specs(from)
			s.usable = func(t testing.TB, username, password string) bool {
				_, err := db.Connect(username, password, "")
				return err == nil
			}
			return s
		},
		moments: []moment{
			{name: "before login"},
			{name: "login answered", answer: true},
			{name: "issuing", holds: "CREATE USER"},
			{name: "issued and not known", holds: "CREATE USER", answer: true},
			{name: "renewing", holds: "ALTER EVENT", lasting: true, leash: shortLeash},
			{name: "replacing", holds: "CREATE USER", nth: 2, lasting: true, order: order{files: true, life: shortLife}},
			{name: "dropping", holds: "DROP USER"},
			{name: "dropped and not known", holds: "DROP USER", answer: true},
		},
	}
}
