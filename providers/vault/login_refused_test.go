//go:build !windows

package vault_test

import (
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A refusal is a login that the real Vault refuses, and what has to be said of it.
type refusal struct {
	what   string
	token  string            // or secret id: never said
	change map[string]string // of the login that succeeds
	wanted []string
}

// tell goes through refusals of a login that succeeds, before and after, and returns what Vault has said.
func (w *world) tell(login map[string]string, secret string, rows []refusal) (said string) {
	w.t.Helper()
	for _, row := range rows {
		env := maps.Clone(login)
		env[secret] = row.token
		maps.Copy(env, row.change)
		said += w.refused(row.what, env, row.token, row.wanted...) + "\n"
	}
	closing(w.t, w.open(login), providers.Proven)
	return said
}

func TestRefusedLoginNamesTheClaimOrSettingToLookAt(t *testing.T) {
	w, issuer := withJWT(t)
	said := w.refusedIdentityTokens(issuer) + w.refusedServiceAccounts(issuer) + w.refusedAppRoles()
	for _, text := range vault.LoginRefusals() {
		if !strings.Contains(said, text) {
			t.Errorf("Vault says %q of nothing here", text)
		}
	}
}

// lasting is the job's claims with others in place of the token's times.
func lasting(nbf, exp time.Duration) map[string]any {
	c := maps.Clone(jobClaims)
	now := time.Now()
	c["iat"], c["nbf"], c["exp"] = now.Add(nbf).Unix(), now.Add(nbf).Unix(), now.Add(exp).Unix()
	return c
}

func (w *world) refusedIdentityTokens(issuer *harness.Issuer) string {
	stranger := harness.NewIssuer(w.t, "https://ci.example")
	good := issuer.Token(jobClaims)
	for name, role := range map[string]map[string]any{
		"prod":      {"bound_subject": "repo:acme/app:environment:prod"},
		"people":    {"user_claim": "email"},
		"teams":     {"groups_claim": "groups"},
		"elsewhere": {"token_bound_cidrs": []string{"192.0.2.0/24"}},
		"heads":     {"bound_claims_type": "glob", "bound_claims": map[string]any{"ref": "refs/heads/*"}},
	} {
		role["bound_audiences"] = []string{audience}
		w.vault.JWTRole(name, role)
	}
	w.vault.JWTRole("anybody", map[string]any{"bound_subject": jobClaims["sub"]})
	role := func(name string) map[string]string { return map[string]string{"WITH_CREDS_VAULT_ROLE": name} }
	endless := maps.Clone(jobClaims)
	endless["iat"], endless["nbf"], endless["exp"] = nil, nil, nil
	login := map[string]string{"WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_JWT": good}
	return w.tell(login, "WITH_CREDS_VAULT_JWT", []refusal{
		{"audience", issuer.Token(with("aud", "https://github.com/acme")), nil, []string{"auth/jwt/login", `"https://github.com/acme"`, "bound_audiences", "id_tokens"}},
		{"audience, on GitHub", issuer.Token(with("aud", "https://github.com/acme")), map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "http://x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"},
			[]string{"--vault-audience"}},
		{"several audiences", issuer.Token(with("aud", []string{"a", "b"})), nil, []string{`"a", "b"`, "bound_audiences"}},
		{"no audience", issuer.Token(with("aud", nil)), nil, []string{"aud is not there", "bound_audiences"}},
		{"a role without audiences", good, role("anybody"), []string{`aud is "https://vault.example"`, "bound_audiences"}},
		{"bound claim", issuer.Token(with("repository", "evil/app")), nil, []string{`the token's repository is "evil/app"`, "bound_claims"}},
		{"bound claim missing", issuer.Token(with("repository", nil)), nil, []string{"the token's repository is not there", "bound_claims"}},
		{"bound claim by pattern", issuer.Token(with("ref", "refs/tags/v1")), role("heads"), []string{`the token's ref is "refs/tags/v1"`, "bound_claims"}},
		{"subject", good, role("prod"), []string{`sub is "repo:acme/app:ref:refs/heads/main"`, "bound_subject"}},
		{"user claim", good, role("people"), []string{`"email"`, "user_claim", "aud, exp, iat, iss, nbf, repository, run_id, sub"}},
		{"groups claim", good, role("teams"), []string{`"groups"`, "groups_claim", "repository"}},
		{"issuer", issuer.Token(with("iss", "https://elsewhere")), nil, []string{`iss is "https://elsewhere"`, "bound_issuer"}},
		{"expired", issuer.Token(lasting(-2*time.Hour, -time.Hour)), nil, []string{"exp is 2", "clocks"}},
		{"not yet valid", issuer.Token(with("nbf", time.Now().Add(time.Hour).Unix())), nil, []string{"nbf is 2", "clock_skew_leeway"}},
		{"issued in the future", issuer.Token(with("iat", time.Now().Add(time.Hour).Unix())), nil, []string{"iat is 2", "clock_skew_leeway"}},
		{"without times", issuer.Token(endless), nil, []string{"aud, iss, repository"}},
		{"key", stranger.Token(jobClaims), nil, []string{"jwks_url", "https://ci.example"}},
		{"cut short", good[:len(good)-8], nil, []string{"jwks_url"}},
		{"no JWT", rand.Text(), nil, []string{"is that a JWT"}},
		{"a variable that nobody has put in", "$VAULT_ID_TOKEN", nil, []string{"is that a JWT"}},
		{"role", good, role("deploy"), []string{`"deploy"`, "--vault-role", "--vault-mount"}},
		{"no role", good, role(""), []string{"--vault-role", "default_role"}},
		{"address", good, role("elsewhere"), []string{"token_bound_cidrs"}},
		{"mount", good, map[string]string{"WITH_CREDS_VAULT_MOUNT": "elsewhere"}, []string{"auth/elsewhere/login", "--vault-mount"}},
	})
}

