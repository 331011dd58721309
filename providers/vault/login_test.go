//go:build !windows

package vault_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
	"github.com/with-creds/with-creds/testdata/harness"
)

const audience = "https://vault.example"

// refused wants a login to be refused for good, with a message that has all of what is wanted in it and not the token.
func (w *world) refused(what string, env map[string]string, secret string, wanted ...string) (text string) {
	w.t.Helper()
	_, err := vault.Provider{}.Open(w.t.Context(), w.settings(w.at(env)))
	if err == nil {
		w.t.Errorf("%s: logged in", what)
		return ""
	}
	for _, want := range wanted {
		if !strings.Contains(err.Error(), want) {
			w.t.Errorf("%s: the error\n%v\ndoes not say %q", what, err, want)
		}
	}
	if parts := strings.Split(secret, "."); secret != "" && strings.Contains(err.Error(), parts[len(parts)-1]) {
		w.t.Errorf("%s: the error %v holds the secret", what, err)
	}
	return err.Error()
}

func withJWT(t *testing.T) (*world, *harness.Issuer) {
	t.Helper()
	w := newWorld(t)
	issuer := harness.NewIssuer(t, "https://ci.example")
	w.vault.EnableJWT(issuer)
	w.vault.JWTRole("ci", map[string]any{
		"bound_audiences": []string{audience}, "bound_claims": map[string]any{"repository": "acme/app"},
		"claim_mappings": map[string]string{"repository": "repository", "run_id": "run_id"},
	})
	return w, issuer
}

var jobClaims = map[string]any{"sub": "repo:acme/app:ref:refs/heads/main", "aud": audience, "repository": "acme/app", "run_id": "17"}

// with is the job's claims with one changed.
func with(name string, value any) map[string]any {
	c := maps.Clone(jobClaims)
	c[name] = value
	return c
}

