package vault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// choose picks a way to log in by what there is, and says why. What somebody has set goes before what a CI or a cluster has put there, and a login of
// the run's own before a token that is borrowed. A role that is set on a CI which gives id tokens is one for that CI's jobs: without a token nothing else is
// taken in its place, neither the service account of the pod that the runner happens to be in nor what somebody has left in its home.
func (set settings) choose() (method, why string, err error) {
	switch {
	case set.given("WITH_CREDS_VAULT_ROLE_ID"):
		return "approle", set.spelling("WITH_CREDS_VAULT_ROLE_ID") + " is set", nil
	case set.given("WITH_CREDS_VAULT_JWT"):
		from := set.spelling("WITH_CREDS_VAULT_JWT")
		token, err := set.secret("WITH_CREDS_VAULT_JWT")
		if sub, _ := claimsOf(token)["sub"].(string); strings.HasPrefix(sub, "system:serviceaccount:") {
			return "kubernetes", from + " has a service account's token", nil
		}
		return "jwt", from + " is set", err
	case set.JWTVariable != "":
		return "jwt", "WITH_CREDS_VAULT_JWT_VARIABLE is set", nil
	case set.Token != "":
		return "token", "VAULT_TOKEN is set", nil
	case set.onGitHub():
		return "jwt", "GitHub's runner gives this job an id token (ACTIONS_ID_TOKEN_REQUEST_URL)", nil
	case set.Role != "" && set.howToHaveOne() != "":
		return "", "", errors.New("vault: a role is set, and there is no id token to log in with" + set.howToHaveOne() +
			". For another way to log in, name it: --vault-auth (WITH_CREDS_VAULT_AUTH)")
	case set.Role != "" && exists(serviceAccountToken):
		return "kubernetes", "there is a service account, " + serviceAccountToken, nil
	}
	helper, err := set.tokenHelper()
	switch {
	case err != nil:
		return "", "", err
	case helper != "":
		return "token", "the vault command's settings name a token helper", nil
	case set.Home != "" && exists(filepath.Join(set.Home, ".vault-token")):
		return "token", "there is ~/.vault-token", nil
	}
	return "", "", errors.New("vault: nothing to log in with: looked for WITH_CREDS_VAULT_ROLE_ID, WITH_CREDS_VAULT_JWT, WITH_CREDS_VAULT_JWT_VARIABLE, VAULT_TOKEN, " +
		"GitHub's id token, a Kubernetes service account (with --vault-role), a token helper and ~/.vault-token" + set.howToHaveOne())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
