package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
)

// A Session is one App.
type Session struct {
	target    target
	settings  providers.Settings
	transport *http.Transport
	app       *app     // nil in another process, which revokes and issues nothing
	client    *client  // as the App; nil likewise
	transit   *transit // nil: the key is at hand

	mu            sync.Mutex
	tokens        map[string]*token         // by lease; of those not known to be gone
	logins        map[string]*vault.Session // likewise
	gone          map[string]bool           // by lease
	installations map[string]int64          // by owner
}

// A token and who shows it. One that is gone is refused whatever limits it ran into before, so the proof is asked for by a client that has not.
type token struct {
	text         string
	ends, proves *client
}

var _ providers.Session = (*Session)(nil)

// newSession is one that can revoke.
func newSession(t target, s providers.Settings) *Session {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = t.Proxies.Choose()
	// A connection on which nothing comes any more is given up: over HTTP/2 a request's deadline alone would leave it in use.
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second}
	return &Session{
		target: t, settings: s, transport: transport,
		tokens: map[string]*token{}, logins: map[string]*vault.Session{}, gone: map[string]bool{}, installations: map[string]int64{},
	}
}

// asApp enables it to issue, by the App's key.
func (s *Session) asApp() error {
	s.app = &app{id: s.target.App, now: time.Now}
	if s.target.Transit != "" {
		s.transit = &transit{session: s, path: s.target.Transit}
		s.app.sign = s.transit.sign
	} else {
		s.app.sign = signer(s.target.Key)
	}
	var err error
	s.client, err = s.newClient(s.app.token)
	return err
}

// A handoff is what another process needs: the tokens themselves, for nothing else ends them, and the logins to Vault. It has no use for the App's key.
type handoff struct {
	Target target                       `json:"target"`
	Tokens map[string]string            `json:"tokens,omitempty"`
	Logins map[string]providers.Handoff `json:"logins,omitempty"`
}

// Resume makes the session anew from a Handoff.
func (Provider) Resume(h providers.Handoff, s providers.Settings) (providers.Session, error) {
	var with handoff
	if err := json.Unmarshal(h.Data, &with); err != nil {
		return nil, errors.New("github: the handed over session is not readable") // not the error itself: it may quote the data
	}
	session := newSession(with.Target, s)
	for id, text := range with.Tokens {
		if err := session.remember(id, text); err != nil {
			return nil, fmt.Errorf("github: %w", err)
		}
	}
	for id, h := range with.Logins {
		login, err := vault.Provider{}.Resume(h, s)
		if err != nil {
			return nil, fmt.Errorf("github: %w", err)
		}
		session.logins[id] = login.(*vault.Session)
	}
	return session, nil
}

// Handoff holds every token and every login to Vault that is not known to be gone.
func (s *Session) Handoff() providers.Handoff {
	s.mu.Lock()
	defer s.mu.Unlock()
	with := handoff{s.target, map[string]string{}, map[string]providers.Handoff{}}
	for id, t := range s.tokens {
		with.Tokens[id] = t.text
	}
	for id, login := range s.logins {
		with.Logins[id] = login.Handoff()
	}
	data, err := json.Marshal(with)
	if err != nil {
		panic("github: a handoff of strings does not marshal: " + err.Error())
	}
	return providers.Handoff{Provider: Name, Origin: s.target.API, Data: data}
}

// Own is nil: what the App signs in with ends by itself. A login to Vault is a lease like the tokens, for none of them ends with it.
func (s *Session) Own() *providers.Lease { return nil }

// Close ends the logins to Vault that were not revoked as leases.
func (s *Session) Close(ctx context.Context) (providers.Proof, error) {
	proof, err := s.endLogins(ctx)
	if err == nil {
		s.transport.CloseIdleConnections()
	}
	return proof, err
}

func (s *Session) tokenOf(l providers.Lease) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[l.ID]
}

func (s *Session) isGone(l providers.Lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone[l.ID]
}

// remember keeps a token, here and in the Handoff: nothing else ends it.
func (s *Session) remember(id, text string) error {
	show := func(context.Context) (string, error) { return text, nil }
	ends, err := s.newClient(show)
	if err != nil {
		return err
	}
	proves, err := s.newClient(show)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[id] = &token{text, ends, proves}
	return nil
}

func (s *Session) forget(l providers.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, l.ID)
	s.gone[l.ID] = true
}
