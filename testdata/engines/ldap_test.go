//go:build linux

package engines

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
	"github.com/with-creds/with-creds/testdata/harness"
)

func withLDAP(t *testing.T) (*trial.World, *harness.LDAPServer) {
	t.Helper()
	w := trial.New(t)
	ldap := harness.LDAP(t)
	w.Mount("ldap")
	w.Vault.Write("ldap/config", map[string]any{
		"binddn": ldap.Admin, "bindpass": ldap.Password, "url": ldap.URL, "schema": "openldap", "userdn": "ou=people," + ldap.Base, "userattr": "cn",
	})
	w.Env = []string{"LDAPURI=" + ldap.URL, "BASE=" + ldap.Base}
	return w, ldap
}

// search is a bind and a search, by whatever DN the credential has.
const search = `ldapsearch -x -LLL -y "$LDAP_PASSWORD_FILE" -b "$BASE" -s base dn`

func TestLDAPDynamicAccount(t *testing.T) {
	w, ldap := withLDAP(t)
	w.Vault.Write("ldap/role/reader", map[string]any{
		"creation_ldif": "dn: cn={{.Username}},ou=people,dc=test\nobjectClass: inetOrgPerson\ncn: {{.Username}}\nsn: {{.Username}}\nuserPassword: {{.Password}}\n",
		"deletion_ldif": "dn: cn={{.Username}},ou=people,dc=test\nchangetype: delete\n",
		"default_ttl":   "1h", "max_ttl": "24h",
	})
	w.Run("vault:ldap/creds/reader as=ldap", search).Succeeded(providers.Proven).Says("dn: dc=test")
	if left := ldap.People(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestLDAPStaticAccount(t *testing.T) {
	w, ldap := withLDAP(t)
	dn, password := ldap.AddPerson("backup")
	w.Vault.Write("ldap/static-role/backup", map[string]any{"dn": dn, "username": "backup", "rotation_period": "1h"})
	w.Run("vault:ldap/static-cred/backup as=ldap", search).Succeeded(providers.Expires).Says("dn: dc=test").Hides(password).Lasts(time.Hour)
	if ldap.Binds(dn, password) {
		t.Error("the password was not rotated")
	}
}

func TestLDAPLibraryAccountIsCheckedInOnExit(t *testing.T) {
	w, ldap := withLDAP(t)
	dn, _ := ldap.AddPerson("shared")
	w.Vault.Write("ldap/library/ci", map[string]any{"service_account_names": []string{"shared"}, "ttl": "1h", "max_ttl": "2h"})
	lent := filepath.Join(t.TempDir(), "password")
	w.Env = append(w.Env, "LDAPBINDDN="+dn, "LENT="+lent)
	for range 2 { // the second finds it there
		w.Run("vault:ldap/library/ci/check-out as=ldap", search+`; echo "as $LDAP_USERNAME"; echo "with $LDAP_PASSWORD"; printf %s "$LDAP_PASSWORD" >"$LENT"`).
			Succeeded(providers.Proven).Says("dn: dc=test", "as shared", "with ***")
		_, body := w.Vault.Raw(w.Vault.RootToken, "GET", "ldap/library/ci/status", "")
		var status struct {
			Data map[string]struct{ Available bool }
		}
		if err := json.Unmarshal([]byte(body), &status); err != nil || !status.Data["shared"].Available {
			t.Errorf("not checked in: %v %s", err, body)
		}
		if password, err := os.ReadFile(lent); err != nil || len(password) == 0 || ldap.Binds(dn, string(password)) {
			t.Errorf("the password that was lent is still good (%v)", err)
		}
	}
	w.Env = []string{"LDAPURI=" + ldap.URL, "LDAPBASE=" + ldap.Base}
	w.Example("ldap/people.sh").Succeeded(providers.Proven).Says("cn: shared")
	if names := ldap.People(); !slices.Equal(names, []string{"shared"}) {
		t.Errorf("people are %s", strings.Join(names, " "))
	}
}
