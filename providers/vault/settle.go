package vault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
)

const (
	// settling is how long another process's requests are waited for when there is no telling whether they were answered: cut connections end them
	// within milliseconds, but a proxy may keep its own to Vault open, and not every engine listens.
	settling = 5 * time.Second
	// settlingInSight is how long it may take where the answer is seen. An engine may be slow, and PostgreSQL's makes users one after another.
	settlingInSight = 30 * time.Second
)

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

// Settle waits until as many requests of another process as it says are answered, so that what they created hangs on the session's own token; for that
// time it first sees to it that the token does not live on. It returns the leases that it saw in the answers.
//
// How it knows depends on what it inherited. Over plain HTTP it asks one more thing on each connection, and asks for it to be closed then: requests on a
// connection are answered in turn, and it reads the answers. Over TLS it cannot, for the keys died with the process: there, and where it inherited
// nothing, or a connection that broke off without a word, it waits five seconds. Inherited connections serve their other purpose over TLS too, and under a borrowed token: Vault does not break off what it
// is doing. With a borrowed token and no connection there is nothing to wait for.
func (s *Session) Settle(ctx context.Context, requests int) ([]providers.Lease, error) {
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
	if requests <= 0 || own == nil && len(held) == 0 {
		return nil, nil
	}
	began := time.Now()
	seen, bound := s.inSight(held), settling
	if seen {
		bound = settlingInSight
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		if own != nil && own.Renewable {
			_, _ = s.Renew(ctx, *own, bound+settling) // for the case that this process dies too; if it fails, the token has the end it had
		}
	}()
	var found []providers.Lease
	if seen {
		found, seen = s.outlive(ctx, held)
	}
	if !seen {
		providers.Sleep(ctx, time.Until(began.Add(settling))) // cut short, it is as if the bound had been shorter
	}
	<-cut
	return found, nil
}

// inSight says whether the connections were spoken to in plain HTTP/1.1 and lead to Vault, or to what speaks for it, directly.
func (s *Session) inSight(held []net.Conn) bool {
	conn := s.client.conn
	return len(held) > 0 && !strings.HasPrefix(conn.Address, "https:") && conn.Proxy == "" && conn.Proxies.HTTP == ""
}

// outlive returns when each of the connections has been closed by the server, which it is once all that was asked on it is answered, or when ctx is done,
// and then the leases that were in the answers, and whether there was an answer on each.
func (s *Session) outlive(ctx context.Context, held []net.Conn) (found []providers.Lease, answered bool) {
	host := "localhost"
	if u, err := url.Parse(s.client.conn.Address); err == nil && u.Host != "" {
		host = u.Host
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	answered = true
	for _, c := range held {
		all.Go(func() {
			deadline, _ := ctx.Deadline()
			_ = c.SetDeadline(deadline)
			defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
			_, err := fmt.Fprintf(c, "GET /v1/sys/health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			in := bufio.NewReader(c)
			_, err = in.Peek(1)
			leases := s.leasesIn(in)
			mu.Lock()
			defer mu.Unlock()
			found, answered = append(found, leases...), answered && err == nil
		})
	}
	all.Wait()
	return found, answered
}

// leasesIn reads a connection to its end and returns the leases of the answers on it. An answer of which the process before this one has read a part
// cannot be understood; nor can what follows it.
func (s *Session) leasesIn(in *bufio.Reader) []providers.Lease {
	var found []providers.Lease
	for {
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			_, _ = io.Copy(io.Discard, in)
			return found
		}
		content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		answer.Body.Close()
		if err != nil {
			return found
		}
		if secret, err := api.ParseSecret(bytes.NewReader(content)); err == nil && secret != nil {
			if l := s.lease(secret, time.Now()); !l.IsZero() {
				found = append(found, l)
			}
		}
	}
}
