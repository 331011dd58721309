package mysql

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// Who makes logins for a database needs no right in it, and is refused at the door when the address names it.
func TestAnAdministratorWithoutRightsInTheDatabaseIsToldToLeaveItOut(t *testing.T) {
	s := harness.MariaDB(t)
	s.Exec("CREATE DATABASE shop; CREATE USER ci_admin IDENTIFIED BY '" + s.Password + "'; GRANT CREATE USER ON *.* TO ci_admin")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Provider{}.Open(ctx, providers.Settings{Run: "r7k2", Lookup: func(name string) (string, bool) {
		return s.URL("ci_admin", s.Password, "shop"), name == urlVariable
	}})
	if err == nil || !strings.Contains(err.Error(), "leave the database out of "+urlVariable) {
		t.Errorf("the error: %v", err)
	}
}
