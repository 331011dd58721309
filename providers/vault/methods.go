package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A loginMethod makes the body of a request to auth/MOUNT/login out of the settings.
type loginMethod func(ctx context.Context, s *Session, set settings) (map[string]any, error)

// loginMethods are the ways to log in, by the name that WITH_CREDS_VAULT_AUTH gives; each is also where Vault mounts it by default.
var loginMethods = map[string]loginMethod{
	"approle":    appRole,
	"jwt":        identityToken,
	"kubernetes": serviceAccount,
}

// appRole is https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle.
func appRole(ctx context.Context, s *Session, set settings) (map[string]any, error) {
	roleID, err := set.secret("WITH_CREDS_VAULT_ROLE_ID")
	if err != nil {
		return nil, err
	}
	body := map[string]any{"role_id": roleID}
	if set.given("WITH_CREDS_VAULT_WRAPPED_SECRET_ID") {
		if set.given("WITH_CREDS_VAULT_SECRET_ID") {
			return nil, errors.New("vault: WITH_CREDS_VAULT_SECRET_ID and WITH_CREDS_VAULT_WRAPPED_SECRET_ID are both set: which is it?")
		}
		body["secret_id"], err = s.run.Once("vault wrapped secret id", func() (string, error) { return s.unwrapSecretID(ctx, set) })
		return body, err
	}
	if set.given("WITH_CREDS_VAULT_SECRET_ID") { // a role may be bound by address alone (bind_secret_id=false)
		body["secret_id"], err = set.secret("WITH_CREDS_VAULT_SECRET_ID")
	}
	return body, err
}

// identityToken is https://developer.hashicorp.com/vault/api-docs/auth/jwt#jwt-login. The token is the one that a setting holds or names, or
// else one that GitHub's runner is asked for; either is looked up, or asked for, anew at each login, for such tokens live for minutes.
func identityToken(ctx context.Context, _ *Session, set settings) (map[string]any, error) {
	var token string
	var err error
	switch from := set.JWTVariable; {
	case set.given("WITH_CREDS_VAULT_JWT"):
		token, err = set.secret("WITH_CREDS_VAULT_JWT")
	case from != "":
		if token = set.run.Get(from); token == "" {
			err = fmt.Errorf("vault: the variable %s, which WITH_CREDS_VAULT_JWT_VARIABLE names, is not set", from)
		}
	case set.onGitHub():
		token, err = set.gitHubToken(ctx)
	default:
		err = errors.New("vault: there is no token to log in with: set WITH_CREDS_VAULT_JWT, or WITH_CREDS_VAULT_JWT_FILE, or name a variable in WITH_CREDS_VAULT_JWT_VARIABLE" + set.howToHaveOne())
	}
	if err != nil {
		return nil, err
	}
	body := map[string]any{"jwt": token}
	if set.Role != "" { // a mount may have a default role
		body["role"] = set.Role
	}
	return body, nil
}

// howToHaveOne says what a job's file lacks where a CI would give a token on request.
func (set settings) howToHaveOne() string {
	switch {
	case set.run.Get("GITHUB_ACTIONS") == "true":
		return "; on GitHub the job needs `permissions: id-token: write`, and a pull request from a fork has none"
	case set.run.Get("GITLAB_CI") != "":
		return "; on GitLab the job needs `id_tokens: WITH_CREDS_VAULT_JWT: aud: …`"
	}
	return ""
}

const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path

// serviceAccount is https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login. The file is read at each login: the kubelet renews what
// is in it (https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-account-token-projection).
func serviceAccount(_ context.Context, _ *Session, set settings) (map[string]any, error) {
	if set.Role == "" {
		return nil, errors.New("vault: a login by kubernetes needs a role: --vault-role (WITH_CREDS_VAULT_ROLE)")
	}
	var token string
	var err error
	if set.given("WITH_CREDS_VAULT_JWT") {
		token, err = set.secret("WITH_CREDS_VAULT_JWT")
	} else {
		var content []byte
		if content, err = os.ReadFile(serviceAccountToken); err != nil {
			err = fmt.Errorf("vault: WITH_CREDS_VAULT_JWT_FILE is not set, and there is no service account here (automountServiceAccountToken?): %w", err)
		}
		token = strings.TrimSpace(string(content))
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"jwt": token, "role": set.Role}, nil
}

// given reports whether a secret is set, by itself or by its file.
func (set settings) given(name string) bool {
	return set.run.Get(name) != "" || set.run.Get(name+"_FILE") != ""
}

// spelling is the variable by which a secret is given.
func (set settings) spelling(name string) string {
	if set.run.Get(name) != "" {
		return name
	}
	return name + "_FILE"
}
