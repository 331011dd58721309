//go:build !windows

package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A server told not to wait for its disk forgets the last commits when it crashes. A role must not come back that way.
func TestRoleStaysGoneWhenAServerWithoutSynchronousCommitCrashes(t *testing.T) {
	s := openShop(t, harness.PostgresSetting("synchronous_commit", "off"), harness.PostgresSetting("wal_writer_delay", "10s"))
	c, _ := s.Issue("readonly")
	s.Exec("shop", "set synchronous_commit to on; create role kept") // with the WAL flushed up to here, the role's making is kept
	s.Revoke(s.Session, c.Lease)
	s.Crash()
	s.Start()
	if roles := s.Roles("wc_"); len(roles) != 0 {
		t.Errorf("back from the dead: %q", roles)
	}
}

func TestFailedLoginSaysWhatToDoAndNoSecret(t *testing.T) {
	s := openShop(t)
	wrong := "wrong" + s.Password
	tests := []struct {
		name, url, want string
		refused         bool
	}{
		{"wrong password", s.URL("postgres", wrong, "shop"), "check the administrator's login in " + urlVariable, true},
		{"unknown user", s.URL("nobody", wrong, "shop"), "check the administrator's login", true},
		{"unknown database", s.AdminURL("nowhere"), "check PGDATABASE", true},
		{"nobody listens", strings.Replace(s.AdminURL("shop"), fmt.Sprint(s.Port), "1", 1), "connection refused", false},
		{"encryption the server does not have", strings.Replace(s.AdminURL("shop"), "disable", "require", 1), "TLS", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.Env[urlVariable] = test.url
			_, err := Provider{}.Open(harness.Within(t, 5*time.Second), s.Settings())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error: %v\nwant: …%s…", err, test.want)
			}
			if errors.Is(err, providers.ErrRefused) != test.refused {
				t.Errorf("refused: %t, want %t", !test.refused, test.refused)
			}
			if !strings.HasPrefix(err.Error(), "postgres: ") || strings.Contains(err.Error(), ": postgres: ") {
				t.Errorf("the provider is named more than once, or never: %v", err)
			}
			noSecret(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err), s.Password, wrong)
		})
	}
}
