//go:build !windows

package harness

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMariaDBStartsStopsAndKeepsItsData(t *testing.T) {
	s := MariaDB(t)
	s.Exec("CREATE USER wc_probe IDENTIFIED VIA mysql_native_password USING ''")
	s.Stop()
	if _, err := s.Connect(s.User, s.Password, ""); err == nil {
		t.Error("a stopped server accepted a login")
	}
	s.Start()
	if got := s.Users("wc_"); !slices.Equal(got, []string{"wc_probe"}) {
		t.Errorf("users after a restart: %q", got)
	}
	if !strings.Contains(s.Log(), "CREATE USER wc_probe") {
		t.Error("the log lacks a statement that was run")
	}
	if _, err := s.Connect(s.User, "not "+s.Password, ""); err == nil {
		t.Error("a wrong password was accepted: authentication is not on")
	}
}

func TestMariaDBPausedServerAcceptsAndNeverAnswers(t *testing.T) {
	s := MariaDB(t)
	conn, err := s.Connect(s.User, s.Password, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "DO 1"); ctx.Err() == nil {
		t.Errorf("a paused server answered (%v)", err)
	}
	s.Continue()
	var one int
	if s.QueryRow("SELECT 1", &one); one != 1 {
		t.Error("the server did not go on")
	}
}
