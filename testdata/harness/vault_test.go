//go:build !windows

package harness_test

import (
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

func TestVaultIssuesUsersOfPostgresThatVanishOnRevoke(t *testing.T) {
	vault, pg := harness.Vault(t), harness.Postgres(t)
	vault.EnablePostgres(pg)
	vault.EnableAudit()

	secret := vault.LeaseOf(vault.RootToken, "database/creds/readonly")
	user, password := secret.Data["username"].(string), secret.Data["password"].(string)
	if _, err := pg.Connect(user, password, "app"); err != nil {
		t.Errorf("the user that Vault made cannot log in: %v", err)
	}
	if got := vault.Leases("database/creds"); len(got) != 1 || got[0] != secret.LeaseID {
		t.Errorf("leases are %q, want %q", got, secret.LeaseID)
	}
	vault.Write("sys/leases/revoke", map[string]any{"lease_id": secret.LeaseID, "sync": true})
	if got := pg.Roles("v-"); len(got) != 0 {
		t.Errorf("roles are left after the revocation: %q", got)
	}
	if got := vault.Leases("database/creds"); len(got) != 0 {
		t.Errorf("leases are left after the revocation: %q", got)
	}
	var paths []string
	for _, e := range vault.Audit() {
		paths = append(paths, e.Type+" "+e.Request.Path)
	}
	if !strings.Contains(strings.Join(paths, "\n"), "response database/creds/readonly") {
		t.Errorf("the audit log does not show the read: %q", paths)
	}
}

func TestVaultOnDiskKeepsItsLeasesAcrossARestart(t *testing.T) {
	vault, pg := harness.Vault(t, harness.VaultOnDisk()), harness.Postgres(t)
	vault.EnablePostgres(pg)
	id := vault.LeaseOf(vault.RootToken, "database/creds/readonly").LeaseID
	vault.Stop()
	vault.Start()
	if got := vault.Leases("database/creds"); len(got) != 1 || got[0] != id {
		t.Errorf("leases are %q after a restart, want %q", got, id)
	}
	vault.Seal()
	if status, body := vault.Raw(vault.RootToken, "GET", "auth/token/lookup-self", ""); status != 503 {
		t.Errorf("a sealed server answers %d %s", status, body)
	}
	vault.Unseal()
}

func TestVaultWithClientCertificates(t *testing.T) {
	vault := harness.Vault(t, harness.VaultClientCert())
	if status, body := vault.Raw(vault.RootToken, "GET", "auth/token/lookup-self", ""); status != 200 {
		t.Errorf("answer %d %s", status, body)
	}
}
