package vault

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Close revokes the session's own token and closes its connections. Vault answers a token's revocation when the token is deleted, and marks the
// leases left under it for its queue; it is not the way to see a lease gone (revoke each first, with Revoke).
//
// A token that its policies do not let revoke itself (they lack the default policy), and a batch token, end by themselves: Expires.
func (s *Session) Close(ctx context.Context) (providers.Proof, error) {
	own := s.Own()
	if own == nil {
		s.client.close()
		return providers.Proven, nil
	}
	if own.Scope["kind"] == batchKind {
		s.client.close()
		return providers.Expires, nil
	}
	_, err := s.client.call(ctx, once, put, "auth/token/revoke-self", nil, struct{}{})
	switch meansOf(err) {
	case "", dead, gone:
		s.client.close()
		return providers.Proven, nil
	case forbidden:
		s.run.Warnf(`vault: the token of this run may not revoke itself (its policies lack "update" on auth/token/revoke-self): it ends at %s`,
			own.Expires.Format(time.RFC3339))
		s.client.close()
		return providers.Expires, nil
	}
	return providers.Failed, s.explain(err, "revoking the run's token", own.ID, "")
}

// settling is how long another process's request is waited for when there is no seeing that it was answered. Cutting its connection ends it within
// milliseconds; a proxy that keeps its own connection to Vault open, and an engine that does not listen, take as long as they take.
const settling = 5 * time.Second

// Inherit takes duplicates of the connections of the process before this one, as OnConnect gave them there. While they are open Vault goes on with what
// was in flight, and Settle sees when it is answered. The session closes them.
func (s *Session) Inherit(conns []*os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range conns {
		if c, err := net.FileConn(f); err == nil {
			s.held = append(s.held, c)
		}
		f.Close()
	}
}

// Settle waits until as many requests of another process as it says are answered, so that what they created hangs on the session's own token; at most
// a few seconds, for which it first sees to it that the token does not live on. With a borrowed token there is nothing to wait for: nobody can
// find what those requests created.
//
// It sees an answer on an inherited connection that becomes readable, or is closed by the server: over HTTP/1.1 one connection carries one request. Over
// HTTP/2, and without inherited connections, it waits its time.
func (s *Session) Settle(ctx context.Context, requests int) error {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	own := s.Own()
	if own == nil || requests <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		if own.Renewable {
			s.Renew(ctx, *own, 2*settling) // in case this process dies too; the token's own end is no worse
		}
	}()
	s.answered(ctx, held, requests)
	<-cut
	return nil
}

// answered returns when that many of the connections have something to read, or ctx is done.
func (s *Session) answered(ctx context.Context, held []net.Conn, requests int) {
	if s.multiplexed() {
		held = nil
	}
	seen := make(chan struct{}, len(held))
	var readers sync.WaitGroup
	for _, c := range held {
		deadline, _ := ctx.Deadline()
		c.SetReadDeadline(deadline)
		readers.Go(func() {
			_, err := c.Read(make([]byte, 1))
			if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
				seen <- struct{}{}
			}
		})
	}
	for range requests {
		select {
		case <-seen:
		case <-ctx.Done():
		}
	}
	for _, c := range held {
		c.SetReadDeadline(time.Unix(1, 0))
	}
	readers.Wait()
}

// multiplexed says whether the server may have been spoken to in HTTP/2: it is, wherever both sides can, over TLS.
func (s *Session) multiplexed() bool { return strings.HasPrefix(s.client.conn.Address, "https:") }
