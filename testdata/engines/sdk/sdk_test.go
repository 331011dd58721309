//go:build linux

package sdk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
	"github.com/with-creds/with-creds/testdata/harness"
)

// programs is where standin and client are, built once.
var programs string

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "with-creds-sdk-")
	if err == nil {
		defer os.RemoveAll(dir)
		if dir, err = filepath.EvalSymlinks(dir); err == nil { // Vault refuses a plugin behind a link
			var out []byte
			if out, err = exec.Command("go", "build", "-o", dir+"/", "./standin", "./client").CombinedOutput(); err != nil {
				err = fmt.Errorf("%w\n%s", err, out)
			}
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "building standin and client: %v\n", err)
		return 1
	}
	programs = dir
	return trial.Main(m)
}

// withStandin is a Vault with the stand-in mounted as an engine; the second result lists what there is of it.
func withStandin(t *testing.T, kind string) (*trial.World, func() string) {
	t.Helper()
	w := trial.New(t, harness.VaultPlugins(programs))
	kept := t.TempDir()
	w.Vault.Plugin(kind, "standin-"+kind, "standin", map[string]string{"database": "database", "secret": "secrets"}[kind], kept)
	w.Env = []string{"CLIENT=" + filepath.Join(programs, "client")}
	return w, func() string {
		entries, err := os.ReadDir(kept)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
}

// withDatabase has a role whose passwords hold every character that a URL, a shell or a file of settings takes for its own.
func withDatabase(t *testing.T) (*trial.World, func() string) {
	t.Helper()
	w, kept := withStandin(t, "database")
	w.Vault.Write("sys/policies/password/awkward", map[string]any{"policy": `length = 40
rule "charset" {
  charset = "@:/?#%&+= ;,$!'~*()[]{}<>|^\\` + "`" + `abcXYZ019"
}
rule "charset" {
  charset = "@:/?#%&+="
  min-chars = 12
}`})
	w.Mount("database")
	w.Vault.Write("database/config/standin", map[string]any{"plugin_name": "standin-database", "allowed_roles": "*", "password_policy": "awkward"})
	w.Vault.DatabaseRole("app", "standin", "-", "1h", "24h")
	return w, kept
}

func gone(t *testing.T, kept func() string) {
	t.Helper()
	if left := kept(); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestMongoDB(t *testing.T) {
	w, kept := withDatabase(t)
	for range 20 { // passwords
		w.Run("vault:database/creds/app?host=one:27017,two:27017&database=shop as=mongodb", `
			"$CLIENT" mongodb
			test "$(sed -n 's/^uri: "\(.*\)"$/\1/p' "$MONGODB_TOOLS_CONFIG")" = "$MONGODB_URI" && echo 'the same in the file'`).
			Succeeded(providers.Proven).Says("hosts [one:27017 two:27017] database shop authenticates in admin", "the same in the file")
	}
	gone(t, kept)
}

func TestMSSQL(t *testing.T) {
	w, kept := withDatabase(t)
	for range 20 {
		w.Run("vault:database/creds/app?host=db.example.com&database=shop as=mssql", `"$CLIENT" mssql; echo "server $SQLCMDSERVER $SQLCMDDBNAME"`).
			Succeeded(providers.Proven).Says("host db.example.com database shop", "server db.example.com shop")
	}
	gone(t, kept)
}

func TestOracle(t *testing.T) {
	w, kept := withDatabase(t)
	for range 20 {
		w.Run("vault:database/creds/app?host=db:1521&database=ORCLPDB1 as=oracle", `
			"$CLIENT" oracle
			sed -n 's/^connect [^ ]*".*"@//p' "$ORACLE_LOGIN_SQL"; sed -n 1p "$ORACLE_LOGIN_SQL"
			case $ORACLE_LOGIN_SQL in *.sql) ;; *) echo "SQL*Plus looks for $ORACLE_LOGIN_SQL.sql"; exit 1 ;; esac
			grep -qF "/\"$ORACLE_PASSWORD\"@" "$ORACLE_LOGIN_SQL" && echo 'the same in the script'`).
			Succeeded(providers.Proven).Says("server db port 1521 service ORCLPDB1", "//db:1521/ORCLPDB1", "set define off", "the same in the script")
	}
	w.Run("vault:database/creds/app?host=db:1521&database=ORCLPDB1 as=oracle-tns", `"$CLIENT" oracle-tns; echo "${ORACLE_LOGIN_SQL##*.}"; stat -c %a "$TNS_ADMIN" "$TNS_ADMIN/tnsnames.ora"`).
		Succeeded(providers.Proven).Says("server db port 1521 service ORCLPDB1", "sql", "700", "600")
	gone(t, kept)
}

func TestAzureServicePrincipal(t *testing.T) {
	w, kept := withStandin(t, "secret")
	w.Vault.Mount("azure", "standin-secret")
	w.Run("vault:azure/creds/deploy?tenant_id=11111111-2222-3333-4444-555555555555 as=azure", `"$CLIENT" azure; echo "secret $ARM_CLIENT_SECRET"`).
		Succeeded(providers.Proven).Says("azidentity reads it, tenant 11111111-2222-3333-4444-555555555555", "secret ***")
	gone(t, kept)
}

func TestAzureAccessToken(t *testing.T) {
	w, _ := withStandin(t, "secret")
	w.Vault.Mount("azure", "standin-secret")
	w.Run("vault:azure/token/deploy as=azure", `test -z "${AZURE_CLIENT_ID-}${AZURE_CLIENT_SECRET-}"; echo "Bearer $AZURE_ACCESS_TOKEN"`).
		Succeeded(providers.Expires).Says("Bearer ***").Lasts(time.Hour)
}

func TestGCPKeysAndTokens(t *testing.T) {
	w, kept := withStandin(t, "secret")
	w.Vault.Mount("gcp", "standin-secret")
	for _, of := range []string{"roleset", "static-account"} {
		w.Run("vault:gcp/"+of+"/deploy/key as=gcp", `
			"$CLIENT" gcp; stat -c %a "$GOOGLE_APPLICATION_CREDENTIALS"; cmp "$GOOGLE_APPLICATION_CREDENTIALS" "$CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"
			test -z "${GOOGLE_OAUTH_ACCESS_TOKEN-}"`).
			Succeeded(providers.Proven).Says("project shop as deploy@shop.iam.gserviceaccount.com", "600")
	}
	gone(t, kept)
	for _, of := range []string{"roleset", "static-account", "impersonated-account"} {
		w.Run("vault:gcp/"+of+"/deploy/token as=gcp", `
			test "$(cat "$CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")" = "$GOOGLE_OAUTH_ACCESS_TOKEN"
			echo "token $GOOGLE_OAUTH_ACCESS_TOKEN"; test -z "${GOOGLE_APPLICATION_CREDENTIALS-}"`).
			Succeeded(providers.Expires).Says("token ***").Lasts(59 * time.Minute)
	}
}

func TestAWSByTheSDKForGo(t *testing.T) {
	w := trial.New(t)
	moto := harness.Moto(t)
	w.Mount("aws")
	w.Vault.Write("aws/config/root", map[string]any{
		"access_key": "AKIAVAULT", "secret_key": "stand-in", "region": "us-east-1", "iam_endpoint": moto.URL, "sts_endpoint": moto.URL,
	})
	w.Vault.Write("aws/roles/deploy", map[string]any{"credential_type": "assumed_role", "role_arns": "arn:aws:iam::123456789012:role/deploy"})
	w.Env = append(trial.AnotherAtAWS(t), "CLIENT="+filepath.Join(programs, "client"), "AWS_ENDPOINT_URL="+moto.URL, "AWS_EC2_METADATA_DISABLED=true")
	for _, preset := range []string{"aws", "aws-endpoint"} {
		r := w.Run("vault:aws/sts/deploy?ttl=15m&region=us-east-1 as="+preset, `"$CLIENT" aws`).Succeeded(providers.Expires)
		if !strings.Contains(r.Stdout, ":assumed-role/deploy/") {
			t.Errorf("as=%s: %s", preset, r.Stdout)
		}
	}
	w.Vault.Write("aws/roles/user", map[string]any{"credential_type": "iam_user", "policy_document": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`})
	w.Vault.Write("aws/config/lease", map[string]any{"lease": "6s", "lease_max": "9s"})
	w.Flags = []string{"--leash", "6s"}
	w.Run("vault:aws/creds/user?region=us-east-1 as=aws-endpoint", `"$CLIENT" aws-follow`).Succeeded(providers.Proven).Says("users 3")
}
