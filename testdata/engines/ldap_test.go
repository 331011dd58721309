//go:build linux

package engines

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func withLDAP(t *testing.T) (*world, *harness.LDAPServer) {
	t.Helper()
	w := newWorld(t)
	ldap := harness.LDAP(t)
	w.mount("ldap")
	w.vault.Write("ldap/config", map[string]any{
		"binddn": ldap.Admin, "bindpass": ldap.Password, "url": ldap.URL, "schema": "openldap", "userdn": "ou=people," + ldap.Base, "userattr": "cn",
	})
	w.env = []string{"LDAPURI=" + ldap.URL, "BASE=" + ldap.Base}
	return w, ldap
}

// search is a bind and a search, by whatever DN the credential has.
const search = `ldapsearch -x -LLL -y "$LDAP_PASSWORD_FILE" -b "$BASE" -s base dn`

func TestLDAPDynamicAccount(t *testing.T) {
	w, ldap := withLDAP(t)
	w.vault.Write("ldap/role/reader", map[string]any{
		"creation_ldif": "dn: cn={{.Username}},ou=people,dc=test\nobjectClass: inetOrgPerson\ncn: {{.Username}}\nsn: {{.Username}}\nuserPassword: {{.Password}}\n",
		"deletion_ldif": "dn: cn={{.Username}},ou=people,dc=test\nchangetype: delete\n",
		"default_ttl":   "1h", "max_ttl": "24h",
	})
	w.run("vault:ldap/creds/reader as=ldap", search).succeeded(providers.Proven).says("dn: dc=test")
	if left := ldap.People(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestLDAPStaticAccount(t *testing.T) {
	w, ldap := withLDAP(t)
	dn, password := ldap.AddPerson("backup")
	w.vault.Write("ldap/static-role/backup", map[string]any{"dn": dn, "username": "backup", "rotation_period": "1h"})
	w.run("vault:ldap/static-cred/backup as=ldap", search).succeeded(providers.Expires).says("dn: dc=test").hides(password)
	if ldap.Binds(dn, password) {
		t.Error("the password was not rotated")
	}
}

func TestLDAPLibraryAccountIsCheckedInOnExit(t *testing.T) {
	w, ldap := withLDAP(t)
	dn, _ := ldap.AddPerson("shared")
	w.vault.Write("ldap/library/ci", map[string]any{"service_account_names": []string{"shared"}, "ttl": "1h", "max_ttl": "2h"})
	w.env = append(w.env, "LDAPBINDDN="+dn)
	for range 2 { // the second finds it there
		w.run("vault:ldap/library/ci/check-out as=ldap", search+`; echo "as $LDAP_USERNAME"; echo "with $LDAP_PASSWORD"`).
			succeeded(providers.Proven).says("dn: dc=test", "as shared", "with ***")
		_, body := w.vault.Raw(w.vault.RootToken, "GET", "ldap/library/ci/status", "")
		var status struct {
			Data map[string]struct{ Available bool }
		}
		if err := json.Unmarshal([]byte(body), &status); err != nil || !status.Data["shared"].Available {
			t.Errorf("not checked in: %v %s", err, body)
		}
	}
	if names := ldap.People(); !slices.Equal(names, []string{"shared"}) {
		t.Errorf("people are %s", strings.Join(names, " "))
	}
}
