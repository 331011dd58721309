package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl"
)

// findToken finds a token as the vault command does: VAULT_TOKEN, then the token helper that ~/.vault names, then ~/.vault-token.
func (set settings) findToken(ctx context.Context) (string, error) {
	if set.Token != "" {
		return strings.TrimSpace(set.Token), nil
	}
	helper, err := set.tokenHelper()
	if err != nil {
		return "", err
	}
	if helper != "" {
		return set.helperToken(ctx, helper)
	}
	if set.Home != "" {
		path := filepath.Join(set.Home, ".vault-token")
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("vault: reading the token: %w", err)
		}
		if token := strings.TrimSpace(string(content)); token != "" {
			return token, nil
		}
	}
	return "", errors.New("vault: there is no token: set VAULT_TOKEN, or WITH_CREDS_VAULT_AUTH=approle, or run `vault login`")
}

// tokenHelper reads the helper's path from the vault command's settings (https://developer.hashicorp.com/vault/docs/commands/token-helper); "" when there are none.
func (set settings) tokenHelper() (string, error) {
	path := set.ConfigPath
	if path == "" {
		if set.Home == "" {
			return "", nil
		}
		path = filepath.Join(set.Home, ".vault")
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(set.Home, rest)
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("vault: reading the vault command's settings: %w", err)
	}
	var config struct {
		TokenHelper string `hcl:"token_helper"`
	}
	if err := hcl.Decode(&config, string(content)); err != nil {
		return "", fmt.Errorf("vault: %s is not a file of settings of the vault command (Ansible Vault is known to conflict with it)", path)
	}
	return config.TokenHelper, nil
}

// helperToken runs the helper, as any program run from here, with the environment of the process.
func (set settings) helperToken(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "get").Output()
	if err != nil { // without the helper's own words, which may be anything
		return "", fmt.Errorf("vault: the token helper failed (%w): run `%s get` to see why", err, path)
	}
	token := strings.TrimSpace(string(out))
	if token == "" {
		return "", fmt.Errorf("vault: the token helper %s has no token: run `vault login`", path)
	}
	return token, nil
}
