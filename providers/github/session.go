package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/with-creds/with-creds/providers"
)

// A Session is one App.
type Session struct {
	target   target
	settings providers.Settings
	app      *app
	client   *github.Client // as the App

	mu            sync.Mutex
	tokens        map[string]string // by lease; of those not known to be gone
	gone          map[string]bool   // by lease
	installations map[string]int64  // by owner
}

var _ providers.Session = (*Session)(nil)

func newSession(t target, s providers.Settings) (*Session, error) {
	session := &Session{target: t, settings: s, tokens: map[string]string{}, gone: map[string]bool{}, installations: map[string]int64{}}
	sign, err := session.signer()
	if err != nil {
		return nil, err
	}
	session.app = &app{id: t.App, sign: sign, now: time.Now}
	session.client, err = session.newClient(session.app.token)
	return session, err
}

func (s *Session) signer() (func(context.Context, []byte) ([]byte, error), error) {
	if s.target.Transit != nil {
		return s.target.Transit.signer(s.settings.CountRequest)
	}
	return signer(s.target.Key)
}

// A handoff is what another process needs: the App's login, and the tokens themselves, for nothing else ends them.
type handoff struct {
	Target target            `json:"target"`
	Tokens map[string]string `json:"tokens,omitempty"`
}

// Resume makes the session anew from a Handoff.
func (Provider) Resume(h providers.Handoff, s providers.Settings) (providers.Session, error) {
	var with handoff
	if err := json.Unmarshal(h.Data, &with); err != nil {
		return nil, errors.New("github: the handed over session is not readable") // not the error itself: it may quote the data
	}
	session, err := newSession(with.Target, s)
	if err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	maps.Copy(session.tokens, with.Tokens)
	return session, nil
}

// Handoff holds the App's login and every token that is not known to be gone.
func (s *Session) Handoff() providers.Handoff {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := json.Marshal(handoff{s.target, s.tokens})
	if err != nil {
		panic("github: a handoff of strings does not marshal: " + err.Error())
	}
	return providers.Handoff{Provider: Name, Origin: s.target.API, Data: data}
}

// Own is nil: what the App signs in with ends by itself.
func (s *Session) Own() *providers.Lease { return nil }

// Close has nothing to end.
func (s *Session) Close(context.Context) (providers.Proof, error) { return providers.Proven, nil }

func (s *Session) tokenOf(l providers.Lease) (token string, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[l.ID], s.gone[l.ID]
}

// remember keeps a token, here and in the Handoff: nothing else ends it.
func (s *Session) remember(l providers.Lease, token string) {
	s.mu.Lock()
	s.tokens[l.ID] = token
	s.mu.Unlock()
	s.settings.Changed()
}

func (s *Session) forget(l providers.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, l.ID)
	s.gone[l.ID] = true
}
