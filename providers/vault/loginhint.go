package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
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
		if set.Auth == "kubernetes" {
			return fmt.Sprintf("the token's aud is %s; project it with another (serviceAccountToken: audience:), or change `audience` of the role", token.show("aud"))
		}
		where := "ask for another where the token is made (on GitLab: `id_tokens: … aud:`)"
		if set.onGitHub() {
			where = "set WITH_CREDS_VAULT_AUDIENCE (--vault-audience)"
		}
		return fmt.Sprintf("the token's aud is %s; it must be one of the role's bound_audiences: %s", token.show("aud"), where)
	}},
	{"'aud': source data must be an array", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token's iss is %s: is that a cluster's? A service account's token has a list of audiences; for a CI's id token there is --vault-auth=jwt", token.show("iss"))
	}},
	{"no audiences bound to the role", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token's aud is %s, and the role must name it in bound_audiences", token.show("aud"))
	}},
	{"no issued at (iat)", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token must say when it ends, and its claims are %s", token.names())
	}},
	{"not found in token", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("compare user_claim and groups_claim of the role; the token's claims are %s", token.names())
	}},
	{"(iss) claim", func(token claims, _ settings, _ time.Time) string {
		return fmt.Sprintf("the token's iss is %s; compare bound_issuer in the configuration of the mount", token.show("iss"))
	}},
	{"token is expired", expired},
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
	{"missing secret_id", func(claims, settings, time.Time) string {
		return "set WITH_CREDS_VAULT_SECRET_ID, or WITH_CREDS_VAULT_SECRET_ID_FILE"
	}},
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

func expired(token claims, _ settings, now time.Time) string {
	return fmt.Sprintf("the token's exp is %s, and it is %s here: is a fresh one taken for each run, and are both clocks right?", token.at("exp"), now.UTC().Format(time.RFC3339))
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
		mounted := "is the auth method mounted there (--vault-mount), is the namespace right (VAULT_NAMESPACE), and does token_bound_cidrs of the role hold this address?"
		if exp, ok := token["exp"].(float64); ok && now.Unix() > int64(exp) {
			return expired(token, set, now)
		}
		if set.Auth == "kubernetes" {
			return fmt.Sprintf("the token's sub is %s, its aud %s: does the API server know it (Vault asks at kubernetes_host, and needs the right to make TokenReviews)? Or: %s",
				token.show("sub"), token.show("aud"), mounted)
		}
		return mounted
	case dead:
		return "does the namespace exist?"
	}
	return ""
}

// claimNamed finds the claim that a refusal is about: claim "repository" does not match any associated bound claim values.
var claimNamed = regexp.MustCompile(`claim "([^"]{1,100})"`)

// claims are what a token says of itself. They are read for messages, and to see whose token it is (auto), and judged by nobody here: the signature is Vault's to check. Claims are
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

// names are those of the claims.
func (c claims) names() string { return firstLine(strings.Join(slices.Sorted(maps.Keys(c)), ", ")) }

func (c claims) at(name string) string {
	if seconds, ok := c[name].(float64); ok {
		return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
	}
	return "not there"
}
