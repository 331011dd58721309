package harness

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A TokenService is a stand-in for a service of one's own that sells tokens over HTTP. Who asks shows the API key as a bearer token:
//
//	POST   /tokens/ID {"ttl": 300, "max_ttl": 3600} → 201 {"token": "…", "expires_in": 300}; 409 when there is one of that ID
//	PATCH  /tokens/ID {"ttl": 300}                  → 200 {"expires_in": 300}; 404
//	DELETE /tokens/ID                               → 204; 404
//
// Tokens end by themselves after their ttl, and max_ttl after they were made, which is an hour unless said.
type TokenService struct {
	URL string
	*TokenAccount

	mu       sync.Mutex
	accounts map[string]*TokenAccount // by API key
	log      []string
}

// A TokenAccount has tokens of its own.
type TokenAccount struct {
	APIKey string // made at run time

	service *TokenService
	tokens  map[string]*token // by ID
}

type token struct {
	value          string
	made, end, max time.Time
}

// Tokens starts the service until the test ends.
func Tokens(t testing.TB) *TokenService {
	t.Helper()
	s := &TokenService{accounts: map[string]*TokenAccount{}}
	s.TokenAccount = s.Account()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tokens/{id}", s.admin(s.create))
	mux.HandleFunc("PATCH /tokens/{id}", s.admin(s.extend))
	mux.HandleFunc("DELETE /tokens/{id}", s.admin(s.remove))
	mux.HandleFunc("GET /whoami", s.whoami)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Address is host:port.
func (s *TokenService) Address() string { return strings.TrimPrefix(s.URL, "http://") }

// Account opens another account.
func (s *TokenService) Account() *TokenAccount {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &TokenAccount{APIKey: rand.Text(), service: s, tokens: map[string]*token{}}
	s.accounts[a.APIKey] = a
	return a
}

// Live lists the IDs of the tokens that can be used at this moment.
func (a *TokenAccount) Live() []string {
	a.service.mu.Lock()
	defer a.service.mu.Unlock()
	ids := []string{}
	for id, t := range a.tokens {
		if time.Now().Before(t.end) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Usable reports whether somebody who shows this token is let in.
func (a *TokenAccount) Usable(value string) bool {
	a.service.mu.Lock()
	defer a.service.mu.Unlock()
	for _, t := range a.tokens {
		if t.value == value && time.Now().Before(t.end) {
			return true
		}
	}
	return false
}

// whoami lets in who shows a token of any account.
func (s *TokenService) whoami(w http.ResponseWriter, r *http.Request) {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	accounts := slices.Collect(maps.Values(s.accounts))
	s.mu.Unlock()
	if !slices.ContainsFunc(accounts, func(a *TokenAccount) bool { return a.Usable(value) }) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// Log is a line for each request of the administrator's.
func (s *TokenService) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

func (s *TokenService) admin(next func(*TokenAccount, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		account := s.accounts[key]
		if account == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.log = append(s.log, r.Method+" "+r.URL.Path)
		next(account, w, r)
	}
}

// asked is what a request asks for, within what there is.
func asked(r *http.Request) (ttl, maxTTL time.Duration) {
	var body struct {
		TTL    int `json:"ttl"`
		MaxTTL int `json:"max_ttl"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body) // nothing asked for is something, too
	within := func(seconds int) time.Duration {
		if d := time.Duration(seconds) * time.Second; d > 0 && d < time.Hour {
			return d
		}
		return time.Hour
	}
	return within(body.TTL), within(body.MaxTTL)
}

func (t *token) extend(from time.Time, ttl time.Duration) map[string]any {
	if t.end = from.Add(ttl); t.end.After(t.max) {
		t.end = t.max
	}
	return map[string]any{"token": t.value, "expires_in": int(t.end.Sub(from).Seconds())}
}

func (*TokenService) create(a *TokenAccount, w http.ResponseWriter, r *http.Request) {
	id, now := r.PathValue("id"), time.Now()
	if a.tokens[id] != nil {
		w.WriteHeader(http.StatusConflict)
		return
	}
	ttl, maxTTL := asked(r)
	t := &token{value: rand.Text(), made: now, max: now.Add(maxTTL)}
	a.tokens[id] = t
	answer := t.extend(now, ttl)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(answer)
}

func (*TokenService) extend(a *TokenAccount, w http.ResponseWriter, r *http.Request) {
	t, now := a.tokens[r.PathValue("id")], time.Now()
	if t == nil || now.After(t.end) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	ttl, _ := asked(r)
	answer := t.extend(now, ttl)
	delete(answer, "token")
	_ = json.NewEncoder(w).Encode(answer)
}

func (*TokenService) remove(a *TokenAccount, w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if a.tokens[id] == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	delete(a.tokens, id)
	w.WriteHeader(http.StatusNoContent)
}
