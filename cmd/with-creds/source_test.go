//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/testdata/harness"
)

// A source is one kind of credential as a trial uses it: how it is asked for, and how to look at the server for what is left of it.
// Every source is isolated from all others, so what is there is the trial's.
type source struct {
	specs []string          // each bound to names of its own
	env   map[string]string // the administrator's login
	left  func() []string   // what there is on the server at this moment
	// usable reports whether the server lets one in with what was issued.
	usable func(t testing.TB, username, password string) bool
}

// A server is a row of the tables that the tests go through: where its sources come from, and the moments of a run that a proxy can find
// in the traffic with it.
type server struct {
	name    string
	address string
	secrets []string      // variables of its sources' env that hold one
	log     func() string // what the server has written
	// source makes an isolated source of n credentials, reached at that address: the server's, or a proxy's.
	source  func(t testing.TB, address string, n int) *source
	moments []moment
}

// A moment is a request (or the answer to it) at which a proxy holds a run up.
type moment struct {
	name   string
	holds  string // what the request contains; empty: the first there is
	answer bool   // hold the answer, not the request
}

// servers starts every server there is a row for.
func servers(t testing.TB) []server {
	t.Helper()
	pg, _ := postgresRow(t)
	return []server{pg}
}

var sourcesSoFar atomic.Int64

// postgresRow is a PostgreSQL server of its own and the row for it: logins issued by postgres:GROUP.
func postgresRow(t testing.TB) (server, *harness.PostgresServer) {
	t.Helper()
	pg := harness.Postgres(t)
	return server{
		secrets: []string{"PGPASSWORD"}, log: pg.Log,
		name: "postgres", address: pg.Host + ":" + strconv.Itoa(pg.Port),
		source: func(t testing.TB, address string, n int) *source {
			t.Helper()
			group := fmt.Sprintf("k%d", sourcesSoFar.Add(1))
			pg.Exec("postgres", "create role "+group+" nologin")
			s := &source{env: adminEnv(pg), left: func() []string { return pg.Roles("wc_" + group + "_") }}
			s.env = maps.Clone(s.env)
			s.env["PGHOST"], s.env["PGPORT"] = splitAddress(t, address)
			for i := range n {
				s.specs = append(s.specs, fmt.Sprintf("postgres:%s USER_%d=username PASSWORD_%d=password", group, i, i))
			}
			s.usable = func(t testing.TB, username, password string) bool { return canLogIn(t, pg, username, password) }
			return s
		},
		moments: []moment{
			{name: "before login"},
			{name: "login answered", answer: true},
			{name: "issuing", holds: "create role"},
			{name: "issued and not known", holds: "create role", answer: true},
			{name: "revoking", holds: "NOLOGIN"},
			{name: "barred and not known", holds: "NOLOGIN", answer: true},
			{name: "dropping", holds: "DROP ROLE"},
			{name: "dropped and not known", holds: "DROP ROLE", answer: true},
		},
	}, pg
}

// canLogIn tries it. An answer other than yes or no ends the test.
func canLogIn(t testing.TB, pg *harness.PostgresServer, username, password string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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
