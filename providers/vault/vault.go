// Package vault issues credentials of any of Vault's secrets engines (and OpenBao's), renews their leases and revokes them.
//
//	vault:PATH[?param=value&…]      vault:database/creds/readonly, vault:pki/issue/web?common_name=ci.example.com
//
// # What it promises
//
//   - No preflight. A run makes one round trip to log in, none when it is handed a token, and then one for each credential.
//   - The token of a login belongs to the run: it is Session.Own, renewed like a lease, and revoked last. A token handed in is
//     used and left alone (see settings for VAULT_TOKEN and WITH_CREDS_VAULT_CHILD_TOKEN).
//   - A revocation is Proven only when Vault has said that the lease does not exist, or has ended it synchronously, and the engine is not one whose
//     revocations end nothing (lasting.go): what those issue is said to expire.
//   - Settings come from Settings.Lookup alone, whatever VAULT_* the process runs under, and no file is read before Open.
//   - The token goes to the address that was set and nowhere else: redirects are not followed.
//   - What an answer means is decided in one table, answers.go; how a path is asked, in another, routes.go.
//
// # When the process is killed
//
// Measured with Vault 1.21.1, files for storage and PostgreSQL, killing the client at random in the second half of a read of database/creds that takes 6 ms:
//
//   - When the connection closes, Vault cancels what it is doing, between any two of its steps. Of 600 reads cut off so, 2 left a role in the
//     database that no lease names, so that nothing ever removes it, and 83 left a lease whose role was gone already. It makes no difference
//     that the token is revoked 20 ms later. (With Vault's data in memory 600 reads left nothing.)
//   - When the token is revoked, or ends, while a read is in flight whose connection stays open, the lease lives on for its full TTL under a
//     dead token: Vault collects a token's leases once, when it ends, and registers a lease without another look at its token.
//   - Where the connections were kept open until all was answered, and the token revoked then, 600 of 600 left nothing; it took
//     0.3 s at most.
//
// So another process must keep the connections open (Session.OnConnect gives them to it, and a duplicate of the socket is enough; Session.Inherit takes
// them there), wait until what was in flight is answered (Session.Settle), and only then revoke the token.
//
// With a borrowed token nothing but the answer names the lease. Over plain HTTP, to a local agent for one, the other process reads the answer off the
// connection. Then there is one instant left: between the killed process's having read the answer and its having told the other, which is microseconds. Over TLS the
// instant begins when Vault makes the lease, which is the request's whole second half: the keys die with the process. What is issued in that instant
// lives for its lease's own TTL; its name is in Vault's audit log. WITH_CREDS_VAULT_CHILD_TOKEN=true closes it.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Name is what a spec calls this provider.
const Name = "vault"

// Provider is the provider itself; it has no state.
type Provider struct{}

var (
	_ providers.Provider = Provider{}
	_ providers.Session  = (*Session)(nil)
	_ providers.Deferrer = (*Session)(nil)
	_ providers.Settler  = (*Session)(nil)
)

// SecretEnv names what Open may read and a command must not inherit.
func (Provider) SecretEnv() []string {
	return []string{
		"VAULT_TOKEN", "VAULT_HEADERS", "WITH_CREDS_VAULT_ROLE_ID", "WITH_CREDS_VAULT_SECRET_ID",
		"WITH_CREDS_VAULT_WRAPPED_SECRET_ID", "WITH_CREDS_VAULT_JWT",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN", // whoever has it can log in as the job
	}
}

// Check refuses a path that is none, a parameter that the path cannot take, and a request that would overwrite a stored secret.
func (Provider) Check(r providers.Request) error {
	_, err := routeOf(r)
	return err
}

// A Session is one login, or one borrowed token, at one address. Its methods may be called concurrently.
type Session struct {
	client *client
	run    providers.Settings

	mu        sync.Mutex
	own       *providers.Lease // nil: the token is borrowed
	issuer    bool             // leases may hang on its token
	forbidden map[string]bool  // lease prefixes whose synchronous revocation the policy forbids
	held      []net.Conn       // of the process before this one
	lost      time.Time        // when the answer to a request that may leave a lease was lost last
}

// Open reads the settings, finds a token or logs in, and makes no other round trip. A login whose answer is lost leaves a token for the TTL that its
// role gives, but nobody knows it and nothing hangs on it.
func (Provider) Open(ctx context.Context, run providers.Settings) (providers.Session, error) {
	set, conn, err := judged(ctx, run)
	if err != nil {
		return nil, err
	}
	s, err := newSession(conn, run)
	if err != nil {
		return nil, err
	}
	if err := s.authenticate(ctx, set); err != nil {
		s.client.close()
		return nil, err
	}
	return s, nil
}

var _ providers.Judger = Provider{}

// Judge reads the settings, and the files they name but those of the login.
func (Provider) Judge(run providers.Settings) error {
	_, _, err := judged(context.Background(), run)
	return err
}

// judged are settings that make sense.
func judged(ctx context.Context, run providers.Settings) (settings, connection, error) {
	set, err := readSettings(ctx, run)
	if err != nil {
		return set, connection{}, err
	}
	if _, known := loginMethods[set.Auth]; !known && set.Auth != "auto" && set.Auth != "token" {
		return set, connection{}, fmt.Errorf("vault: --vault-auth (WITH_CREDS_VAULT_AUTH): there is no way %q to log in: write auto, token, %s",
			set.Auth, strings.Join(slices.Sorted(maps.Keys(loginMethods)), ", "))
	}
	conn, err := set.connection()
	return set, conn, err
}

func newSession(conn connection, run providers.Settings) (*Session, error) {
	c, err := newClient(conn, run.CountRequest)
	if err != nil {
		return nil, err
	}
	return &Session{client: c, run: run, forbidden: map[string]bool{}}, nil
}

// handoff is what Resume needs. Files are in it by content: they may be gone, or not readable, where it is read.
type handoff struct {
	Connection connection       `json:"connection"`
	Token      string           `json:"token"`
	Own        *providers.Lease `json:"own,omitempty"`
	Lost       time.Time        `json:"lost,omitzero"`
}

// Handoff is the address, the TLS material and the token, and when an answer was lost.
func (s *Session) Handoff() providers.Handoff {
	own := s.Own()
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	data, err := json.Marshal(handoff{s.client.conn, s.client.token(), own, lost})
	if err != nil {
		panic("vault: a handoff that is no JSON: " + err.Error()) // it is made of strings, numbers and times
	}
	return providers.Handoff{Provider: Name, Origin: s.client.conn.origin(), Data: data}
}

// Resume makes a session of a handoff; it reads neither files nor settings and makes no network call.
func (Provider) Resume(h providers.Handoff, run providers.Settings) (providers.Session, error) {
	var data handoff
	if err := json.Unmarshal(h.Data, &data); err != nil {
		return nil, errors.New("vault: the handoff cannot be read") // the JSON error could quote a secret
	}
	s, err := newSession(data.Connection, run)
	if err != nil {
		return nil, err
	}
	s.client.setToken(data.Token)
	s.own, s.issuer, s.lost = data.Own, true, data.Lost
	return s, nil
}

// Own is the lease of the session's token: its ID is the token's accessor. It is nil for a borrowed token. A batch token has no accessor,
// cannot be renewed and cannot be revoked: its ID is "request/" and the id of the login request, as Vault's audit log has it.
func (s *Session) Own() *providers.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil {
		return nil
	}
	own := *s.own
	return &own
}
