package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
)

// What an incident needs: the leases of everybody, not only those this session issued.

var (
	_ providers.Finder  = (*Session)(nil)
	_ providers.Dropper = (*Session)(nil)
)

// atOnce is how many requests are under way together. Vault answers a look-up in less than a millisecond; more than this is a load, not a gain.
const atOnce = 16

// Find lists the leases under a path, deeply: one request a level, one a lease. What is gone before it is looked up is left out.
// It needs sudo and "list" on sys/leases/lookup/PATH, and "update" on sys/leases/lookup, which the default policy gives.
//
// Tokens are leases too, under auth/; they can be revoked by that and not renewed.
func (s *Session) Find(ctx context.Context, under string) ([]providers.Lease, error) {
	ids, err := s.leaseIDs(ctx, under)
	if err != nil {
		return nil, err
	}
	leases := make([]providers.Lease, len(ids))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for i, id := range ids {
		all.Go(func() (err error) {
			leases[i], err = s.Lookup(ctx, id)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(leases, providers.Lease.IsZero), nil
}

// leaseIDs walks the tree of lease IDs. https://developer.hashicorp.com/vault/api-docs/system/leases#list-leases
func (s *Session) leaseIDs(ctx context.Context, under string) ([]string, error) {
	var mu sync.Mutex
	found := map[string]bool{}
	walk, ctx := errgroup.WithContext(ctx)
	limit := make(chan struct{}, atOnce)
	var visit func(dir string) error
	visit = func(dir string) error {
		limit <- struct{}{}
		answer, err := s.list(ctx, "sys/leases/lookup/"+dir)
		<-limit
		switch {
		case meansOf(err) == missing: // nothing there
			return nil
		case meansOf(err) == forbidden:
			return s.explain(err, "listing leases under", shownPath(dir), fmt.Sprintf(
				`the policy needs: path "sys/leases/lookup/%s*" { capabilities = ["list", "sudo"] }`, dir))
		case err != nil:
			return s.explain(err, "listing leases under", shownPath(dir), "")
		}
		for _, key := range answer {
			if strings.HasSuffix(key, "/") {
				walk.Go(func() error { return visit(dir + key) })
				continue
			}
			mu.Lock()
			found[dir+key] = true
			mu.Unlock()
		}
		return nil
	}
	dir := underOf(under)
	walk.Go(func() error { return visit(dir) })
	if err := walk.Wait(); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// underOf is a path as the lists of leases know it: with a slash at its end, unless it is all of them.
func underOf(path string) string {
	if path = strings.Trim(path, "/"); path != "" {
		path += "/"
	}
	return path
}

func shownPath(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

// list makes a LIST of a path, which is a GET that asks for one (https://developer.hashicorp.com/vault/api-docs#api-operations).
func (s *Session) list(ctx context.Context, path string) ([]string, error) {
	answer, err := s.client.call(ctx, repeated, get, path, map[string][]string{"list": {"true"}}, nil)
	if err != nil {
		return nil, err
	}
	if answer.secret == nil {
		return nil, nil
	}
	var keys []string
	some, _ := answer.secret.Data["keys"].([]any)
	for _, key := range some {
		if name, ok := key.(string); ok && name != "" {
			keys = append(keys, name)
		}
	}
	return keys, nil
}

// Lookup asks Vault for one lease. It tells neither who asked for it nor with which token: that is in the audit log alone.
func (s *Session) Lookup(ctx context.Context, id string) (providers.Lease, error) {
	asked := time.Now()
	answer, err := s.lifecycle(ctx, "sys/leases/lookup", map[string]any{"lease_id": id})
	switch meansOf(err) {
	case "":
	case gone:
		return providers.Lease{}, nil
	case invalid: // "invalid request" for an id that can be none
		return providers.Lease{}, s.explain(err, "looking up", id, "is it a whole lease ID, as in database/creds/readonly/ojyZ…?")
	case forbidden:
		return providers.Lease{}, s.explain(err, "looking up", id, `the policy needs "update" on sys/leases/lookup`)
	default:
		return providers.Lease{}, s.explain(err, "looking up", id, "")
	}
	if answer.secret == nil {
		return providers.Lease{}, fmt.Errorf("vault: looking up %s: the answer names no lease", id)
	}
	data := answer.secret.Data
	l := providers.Lease{Provider: Name, ID: id, Issued: timeOf(data["issue_time"]), Expires: timeOf(data["expire_time"])}
	l.Renewable, _ = data["renewable"].(bool)
	l.Scope = map[string]string{}
	if lastsByID(id) {
		l.Scope["kind"] = lastingKind
	}
	if renewed := timeOf(data["last_renewal"]); !renewed.IsZero() {
		l.Scope[providers.ScopeRenewed] = renewed.Format(time.RFC3339)
	}
	if ttl, ok := data["ttl"].(json.Number); ok && !l.Expires.IsZero() { // the server's clock may be another: what is left counts
		if seconds, err := ttl.Int64(); err == nil {
			l.Expires = asked.Add(time.Duration(seconds) * time.Second).Truncate(time.Second)
		}
	}
	return l, nil
}

// timeOf reads a time of Vault's; zero for null, which is no end.
func timeOf(v any) time.Time {
	text, _ := v.(string)
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}

// Drop makes Vault revoke all leases under a path by itself, with retries. It needs sudo and "update" on sys/leases/revoke-prefix/PATH.
func (s *Session) Drop(ctx context.Context, under string) (providers.Proof, error) {
	dir := strings.TrimSuffix(underOf(under), "/")
	if dir == "" {
		return providers.Failed, providers.Refused(errors.New("vault: revoking every lease there is needs a path: name one"))
	}
	_, err := s.lifecycle(ctx, "sys/leases/revoke-prefix/"+dir, map[string]any{"sync": false})
	switch meansOf(err) {
	case "":
		return providers.Accepted, nil
	case forbidden:
		return providers.Failed, s.explain(err, "revoking all under", dir, fmt.Sprintf(
			`the policy needs: path "sys/leases/revoke-prefix/%s" { capabilities = ["update", "sudo"] }`, dir))
	}
	return providers.Failed, s.explain(err, "revoking all under", dir, "")
}

// revokeLogin ends the token of another session, by its accessor. Where the policy does not allow that the token ends by itself, at the time its lease tells.
func (s *Session) revokeLogin(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	if l.Scope["kind"] == batchKind {
		return providers.Expires, nil
	}
	// 204: revoked. 200 with a warning: there is no such token (vault/token_store.go handleUpdateRevokeAccessor, seen of 1.21.1).
	answer, err := s.lifecycle(ctx, "auth/token/revoke-accessor", map[string]any{"accessor": l.ID})
	switch meansOf(err) {
	case "":
		if answer.status == http.StatusNoContent || answer.status == http.StatusOK {
			return providers.Proven, nil
		}
		return providers.Failed, fmt.Errorf("vault: revoking the token with accessor %s: an answer that is not Vault's (%d)", l.ID, answer.status)
	case gone:
		return providers.Proven, nil
	case forbidden:
		return providers.Failed, s.explain(err, "revoking the token with accessor", l.ID, `the policy needs "update" on auth/token/revoke-accessor`)
	}
	return providers.Failed, s.explain(err, "revoking the token with accessor", l.ID, "")
}

// origin names the server, and the namespace on it, the same for every way to write its address. A lease that is unknown at another server is not
// gone.
func (c connection) origin() string {
	name := c.Address
	if u, err := url.Parse(c.Address); err == nil && u.Host != "" {
		name = strings.ToLower(u.Scheme+"://"+u.Host) + strings.TrimRight(u.Path, "/")
	}
	if c.Namespace != "" {
		name += " " + c.Namespace
	}
	return name
}