func (w *world) refusedServiceAccounts(issuer *harness.Issuer) string {
	kubernetes := w.vault.EnableKubernetes()
	for name, audience := range map[string]string{"backup": "vault", "other": "elsewhere"} {
		w.vault.Write("auth/kubernetes/role/"+name, map[string]any{
			"bound_service_account_names": "backup", "bound_service_account_namespaces": "prod", "audience": audience,
		})
	}
	good, forgotten := kubernetes.ServiceAccount("prod", "backup"), kubernetes.ServiceAccount("prod", "backup")
	kubernetes.Forget(forgotten)
	role := func(name string) map[string]string { return map[string]string{"WITH_CREDS_VAULT_ROLE": name} }
	login := map[string]string{"WITH_CREDS_VAULT_AUTH": "kubernetes", "WITH_CREDS_VAULT_ROLE": "backup", "WITH_CREDS_VAULT_JWT": good}
	const sub = "system:serviceaccount:prod:backup"
	account := map[string]any{"aud": []string{"vault"}, "sub": sub, "kubernetes.io": map[string]any{
		"namespace": "prod", "serviceaccount": map[string]any{"name": "backup", "uid": "uid-" + sub},
	}}
	old := maps.Clone(account)
	old["exp"] = time.Now().Add(-time.Hour).Unix()
	said := w.tell(login, "WITH_CREDS_VAULT_JWT", []refusal{
		{"a token of a deleted pod", forgotten, nil, []string{"auth/kubernetes/login", sub, "kubernetes_host", "TokenReviews"}},
		{"another namespace", kubernetes.ServiceAccount("staging", "backup"), nil, []string{"bound_service_account_namespaces", "system:serviceaccount:staging:backup"}},
		{"another account", kubernetes.ServiceAccount("prod", "web"), nil, []string{"bound_service_account_names", "system:serviceaccount:prod:web"}},
		{"another audience", good, role("other"), []string{`aud is "vault"`, "serviceAccountToken", "`audience` of the role"}},
		{"another cluster's", issuer.Token(account), nil, []string{sub, "kubernetes_host"}},
		{"a CI's", issuer.Token(with("aud", "vault")), map[string]string{"VAULT_MAX_RETRIES": "0"}, []string{`iss is "https://ci.example"`, "--vault-auth=jwt"}},
		{"expired", issuer.Token(old), nil, []string{"exp is 2", "fresh one"}},
		{"no JWT", rand.Text(), nil, []string{"kubernetes_host"}},
		{"role", good, role("nobody"), []string{`"nobody"`, "--vault-role"}},
		{"mount", good, map[string]string{"WITH_CREDS_VAULT_MOUNT": "cluster-2"}, []string{"auth/cluster-2/login", "--vault-mount"}},
		{"no role", good, role(""), []string{"--vault-role"}},
	})
	delete(login, "WITH_CREDS_VAULT_JWT")
	w.refused("outside a cluster", login, "", "no service account", "automountServiceAccountToken")
	empty := filepath.Join(w.t.TempDir(), "token")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	login["WITH_CREDS_VAULT_JWT_FILE"] = empty
	w.refused("an empty file", login, "", "WITH_CREDS_VAULT_JWT_FILE", "empty")
	return said
}

func (w *world) refusedAppRoles() string {
	t := w.t
	roleID, secretID := w.vault.AppRole("test", nil)
	usedRole, used := w.vault.AppRole("once", map[string]any{"secret_id_num_uses": 1})
	once := map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": usedRole, "WITH_CREDS_VAULT_SECRET_ID": used}
	closing(t, w.open(once), providers.Proven)
	farRole, far := w.vault.AppRole("far", map[string]any{"secret_id_bound_cidrs": []string{"192.0.2.0/24"}, "token_bound_cidrs": []string{"192.0.2.0/24"}})
	role := func(id string) map[string]string { return map[string]string{"WITH_CREDS_VAULT_ROLE_ID": id} }
	login := map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID}
	said := w.tell(login, "WITH_CREDS_VAULT_SECRET_ID", []refusal{
		{"used up", used, role(usedRole), []string{"WITH_CREDS_VAULT_SECRET_ID", "secret_id_num_uses"}},
		{"another role's", used, nil, []string{"WITH_CREDS_VAULT_ROLE_ID", "WITH_CREDS_VAULT_SECRET_ID"}},
		{"role id", secretID, role(rand.Text()), []string{"WITH_CREDS_VAULT_ROLE_ID"}},
		{"no secret id", "", nil, []string{"WITH_CREDS_VAULT_SECRET_ID_FILE"}},
		{"address", far, role(farRole), []string{"127.0.0.1", "secret_id_bound_cidrs"}},
		{"mount", secretID, map[string]string{"WITH_CREDS_VAULT_MOUNT": "elsewhere"}, []string{"auth/elsewhere/login", "--vault-mount"}},
	})
	if _, err := (vault.Provider{}).Open(t.Context(), w.settings(w.at(once))); !errors.Is(err, providers.ErrRefused) {
		t.Errorf("a login that is refused would be tried again: %v", err)
	}
	return said
}
