package vault

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// lasting are the answers with a lease whose revocation ends nothing: Vault forgets the lease, and what it issued is good until an end of its own. An answer that has
// all of a row's fields is one; end is when it ends, where the answer says so, and else the lease's end is.
//
// What the engines of Vault 1.21.1 do to end a lease was read in their sources. All others end what they issued: database, rabbitmq, ldap, consul, nomad, terraform,
// mongodbatlas and alicloud delete or change it, azure the application or the password that was added to it, gcp the key, ssh the one-time password, and pki puts
// the certificate on its list.
var lasting = []struct {
	fields []string
	end    func(data map[string]any, now time.Time) time.Time
}{
	// AWS's temporary credentials, and Alibaba Cloud's: neither cloud has such a call. https://developer.hashicorp.com/vault/docs/secrets/aws#sts-credentials;
	// builtin/logical/aws/secret_access_keys.go secretAccessKeysRevoke; vault-plugin-secrets-alicloud path_secrets.go operationRevoke
	{fields: []string{"access_key", "session_token"}},
	{fields: []string{"access_key", "security_token"}},
	// Kubernetes' tokens: Vault deletes the account, role and binding that it made for one, and for a role with service_account_name it has made none
	// (vault-plugin-secrets-kubernetes kube_service_account.go kubeTokenRevoke). Which of the two it was the answer does not say. Besides, who checks a token by its signature
	// alone does not see that its account is gone (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens).
	{fields: []string{"service_account_token"}, end: func(data map[string]any, _ time.Time) time.Time { return tokenEnd(data["service_account_token"]) }},
	// Google's access tokens, which had a lease in older versions of the engine (vault-plugin-secrets-gcp secrets_access_token.go secretAccessTokenRevoke).
	{fields: []string{"token", "expires_at_seconds"}, end: endOf},
}

// lastsUntil reports whether the revocation of an answer's lease ends nothing, and when the credential ends by itself; zero: with the lease.
func lastsUntil(secret *api.Secret, now time.Time) (end time.Time, lasts bool) {
	if isStore(secret) {
		return time.Time{}, false
	}
	for _, row := range lasting {
		if slices.ContainsFunc(row.fields, func(name string) bool { return !filled(secret.Data[name]) }) {
			continue
		}
		if row.end != nil {
			end = row.end(secret.Data, now)
		}
		return end, true
	}
	return time.Time{}, false
}

// lastsByID is lastsUntil of a lease of which the name alone is known. It is right where the engine's mount is named as usual; AWS's temporary credentials can
// also come by aws/creds, where they are not told from a user's keys.
func lastsByID(id string) bool {
	elements := strings.Split(id, "/")
	for _, e := range elements[1:] {
		switch e {
		case "sts":
			return true
		case "creds":
			return isKubernetes(elements)
		}
	}
	return false
}

// filled reports whether an answer has a field.
func filled(v any) bool { return v != nil && v != "" }

// tokenEnd is the end that a JSON web token names (RFC 7519, 4.1.4); zero: none, or it is no such token.
func tokenEnd(v any) time.Time {
	token, _ := v.(string)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		End json.Number `json:"exp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return time.Time{}
	}
	if end, ok := number(claims.End); ok && end > 0 {
		return time.Unix(end, 0)
	}
	return time.Time{}
}

// isStore recognises the answer of a key-value store, whose fields mean what their owner says. Vault names the kind of mount since 1.17; before that, and with OpenBao, version
// 2 is known by its metadata, and version 1 as the only one to name a duration without a lease (vault-plugin-secrets-kv passthrough.go handleReadOrRenew).
func isStore(secret *api.Secret) bool {
	if _, _, ok := versioned(secret.Data); ok {
		return true
	}
	switch secret.MountType {
	case "kv", "generic", "cubbyhole":
		return true
	case "":
		return secret.LeaseID == "" && secret.LeaseDuration > 0
	}
	return false
}
