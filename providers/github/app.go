package github

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"time"
)

// An app signs in as the App: it makes JSON web tokens and uses each for a while. It is safe for concurrent use.
//
// GitHub takes RS256 alone, an exp at most ten minutes ahead, and advises an iat a minute in the past against clocks that differ:
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
type app struct {
	id   string
	sign func(ctx context.Context, text []byte) (signature []byte, err error)
	now  func() time.Time

	mu   sync.Mutex
	last string
	ends time.Time
}

const (
	drift    = time.Minute
	lifetime = 9 * time.Minute // from now; 10 from iat
)

// token is a signed token with at least a minute to live.
func (a *app) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.last != "" && now.Before(a.ends.Add(-time.Minute)) {
		return a.last, nil
	}
	ends := now.Add(lifetime)
	claims, err := json.Marshal(map[string]any{"iss": a.id, "iat": now.Add(-drift).Unix(), "exp": ends.Unix()})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	signature, err := a.sign(ctx, []byte(text))
	if err != nil {
		return "", err
	}
	a.last, a.ends = text+"."+encode(signature), ends
	return a.last, nil
}

// signer signs with a key at hand.
func signer(key *rsa.PrivateKey) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, text []byte) ([]byte, error) {
		digest := sha256.Sum256(text)
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
}

// parseKey reads a private key as GitHub gives it out (PKCS #1) or as openssl converts it (PKCS #8). A CI's variable may have
// its ends of lines as \n. Its errors say nothing of it.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n"))) // PEM has no backslash
	if block == nil {
		return nil, errors.New("the App's key is not PEM: it begins with -----BEGIN RSA PRIVATE KEY-----")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := key.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, errors.New("the App's key is not an RSA private key without a passphrase")
}
