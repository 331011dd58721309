//go:build linux

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestRevocationThatIsNotProvenIsTold: the server goes while the commands run, or lets the administrator do nothing. Exit 0 means revoked; a command's own failure
// stays what it is; and the guards go on until the server is back, also with what was refused and with what was killed.
func TestRevocationThatIsNotProvenIsTold(t *testing.T) {
	for name, outage := range map[string]struct {
		begin, end func(*harness.PostgresServer)
	}{
		"stopped": {(*harness.PostgresServer).Stop, (*harness.PostgresServer).Start},
		"crashed": {(*harness.PostgresServer).Crash, (*harness.PostgresServer).Start},
		"frozen":  {(*harness.PostgresServer).Pause, (*harness.PostgresServer).Continue},
		"the administrator may not log in": {func(pg *harness.PostgresServer) {
			pg.Exec("postgres", "alter role ci_admin nologin; select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ci_admin'")
		}, func(pg *harness.PostgresServer) { pg.Exec("postgres", "alter role ci_admin login") }},
		"a database is closed": {func(pg *harness.PostgresServer) {
			pg.Exec("postgres", "create database attic")
			for _, role := range pg.Roles("wc_") {
				pg.Exec("attic", "create table "+role+" (id int); alter table "+role+" owner to "+role)
			}
			pg.Exec("postgres", "alter database attic allow_connections false")
		}, func(pg *harness.PostgresServer) { pg.Exec("postgres", "alter database attic allow_connections true") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pg := postgresRow(t)
			pg.Exec("postgres", "create role ci_admin superuser login password '"+pg.Password+"'")
			const timeout = time.Second
			begin := func(flags []string) *trial {
				src := s.direct(t, 1)
				src.env["PGUSER"] = "ci_admin"
				tr := newTrial(t, src, append(flags, "--revoke-timeout", timeout.String()), "sh", "-c", untilFinish)
				tr.start()
				return tr
			}
			cases := []struct {
				name          string
				flags         []string
				command, want int
				trial         *trial
			}{
				{name: "the command succeeded", command: 0, want: 125},
				{name: "the command failed", command: 7, want: 7},
				{name: "the command succeeded, warn", flags: []string{"--revoke-failure=warn"}, command: 0, want: 0},
			}
			for i := range cases {
				c := &cases[i]
				c.trial = begin(c.flags)
			}
			killed := begin(nil)
			killed.file("login")
			for _, c := range cases {
				c.trial.file("login")
			}
			outage.begin(pg)
			began := time.Now()
			send(killed.pid(), syscall.SIGKILL)
			for _, c := range cases {
				c.trial.finish(c.command)
			}
			for _, c := range cases {
				code := c.trial.wait()
				if code != c.want {
					t.Errorf("%s: exit code %d, want %d", c.name, code, c.want)
				}
				if stderr := c.trial.stderr.String(); !strings.Contains(stderr, "is not proven to be revoked") || !strings.Contains(stderr, "the guard goes on") {
					t.Errorf("%s: stderr does not say so:\n%s", c.name, stderr)
				}
				r := c.trial.receipt()
				if v := r.Credentials[0].Revocation; v == nil || v.Proof != "failed" || v.Error == "" || r.ExitCode != c.want {
					t.Errorf("%s: the receipt says exit code %d, %+v", c.name, r.ExitCode, v)
				}
				if n := len(c.trial.guards()); n != 1 {
					t.Errorf("%s: %d guards go on, want 1", c.name, n)
				}
				if n := len(journals(c.trial.path("home"))); n != 1 {
					t.Errorf("%s: %d journals, want 1: a power cut now must not leave the role for good", c.name, n)
				}
			}
			// Three attempts' time is allowed for handing over and closing.
			if took := time.Since(began); took > timeout+16*time.Second {
				t.Errorf("the runs took %v to give up, with --revoke-timeout=%v", took, timeout)
			} else {
				t.Logf("the runs gave up after %v, with --revoke-timeout=%v", took.Round(time.Millisecond), timeout)
			}
			outage.end(pg)
			back := time.Now()
			for _, c := range cases {
				c.trial.cleanedUp(cleanUpLimit)
			}
			killed.cleanedUp(cleanUpLimit)
			t.Logf("all is gone %v after the server came back", time.Since(back).Round(time.Millisecond))
		})
	}
}

// TestAServerThatComesBackInTimeIsNoFailure: the foreground retries for as long as --revoke-timeout.
func TestAServerThatComesBackInTimeIsNoFailure(t *testing.T) {
	s, pg := postgresRow(t)
	tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", untilFinish)
	tr.start()
	tr.file("login")
	pg.Stop()
	tr.finish(0)
	time.Sleep(500 * time.Millisecond)
	pg.Start()
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	if proof := tr.receipt().Credentials[0].Revocation.Proof; proof != "proven" {
		t.Errorf("proof %s", proof)
	}
	tr.endedClean()
}
