package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A loginRow is what to look at when Vault refuses a login with a certain text.
type loginRow struct {
	holds string
	hint  func(token claims, set settings, now time.Time) string
}

// loginRows is the table of refusals, as Vault 1.21.1 words them (vault-plugin-auth-jwt 0.25, vault-plugin-auth-kubernetes 0.23); a test reads each off a
// real server.
var loginRows = []loginRow{
	{"(aud) claim", func(token claims, set settings, _ time.Time) string {
		where := "ask for another where the token is made (on GitLab: `id_tokens: … aud:`)"
		if set.Auth == "kubernetes" {
			where = "project the token with another audience (serviceAccountToken: audience:), or change `audience` of the role"
		} else if set.onGitHub() {
			where = "set WITH_CREDS_VAULT_AUDIENCE (--vault-audience)"
		}
		return fmt.Sprintf("the token's aud is %s; it must be one of the role's bound_audiences: %s", token.show("aud"), where)
	}},
	{"(iss) claim", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token's iss is %s; compare bound_issuer in the configuration of the mount", token.show("iss"))
	}},
	{"token is expired", func(token claims, _ settings, now time.Time) string {
		return fmt.Sprintf("the token's exp is %s, and it is %s here: is a fresh one taken for each run, and are both clocks right?", token.at("exp"), now.UTC().Format(time.RFC3339))
	}},
	{"token not yet valid", notYet("nbf")},
	{"token issued in the future", notYet("iat")},
	{"(sub) claim", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token's sub is %s; compare bound_subject of the role", token.show("sub"))
	}},
	{"no known key successfully validated", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token's iss is %s; the mount trusts other keys: compare oidc_discovery_url, jwks_url or jwt_validation_pubkeys in its configuration", token.show("iss"))
	}},
	{"error verifying token signature", func(claims, settings, time.Time) string {
		return "is that a JWT at all?"
	}},
	{"error validating claims", func(token claims, _ settings, _ time.Time) string { return "compare bound_claims of the role" }},
	{"could not be found", wrongRole},
	{"invalid role name", wrongRole},
	{"missing role", func(claims, settings, time.Time) string {
		return "the mount has no default_role: name one with --vault-role (WITH_CREDS_VAULT_ROLE)"
	}},
	{"invalid role or secret ID", func(claims, settings, time.Time) string {
		return "one of WITH_CREDS_VAULT_ROLE_ID and WITH_CREDS_VAULT_SECRET_ID is wrong, or the secret id has expired or is used up (secret_id_ttl, secret_id_num_uses)"
	}},
	{"invalid secret id", func(claims, settings, time.Time) string {
		return "WITH_CREDS_VAULT_SECRET_ID is wrong, has expired or is used up (secret_id_ttl, secret_id_num_uses)"
	}},
	{"invalid role ID", func(claims, settings, time.Time) string { return "WITH_CREDS_VAULT_ROLE_ID is none of this mount" }},
	{"source address", func(claims, settings, time.Time) string {
		return "compare token_bound_cidrs and secret_id_bound_cidrs of the role with where this runs"
	}},
	{"namespace not authorized", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the service account is %s; compare bound_service_account_namespaces of the role", token.show("sub"))
	}},
	{"service account name not authorized", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the service account is %s; compare bound_service_account_names of the role", token.show("sub"))
	}},
}

func wrongRole(_ claims, set settings, _ time.Time) string {
	return fmt.Sprintf("is %q (--vault-role) a role of the mount %q (--vault-mount)?", set.Role, firstOf(set.Mount, set.Auth))
}

func notYet(claim string) func(claims, settings, time.Time) string {
	return func(token claims, _ settings, now time.Time) string {
		return fmt.Sprintf("the token's %s is %s, and it is %s here: one of the clocks is wrong (Vault's, or that of who made the token); clock_skew_leeway of the role allows for some",
			claim, token.at(claim), now.UTC().Format(time.RFC3339))
	}
}

// loginHint says which claim or setting to look at.
func loginHint(err error, set settings, body map[string]any, now time.Time) string {
	jwt, _ := body["jwt"].(string)
	token := claimsOf(jwt)
	if f, ok := errors.AsType[*failure](err); ok && f.status != 0 {
		for _, row := range loginRows {
			if !strings.Contains(f.text, row.holds) {
				continue
			}
			hint := row.hint(token, set, now)
			if name := claimNamed.FindStringSubmatch(f.text); name != nil && row.holds == "error validating claims" {
				hint = fmt.Sprintf("the token's %s is %s; %s", name[1], token.show(name[1]), hint)
			}
			return hint
		}
	}
	switch meansOf(err) {
	case forbidden, missing, unsupported:
		if set.Auth == "kubernetes" {
			return "does the API server know the token (Vault asks it: kubernetes_host, and Vault's right to make TokenReviews), is the auth method mounted there (--vault-mount), and the namespace right?"
		}
		return "is the auth method mounted there (--vault-mount), and the namespace right?"
	case dead:
		return "does the namespace exist?"
	}
	return ""
}

// claimNamed finds the claim that a refusal is about: claim "repository" does not match any associated bound claim values.
var claimNamed = regexp.MustCompile(`claim "([^"]{1,100})"`)

// claims are what a token says of itself. They are read for messages alone and judged by nobody here: the signature is Vault's to check. Claims are
// no secret; the signature, without which they are worth nothing, never gets into a message.
type claims map[string]any

func claimsOf(token string) claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return nil
	}
	return c
}

func (c claims) show(name string) string {
	switch v := c[name].(type) {
	case string:
		return fmt.Sprintf("%q", firstLine(v))
	case bool:
		return fmt.Sprint(v)
	case float64:
		return fmt.Sprint(int64(v))
	case []any:
		var all []string
		for _, each := range v {
			if text, ok := each.(string); ok {
				all = append(all, fmt.Sprintf("%q", firstLine(text)))
			}
		}
		return strings.Join(all, ", ")
	}
	return "not there"
}

func (c claims) at(name string) string {
	if seconds, ok := c[name].(float64); ok {
		return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
	}
	return "not there"
}
