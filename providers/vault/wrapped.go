package vault

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// unwrapSecretID exchanges a wrapping token for the secret id in it, which can be done once. It looks at the wrapping before, as Vault's
// documentation advises (https://developer.hashicorp.com/vault/docs/concepts/response-wrapping#response-wrapping-token-validation): one that is used already, or
// that somebody made again after opening the first, means that the secret id may be known to somebody else.
func (s *Session) unwrapSecretID(ctx context.Context, set settings) (string, error) {
	wrapping, err := set.secret("WITH_CREDS_VAULT_WRAPPED_SECRET_ID")
	if err != nil {
		return "", err
	}
	const lookup, unwrap = "sys/wrapping/lookup", "sys/wrapping/unwrap"
	about, err := s.client.call(ctx, repeated, put, lookup, nil, map[string]any{"token": wrapping})
	if err != nil {
		return "", s.explainWrapping(err, lookup, wrapping)
	}
	made := ""
	if about.secret != nil {
		made, _ = about.secret.Data["creation_path"].(string)
	}
	if !secretIDPath.MatchString(made) {
		return "", fmt.Errorf("vault: the wrapped secret id was not made by an AppRole's secret-id but by %q: somebody may have opened it and wrapped it again; %s", firstLine(made), ifStolen)
	}
	s.client.setToken(wrapping)
	answer, err := s.client.call(ctx, once, put, unwrap, nil, struct{}{})
	s.client.setToken("")
	if err != nil {
		return "", s.explainWrapping(err, unwrap, wrapping)
	}
	if answer.secret != nil {
		if secretID, _ := answer.secret.Data["secret_id"].(string); secretID != "" {
			return secretID, nil
		}
	}
	return "", fmt.Errorf("vault: what WITH_CREDS_VAULT_WRAPPED_SECRET_ID wraps holds no secret_id")
}

// secretIDPath are the paths whose answer is a secret id; custom-secret-id is for one that its maker knows.
var secretIDPath = regexp.MustCompile(`^auth/.+/role/[^/]+/(custom-)?secret-id$`)

const ifStolen = "unless that was one of yours, destroy the secret id (auth/approle/role/NAME/secret-id/destroy), look for sys/wrapping/unwrap in Vault's audit log, and issue another"

func (s *Session) explainWrapping(err error, path, wrapping string) error {
	if strings.Contains(err.Error(), "wrapping token is not valid or does not exist") || meansOf(err) == dead {
		return fmt.Errorf("vault: the wrapped secret id was opened already, or its wrapping has expired: %s", ifStolen)
	}
	if f, ok := err.(*failure); ok { //nolint:errorlint // client.call returns it bare
		f.text = withoutSecret(f.text, wrapping)
	}
	return s.explain(err, "opening the wrapped secret id at", path, "")
}