func TestIdentityTokenIsTakenFromAnyVariableOrFile(t *testing.T) {
	w, issuer := withJWT(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(issuer.Token(jobClaims)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range []map[string]string{
		{"WITH_CREDS_VAULT_JWT": issuer.Token(jobClaims)},
		{"WITH_CREDS_VAULT_JWT_FILE": file},
		{"WITH_CREDS_VAULT_JWT_VARIABLE": "VAULT_ID_TOKEN", "VAULT_ID_TOKEN": issuer.Token(jobClaims)},
	} {
		env["WITH_CREDS_VAULT_AUTH"], env["WITH_CREDS_VAULT_ROLE"] = "jwt", "ci"
		closing(t, w.open(env), providers.Proven)
	}
	w.refused("a variable that is not there", map[string]string{"WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_JWT_VARIABLE": "VAULT_ID_TOKEN"}, "", "VAULT_ID_TOKEN")
	w.refused("nothing at all", map[string]string{"WITH_CREDS_VAULT_AUTH": "jwt", "GITHUB_ACTIONS": "true"}, "", "id-token: write")
	w.refused("nothing at all on GitLab", map[string]string{"WITH_CREDS_VAULT_AUTH": "jwt", "GITLAB_CI": "true"}, "", "id_tokens")
}

func TestIdTokenIsAskedOfGitHubsRunnerAtEachLogin(t *testing.T) {
	w, issuer := withJWT(t)
	runner := harness.NewGitHubRunner(t, issuer, jobClaims)
	env := maps.Clone(runner.Env)
	maps.Copy(env, map[string]string{"WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_AUDIENCE": audience, "VAULT_MAX_RETRIES": "1"})
	for n := 1; n <= 2; n++ { // a login again, hours later, must not come with the first token, which lives for minutes
		closing(t, w.open(env), providers.Proven)
		if runner.Requests() != n {
			t.Errorf("%d requests for %d logins", runner.Requests(), n)
		}
	}
	runner.Fail(1)
	closing(t, w.open(env), providers.Proven)

	env["WITH_CREDS_VAULT_AUDIENCE"] = ""
	w.refused("GitHub's own audience", env, "", `"https://github.com/acme"`, "WITH_CREDS_VAULT_AUDIENCE")
	env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = rand.Text()
	w.refused("a request token of another job", env, env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"], "GitHub", "401", "id-token: write")
	env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "http://127.0.0.1:1/secret-in-the-path"
	w.refused("no service", env, "secret-in-the-path", "GitHub", "refused")
}

func TestAutoPicksByWhatThereIsAndSaysWhy(t *testing.T) {
	w, issuer := withJWT(t)
	roleID, secretID := w.vault.AppRole("test", nil)
	runner := harness.NewGitHubRunner(t, issuer, jobClaims)
	home := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file(".vault-token", w.vault.Token())
	kubernetes := w.vault.EnableKubernetes()
	w.vault.Write("auth/kubernetes/role/ci", map[string]any{
		"bound_service_account_names": "backup", "bound_service_account_namespaces": "prod", "audience": "vault",
	})
	// From the weakest to the strongest: each row is added to those above it and goes before them.
	env := map[string]string{"WITH_CREDS_VAULT_AUTH": "auto", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_AUDIENCE": audience}
	w.refused("nothing", env, "", "VAULT_TOKEN", "WITH_CREDS_VAULT_ROLE_ID", "~/.vault-token")
	for mark, missing := range map[string]string{"GITHUB_ACTIONS": "id-token: write", "GITLAB_CI": "id_tokens"} { // what is in the runner's home or pod is not the job's
		w.refused("a job without an id token", map[string]string{
			"WITH_CREDS_VAULT_AUTH": "auto", "WITH_CREDS_VAULT_ROLE": "ci", "HOME": home, mark: "true",
		}, "", missing, "--vault-auth")
	}
	for _, row := range []struct {
		method, why string
		add         map[string]string
	}{
		{"token", "~/.vault-token", map[string]string{"HOME": home}},
		{"jwt", "GitHub", runner.Env},
		{"token", "VAULT_TOKEN", map[string]string{"VAULT_TOKEN": w.vault.Token()}},
		{"jwt", "WITH_CREDS_VAULT_JWT_VARIABLE", map[string]string{"WITH_CREDS_VAULT_JWT_VARIABLE": "ID", "ID": issuer.Token(jobClaims)}},
		{"jwt", "WITH_CREDS_VAULT_JWT_FILE is set", map[string]string{"WITH_CREDS_VAULT_JWT_FILE": file("jwt", issuer.Token(jobClaims))}},
		{"kubernetes", "WITH_CREDS_VAULT_JWT_FILE has a service account's token", map[string]string{"WITH_CREDS_VAULT_JWT_FILE": file("account", kubernetes.ServiceAccount("prod", "backup"))}},
		{"jwt", "WITH_CREDS_VAULT_JWT is set", map[string]string{"WITH_CREDS_VAULT_JWT": issuer.Token(jobClaims)}},
		{"approle", "WITH_CREDS_VAULT_ROLE_ID is set", map[string]string{"WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID}},
	} {
		maps.Copy(env, row.add)
		var mu sync.Mutex
		var said []string
		settings := w.settings(w.at(env))
		settings.Say = func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, fmt.Sprintf(format, args...))
		}
		s, err := vault.Provider{}.Open(t.Context(), settings)
		if err != nil {
			t.Fatalf("%s: %v", row.why, err)
		}
		if want := "by " + row.method + ": "; len(said) != 1 || !strings.Contains(said[0], want) || !strings.Contains(said[0], row.why) {
			t.Errorf("said %q, want %q and %q", said, want, row.why)
		}
		closing(t, s, providers.Proven)
	}
}

// wrapped makes a secret id and gives only its wrapping token.
func wrapped(t *testing.T, w *world, ttl string) (roleID, token string) {
	t.Helper()
	roleID, _ = w.vault.AppRole("test", nil)
	client, err := w.vault.Client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(w.vault.RootToken)
	client.SetWrappingLookupFunc(func(string, string) string { return ttl })
	answer, err := client.Logical().Write("auth/approle/role/test/secret-id", nil)
	if err != nil {
		t.Fatal(err)
	}
	return roleID, answer.WrapInfo.Token
}

func TestWrappedSecretIDIsOpenedOnceInARun(t *testing.T) {
	w := newWorld(t)
	roleID, token := wrapped(t, w, "5m")
	env := w.at(map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_WRAPPED_SECRET_ID": token})
	settings := w.settings(env)
	known := map[string]string{}
	settings.Remember = func(key string, once func() (string, error)) (string, error) {
		if v, ok := known[key]; ok {
			return v, nil
		}
		v, err := once()
		if err == nil {
			known[key] = v
		}
		return v, err
	}
	for range 2 { // the second is a login again, at the first token's end
		s, err := vault.Provider{}.Open(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, s, providers.Proven)
	}
	w.refused("another run", env, token, "opened already", "audit log", "destroy")
	env["WITH_CREDS_VAULT_SECRET_ID"] = "x"
	w.refused("both", env, token, "both set")
}

func TestSecretIDThatSomebodyOpenedAndWrappedAgainIsReported(t *testing.T) {
	w := newWorld(t)
	roleID, token := wrapped(t, w, "5m")
	thief, err := w.vault.Client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := thief.Logical().Unwrap(token)
	if err != nil {
		t.Fatal(err)
	}
	thief.SetToken(w.vault.RootToken)
	thief.SetWrappingLookupFunc(func(string, string) string { return "5m" })
	again, err := thief.Logical().Write("sys/wrapping/wrap", opened.Data)
	if err != nil {
		t.Fatal(err)
	}
	w.refused("wrapped again", map[string]string{
		"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_WRAPPED_SECRET_ID": again.WrapInfo.Token,
	}, again.WrapInfo.Token, `"sys/wrapping/wrap"`, "audit log", "destroy")
}

func TestServiceAccountsTokenIsReadAfreshAtEachLogin(t *testing.T) {
	w := newWorld(t)
	kubernetes := w.vault.EnableKubernetes()
	w.vault.Write("auth/kubernetes/role/backup", map[string]any{
		"bound_service_account_names": "backup", "bound_service_account_namespaces": "prod", "audience": "vault",
	})
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"WITH_CREDS_VAULT_AUTH": "kubernetes", "WITH_CREDS_VAULT_ROLE": "backup", "WITH_CREDS_VAULT_JWT_FILE": file}
	first := kubernetes.ServiceAccount("prod", "backup")
	write(first)
	closing(t, w.open(env), providers.Proven)
	kubernetes.Forget(first)
	w.refused("a token of a deleted pod", env, first, "auth/kubernetes/login", "kubernetes_host")
	write(kubernetes.ServiceAccount("prod", "backup"))
	closing(t, w.open(env), providers.Proven)
}

// From the name of a database user an auditor gets to the build, by Vault's audit log alone.
func TestAuditLogLeadsFromAUserToTheBuild(t *testing.T) {
	w := withPostgres(t)
	w.vault.EnableAudit()
	const build = "https://github.com/acme/app/actions/runs/17"
	labels := map[string]string{"ci": "github", "job": "acme/app/nightly", "url": build}
	w.vault.Policy("creds", `path "database/creds/*" { capabilities = ["read"] }`+"\n"+`path "auth/token/create" { capabilities = ["update"] }`)
	roleID, secretID := w.vault.AppRole("test", map[string]any{"token_policies": "creds"})
	for _, row := range []struct {
		what     string
		env      map[string]string
		metadata bool
	}{
		{"a login of the run's own", map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID}, false},
		{"a token at hand", map[string]string{"VAULT_TOKEN": w.vault.Token("creds")}, false},
		{"a child of it", map[string]string{"VAULT_TOKEN": w.vault.Token("creds"), "WITH_CREDS_VAULT_CHILD_TOKEN": "true"}, true},
	} {
		settings := w.settings(w.at(row.env))
		settings.Labels = labels
		s, err := vault.Provider{}.Open(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		c := issue(t, s, "database/creds/readonly")
		user := value(t, c, "username")
		hashed := w.vault.Write("sys/audit-hash/file", map[string]any{"input": user}).Data["hash"].(string)
		entry, ok := w.vault.AuditOf(hashed)
		if !ok {
			t.Fatalf("%s: the audit log has no answer with the user %s", row.what, user)
		}
		if agent := strings.Join(entry.Request.Headers["user-agent"], " "); !strings.Contains(agent, build) || !strings.Contains(agent, "run testrun") {
			t.Errorf("%s: the audit log says it was asked by %q", row.what, agent)
		}
		if run := strings.Join(entry.Request.Headers["x-correlation-id"], " "); run != "testrun" {
			t.Errorf("%s: the audit log says it was run %q", row.what, run)
		}
		if got := entry.Auth.Metadata["with_creds_url"]; row.metadata && (got != build || entry.Auth.Metadata["with_creds_run"] != "testrun" || entry.Auth.Metadata["with_creds_job"] != labels["job"]) {
			t.Errorf("%s: the token's metadata are %q", row.what, entry.Auth.Metadata)
		}
		revoke(t, s, c.Lease, providers.Proven)
		closing(t, s, providers.Proven)
	}
}

// A role for jwt writes the token's claims into its metadata, so there the claims that the CI has signed lead to the build.
func TestClaimsOfTheJobAreInTheAuditLog(t *testing.T) {
	w, issuer := withJWT(t)
	w.vault.EnableAudit()
	closing(t, w.open(map[string]string{"WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_JWT": issuer.Token(jobClaims)}), providers.Proven)
	for _, entry := range w.vault.Audit() {
		if entry.Type == "response" && entry.Request.Path == "auth/token/revoke-self" {
			if entry.Auth.Metadata["run_id"] != "17" || entry.Auth.Metadata["repository"] != "acme/app" {
				t.Errorf("the metadata are %q", entry.Auth.Metadata)
			}
			return
		}
	}
	t.Error("the audit log has not seen the token's end")
}
