package github

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
)

// A transit signs with a key in Vault's transit engine: https://developer.hashicorp.com/vault/api-docs/secret/transit#sign-data. The login needs update on
// MOUNT/sign/NAME/sha2-256. It is one of provider vault's, by the same settings, and so is the client. One call at a time.
type transit struct {
	session *Session
	path    string
	login   *vault.Session // nil: not yet
}

// signingPath is where the key MOUNT/NAME signs.
func signingPath(key string) (string, error) {
	i := strings.LastIndexByte(key, '/')
	if i <= 0 || i == len(key)-1 {
		return "", fmt.Errorf("%s: %q is not MOUNT/NAME, for example transit/github-app", transitVariable, key)
	}
	return key[:i] + "/sign" + key[i:] + "/sha2-256", nil
}

// sign asks Vault for a signature: one request in eight minutes.
func (t *transit) sign(ctx context.Context, text []byte) ([]byte, error) {
	if t.login == nil || over(t.login.Own()) {
		login, err := t.session.logIn(ctx)
		if err != nil {
			return nil, err
		}
		t.login = login
	}
	data, err := t.login.Write(ctx, t.path, map[string]any{
		"input": base64.StdEncoding.EncodeToString(text), "signature_algorithm": "pkcs1v15",
	})
	if err != nil {
		return nil, err
	}
	// vault:v3:…
	signature, _ := data["signature"].(string)
	_, encoded, _ := strings.Cut(strings.TrimPrefix(signature, "vault:"), ":")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) < 256 {
		return nil, providers.Refused(fmt.Errorf("the answer of Vault's %s is no RSA signature; is the key of a type rsa-…?", t.path))
	}
	return raw, nil
}

// over reports whether a login has come to its end, as one does that could not be renewed.
func over(own *providers.Lease) bool {
	return own != nil && !own.Expires.IsZero() && own.TTL(time.Now()) == 0
}

// scopeVault is the key of a lease's Scope by which a login to Vault is known from a token of GitHub's; it says which Vault.
const scopeVault = "vault"

// logIn logs in to Vault. A token that this gives is the run's own: kept alive, and revoked, like the leases.
func (s *Session) logIn(ctx context.Context) (*vault.Session, error) {
	opened, err := vault.Provider{}.Open(ctx, s.settings)
	if err != nil {
		return nil, err
	}
	login := opened.(*vault.Session)
	own := login.Own()
	if own == nil {
		return login, nil // a borrowed token
	}
	own.Provider, own.Scope = Name, maps.Clone(own.Scope)
	own.Scope[scopeVault] = login.Handoff().Origin
	own.Scope[providers.ScopeGroup] = "a login to Vault"
	own.Scope[providers.ScopeRun] = s.settings.Run
	s.mu.Lock()
	s.logins[own.ID] = login
	s.mu.Unlock()
	s.settings.Changed()
	return login, s.settings.Intending(*own)
}

// renewLogin renews a login to Vault.
func (s *Session) renewLogin(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	login := s.loginOf(l)
	if login == nil {
		return l, providers.Refused(fmt.Errorf("github: renewing %s: this login to Vault is not known here", l.ID))
	}
	l.Provider = vault.Name
	renewed, err := login.Renew(ctx, l, increment)
	renewed.Provider = Name
	return renewed, err
}

// revokeLogin ends a login to Vault: by itself where it is known, and else, as after a power cut, by another one with the right to.
func (s *Session) revokeLogin(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	if login := s.loginOf(l); login != nil {
		return s.endLogin(ctx, l.ID, login)
	}
	if s.isGone(l) {
		return providers.Proven, nil
	}
	if s.transit == nil || s.transit.login == nil {
		return providers.Expires, nil
	}
	if here := s.transit.login.Handoff().Origin; here != l.Scope[scopeVault] {
		return providers.Failed, providers.Refused(fmt.Errorf("github: revoking the login %s: it is of the Vault at %s, and the settings are for %s", l.ID, l.Scope[scopeVault], here))
	}
	l.Provider = vault.Name
	return s.transit.login.Revoke(ctx, l)
}

func (s *Session) loginOf(l providers.Lease) *vault.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins[l.ID]
}

func (s *Session) endLogin(ctx context.Context, id string, login *vault.Session) (providers.Proof, error) {
	proof, err := login.Close(ctx)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.logins, id)
		s.gone[id] = true
	}
	return proof, err
}

// endLogins ends those that nobody has ended as leases.
func (s *Session) endLogins(ctx context.Context) (providers.Proof, error) {
	s.mu.Lock()
	left := maps.Clone(s.logins)
	s.mu.Unlock()
	all := providers.Proven
	for id, login := range left {
		proof, err := s.endLogin(ctx, id, login)
		if err != nil {
			return providers.Failed, err
		}
		if proof != providers.Proven {
			all = proof
		}
	}
	return all, nil
}
