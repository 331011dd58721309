//go:build linux

package engines

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
	"github.com/with-creds/with-creds/testdata/harness"
)

// Active Directory is LDAP with a schema and a protocol of passwords of its own: unicodePwd, over TLS alone. Samba's is the real thing but for the name.
func TestActiveDirectory(t *testing.T) {
	w := trial.New(t)
	ad := harness.Samba(t)
	w.Mount("ldap")
	w.Vault.Write("ldap/config", map[string]any{
		"binddn": ad.Admin, "bindpass": ad.Password, "url": ad.URL, "schema": "ad", "certificate": ad.CA, "userdn": "CN=Users," + ad.Base, "userattr": "sAMAccountName",
	})
	w.Env = []string{"LDAPURI=" + ad.URL, "LDAPTLS_CACERT=" + ad.CAFile, "BASE=" + ad.Base}

	t.Run("dynamic account", func(t *testing.T) {
		w := w.In(t)
		// https://developer.hashicorp.com/vault/docs/secrets/ldap#active-directory-ad-1
		w.Vault.Write("ldap/role/reader", map[string]any{
			"creation_ldif": `dn: CN={{.Username}},CN=Users,DC=test,DC=local
changetype: add
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: user
userPrincipalName: {{.Username}}@test.local
sAMAccountName: {{.Username}}

dn: CN={{.Username}},CN=Users,DC=test,DC=local
changetype: modify
replace: unicodePwd
unicodePwd::{{ printf "%q" .Password | utf16le | base64 }}
-
replace: userAccountControl
userAccountControl: 66048
-
`,
			"deletion_ldif":     "dn: CN={{.Username}},CN=Users,DC=test,DC=local\nchangetype: delete\n",
			"username_template": "v_{{random 12}}", "default_ttl": "1h", "max_ttl": "24h",
		})
		w.Run("vault:ldap/creds/reader as=ldap", search+`; echo "with $LDAP_PASSWORD"`).Succeeded(providers.Proven).Says("dn: DC=test,DC=local", "with ***")
		if left := ad.Users("v_"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
	t.Run("static account", func(t *testing.T) {
		w := w.In(t)
		dn, password := ad.AddPerson("backup")
		w.Vault.Write("ldap/static-role/backup", map[string]any{"dn": dn, "username": "backup", "rotation_period": "1h"})
		w.Run("vault:ldap/static-cred/backup as=ldap", search).Succeeded(providers.Expires).Says("dn: DC=test,DC=local").Hides(password).Lasts(time.Hour)
		if ad.Binds(dn, password) {
			t.Error("the password was not rotated")
		}
	})
	t.Run("account lent from a pool", func(t *testing.T) {
		w := w.In(t)
		dn, _ := ad.AddPerson("shared")
		w.Vault.Write("ldap/library/ci", map[string]any{"service_account_names": []string{"shared"}, "ttl": "1h", "max_ttl": "2h"})
		lent := filepath.Join(t.TempDir(), "password")
		w.Env = append(w.Env, "LDAPBINDDN="+dn, "LENT="+lent)
		w.Run("vault:ldap/library/ci/check-out as=ldap", search+`; echo "as $LDAP_USERNAME"; printf %s "$LDAP_PASSWORD" >"$LENT"`).Succeeded(providers.Proven).Says("dn: DC=test,DC=local", "as shared")
		_, body := w.Vault.Raw(w.Vault.RootToken, "GET", "ldap/library/ci/status", "")
		var status struct {
			Data map[string]struct{ Available bool }
		}
		if err := json.Unmarshal([]byte(body), &status); err != nil || !status.Data["shared"].Available {
			t.Errorf("not checked in: %v %s", err, body)
		}
		if password, err := os.ReadFile(lent); err != nil || len(password) == 0 || ad.Binds(dn, string(password)) {
			t.Errorf("the password that was lent is still good (%v)", err)
		}
	})
}
