//go:build !windows

package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// An Issuer signs identity tokens as a CI does, with a key made for the test.
type Issuer struct {
	Name      string // the iss of its tokens
	PublicKey string // PEM
	t         testing.TB
	key       *ecdsa.PrivateKey
}

// NewIssuer makes a key.
func NewIssuer(t testing.TB, name string) *Issuer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{Name: name, PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), t: t, key: private}
}

// Token signs a token that is valid for five minutes, with these claims beside and in place of iss, iat, nbf and exp; a claim that is nil is left out.
func (i *Issuer) Token(claims map[string]any) string {
	now := time.Now()
	all := map[string]any{"iss": i.Name, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64) // RFC 7518, 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// EnableJWT mounts auth/jwt, which trusts the issuer alone.
func (s *VaultServer) EnableJWT(issuer *Issuer) {
	s.t.Helper()
	s.enableAuth("jwt")
	s.Write("auth/jwt/config", map[string]any{
		"jwt_validation_pubkeys": []string{issuer.PublicKey}, "jwt_supported_algs": []string{"ES256"}, "bound_issuer": issuer.Name,
	})
}

// JWTRole writes auth/jwt/role/NAME.
func (s *VaultServer) JWTRole(name string, settings map[string]any) {
	s.t.Helper()
	role := map[string]any{"role_type": "jwt", "user_claim": "sub"}
	maps.Copy(role, settings)
	s.Write("auth/jwt/role/"+name, role)
}

func (s *VaultServer) enableAuth(method string) {
	s.t.Helper()
	if err := s.Client.Sys().EnableAuthWithOptions(method, &api.EnableAuthOptions{Type: method}); err != nil {
		s.t.Fatal(err)
	}
}

// A GitHubRunner is a stand-in for the service that gives a job of GitHub's an id token:
// https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token.
type GitHubRunner struct {
	// Env is what a job with `permissions: id-token: write` finds.
	Env    map[string]string
	Claims map[string]any // of the tokens, beside aud
	Issuer *Issuer

	mu       sync.Mutex
	requests int
	failing  int
}

// NewGitHubRunner starts one. Without an audience its tokens are made out to the repository's owner.
func NewGitHubRunner(t testing.TB, issuer *Issuer, claims map[string]any) *GitHubRunner {
	t.Helper()
	bearer := rand.Text()
	g := &GitHubRunner{Issuer: issuer, Claims: claims}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.requests++
		if g.failing > 0 {
			g.failing--
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+bearer || r.URL.Query().Get("api-version") != "2.0" {
			http.Error(w, "", http.StatusUnauthorized)
			return
		}
		audience := r.URL.Query().Get("audience")
		if audience == "" {
			audience = "https://github.com/acme"
		}
		all := maps.Clone(g.Claims)
		all["aud"] = audience
		_ = json.NewEncoder(w).Encode(map[string]any{"value": g.Issuer.Token(all), "count": 1})
	}))
	t.Cleanup(server.Close)
	g.Env = map[string]string{
		"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer, "ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + "/token?api-version=2.0",
	}
	return g
}

// Requests is how often it was asked.
func (g *GitHubRunner) Requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// Fail makes it answer the next n requests with 503.
func (g *GitHubRunner) Fail(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failing = n
}

// A Kubernetes is a stand-in for the one call of the API server's that Vault makes at a login: TokenReview
// (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/).
type Kubernetes struct {
	issuer *Issuer
	url    string
	mu     sync.Mutex
	known  map[string]string // token → service account's name
}

// EnableKubernetes starts one and mounts auth/kubernetes in front of it.
func (s *VaultServer) EnableKubernetes() *Kubernetes {
	s.t.Helper()
	k := &Kubernetes{issuer: NewIssuer(s.t, "https://kubernetes.default.svc"), known: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(k.review))
	s.t.Cleanup(server.Close)
	k.url = server.URL
	s.enableAuth("kubernetes")
	s.Write("auth/kubernetes/config", map[string]any{
		"kubernetes_host": server.URL, "token_reviewer_jwt": "reviewer", "disable_local_ca_jwt": true,
	})
	return k
}

func (k *Kubernetes) review(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Spec struct {
			Token string `json:"token"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || !strings.HasSuffix(r.URL.Path, "/tokenreviews") {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	user, ok := k.known[asked.Spec.Token]
	k.mu.Unlock()
	status := map[string]any{"authenticated": ok}
	if ok {
		status["audiences"] = []string{"vault"}
		status["user"] = map[string]any{"username": user, "uid": "uid-" + user, "groups": []string{"system:serviceaccounts"}}
	} else {
		status["error"] = "invalid bearer token"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
}

// ServiceAccount makes a token such as the kubelet projects into a pod; the API server knows it until Forget.
func (k *Kubernetes) ServiceAccount(namespace, name string) string {
	user := "system:serviceaccount:" + namespace + ":" + name
	token := k.issuer.Token(map[string]any{
		"sub": user, "aud": []string{"vault"}, "jti": rand.Text(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": "uid-" + user}},
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known[token] = user
	return token
}

// Forget makes a token one that the API server does not know.
func (k *Kubernetes) Forget(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, token)
}
