package github

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
)

// A transit is a key in Vault's transit engine: https://developer.hashicorp.com/vault/api-docs/secret/transit#sign-data. The token
// needs update on MOUNT/sign/NAME/sha2-256.
type transit struct {
	Address   string `json:"address"`
	Namespace string `json:"namespace,omitempty"`
	Token     string `json:"token"`
	Mount     string `json:"mount"`
	Key       string `json:"key"`
}

func resolveTransit(path string, s providers.Settings) (*transit, error) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || i == len(path)-1 {
		return nil, fmt.Errorf("%s: %q is not MOUNT/NAME, for example transit/github-app", transitVariable, path)
	}
	t := &transit{
		Address: s.Get("VAULT_ADDR"), Namespace: s.Get("VAULT_NAMESPACE"), Token: s.Get("VAULT_TOKEN"), Mount: path[:i], Key: path[i+1:],
	}
	if t.Address == "" || t.Token == "" {
		return nil, fmt.Errorf("%s needs VAULT_ADDR and VAULT_TOKEN", transitVariable)
	}
	return t, nil
}

// signer asks Vault for each signature: one request in eight minutes.
func (t *transit) signer(counted func()) (func(context.Context, []byte) ([]byte, error), error) {
	// Not api.DefaultConfig: that reads the process's environment.
	config := &api.Config{Address: t.Address, HttpClient: &http.Client{Transport: http.DefaultTransport}, Timeout: 20 * time.Second, MaxRetries: 3}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", transitVariable, err)
	}
	client.SetToken(t.Token)
	client.SetNamespace(t.Namespace)
	path := t.Mount + "/sign/" + t.Key + "/sha2-256"
	return func(ctx context.Context, text []byte) ([]byte, error) {
		counted()
		secret, err := client.Logical().WriteWithContext(ctx, path, map[string]any{
			"input": base64.StdEncoding.EncodeToString(text), "signature_algorithm": "pkcs1v15",
		})
		if err != nil {
			return nil, fmt.Errorf("writing %s in Vault: %w", path, err)
		}
		if secret == nil {
			return nil, fmt.Errorf("writing %s in Vault: no answer", path)
		}
		// vault:v3:…
		signature, _ := secret.Data["signature"].(string)
		_, encoded, _ := strings.Cut(strings.TrimPrefix(signature, "vault:"), ":")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) < 256 {
			return nil, fmt.Errorf("writing %s in Vault: its answer is no RSA signature; is the key of a type rsa-…?", path)
		}
		return raw, nil
	}, nil
}
