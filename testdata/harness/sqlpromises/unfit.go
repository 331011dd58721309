//go:build !windows

package sqlpromises

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// Unfit holds a provider to what it makes of a server that lets the administrator in and then gives answers which fit no question: an error that asks to be tried
// again. Nothing is proven by them, and nobody is taken to be gone. The answers are those of serve, by name.
func Unfit(t *testing.T, kind Kind, answers map[string]func(net.Conn) error, url func(address string) string) {
	for name, serve := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &Shop{T: t, kind: kind, Run: "r7k2", Env: map[string]string{kind.URLVariable: url(Listen(t, serve))}}
			s.Session = s.Open(s.Settings())
			l := providers.Lease{Provider: kind.Name, ID: "wc_readonly_r7k2_abcdefghij2", Scope: map[string]string{providers.ScopeGroup: "readonly", "host": "%"}}
			beingMade := l
			beingMade.Scope = map[string]string{providers.ScopeGroup: "readonly", "host": "%", "lock": "another's", "application": "another's"}
			within := func() (err error) {
				_, err = s.Session.Issue(harness.Within(t, time.Minute), s.ask("readonly"))
				return err
			}
			found := func(found []providers.Lease, err error) error { return err }
			lookedUp := func(found providers.Lease, err error) error { return err }
			revoked := func(l providers.Lease) error {
				proof, err := s.Session.Revoke(harness.Within(t, time.Minute), l)
				if proof != providers.Failed {
					t.Errorf("revoking is %s", proof)
				}
				return err
			}
			for doing, err := range map[string]error{
				"issuing":                within(),
				"revoking":               revoked(l),
				"revoking what was made": revoked(beingMade),
				"looking for all":        found(s.Session.Find(harness.Within(t, time.Minute), "")),
				"looking for the ended":  found(s.Session.Expired(harness.Within(t, time.Minute), time.Minute)),
				"looking for one":        lookedUp(s.Session.Lookup(harness.Within(t, time.Minute), l.ID)),
			} {
				if err == nil || errors.Is(err, providers.ErrRefused) {
					t.Errorf("%s: %v; want an error that is no refusal", doing, err)
				}
			}
			for _, f := range s.Session.Examine(harness.Within(t, time.Minute), []providers.Request{s.ask("readonly")}) {
				if f.Level == providers.OK {
					t.Errorf("it is found well: %s", f.Says)
				}
			}
			// What has no answer of its own may be done, or be an error.
			_, _ = s.Session.Renew(harness.Within(t, time.Minute), l, time.Minute)
		})
	}
}

// Listen serves connections until the test ends.
func Listen(t *testing.T, serve func(net.Conn) error) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = serve(conn) // the client has hung up
			}()
		}
	}()
	return l.Addr().String()
}
