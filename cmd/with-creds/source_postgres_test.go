//go:build linux

package main

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/testdata/harness"
)

// postgresRow is a PostgreSQL server of its own and the row for it: logins issued by postgres:GROUP.
func postgresRow(t testing.TB) (server, *harness.PostgresServer) {
	t.Helper()
	pg := harness.Postgres(t)
	return server{
		secrets: []string{"PGPASSWORD"}, log: pg.Log,
		name: "postgres", address: pg.Host + ":" + strconv.Itoa(pg.Port),
		source: func(t testing.TB, address string, o order) *source {
			t.Helper()
			group := newSourceName()
			pg.Exec("postgres", "create role "+group+" nologin")
			s := &source{env: adminEnv(pg), left: func() []string { return pg.Roles("wc_" + group + "_") }}
			s.env = maps.Clone(s.env)
			s.env["PGHOST"], s.env["PGPORT"] = splitAddress(t, address)
			from := "postgres:" + group
			if o.life > 0 {
				from += "?ttl=" + o.life.String()
			}
			s.specs = o.specs(from)
			s.usable = func(t testing.TB, username, password string) bool { return canLogIn(t, pg, username, password) }
			return s
		},
		moments: []moment{
			{name: "before login"},
			{name: "login answered", answer: true},
			{name: "issuing", holds: "create role"},
			{name: "issued and not known", holds: "create role", answer: true},
			{name: "renewing", holds: "alter role", lasting: true, leash: shortLeash},
			{name: "replacing", holds: "create role", nth: 2, lasting: true, order: order{files: true, life: shortLife}},
			{name: "replaced and not known", holds: "create role", nth: 2, answer: true, lasting: true, order: order{files: true, life: shortLife}},
			{name: "revoking", holds: "NOLOGIN"},
			{name: "barred and not known", holds: "NOLOGIN", answer: true},
			{name: "dropping", holds: "DROP ROLE"},
			{name: "dropped and not known", holds: "DROP ROLE", answer: true},
		},
	}, pg
}

// shortLeash is the shortest there is; a lease on it is renewed after about three seconds.
const shortLeash = 5 * time.Second

// shortLife is that of a credential which has to be replaced as soon as it is issued.
const shortLife = 6 * time.Second

// canLogIn tries it. An answer other than yes or no ends the test.
func canLogIn(t testing.TB, pg *harness.PostgresServer, username, password string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, pg.URL(username, password, "postgres"))
	if err == nil {
		c.Close(ctx)
		return true
	}
	// 28P01: the password is wrong, or its VALID UNTIL has passed. 28000: the role may not log in, or is not there.
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && (refusal.Code == "28P01" || refusal.Code == "28000") {
		return false
	}
	t.Fatal(err)
	return false
}
