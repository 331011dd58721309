//go:build !windows

package harness

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPostgresStartsStopsAndKeepsItsData(t *testing.T) {
	s := Postgres(t)
	s.Exec("postgres", "create role wc_probe nologin")
	s.Stop()
	if _, err := s.Connect(s.User, s.Password, "postgres"); err == nil {
		t.Error("a stopped server accepted a login")
	}
	s.Start()
	if got := s.Roles("wc_"); !slices.Equal(got, []string{"wc_probe"}) {
		t.Errorf("roles after a restart: %q", got)
	}
	if !strings.Contains(s.Log(), "create role wc_probe nologin") {
		t.Error("the log lacks a statement that was run")
	}
	if _, err := s.Connect(s.User, "not "+s.Password, "postgres"); err == nil {
		t.Error("a wrong password was accepted: authentication is not on")
	}
}

func TestPostgresPausedServerAcceptsAndNeverAnswers(t *testing.T) {
	s := Postgres(t)
	conn, err := s.Connect(s.User, s.Password, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "select 1"); ctx.Err() == nil {
		t.Errorf("a paused server answered (%v)", err)
	}
	s.Continue()
	var one int
	if s.QueryRow("postgres", &one, "select 1"); one != 1 {
		t.Error("the server did not go on")
	}
}
