//go:build !windows

package vault_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func TestOriginIsTheSameForEveryWayToWriteAnAddress(t *testing.T) {
	f := newFake(t)
	for address, want := range map[string]string{
		"https://Vault.example:8200":           "https://vault.example:8200",
		"https://vault.example:8200/":          "https://vault.example:8200",
		"https://user:word@vault.example:8200": "https://vault.example:8200",
		"https://lb.example/vault/":            "https://lb.example/vault",
		"unix:///run/vault.sock":               "unix:///run/vault.sock",
	} {
		s := f.open(map[string]string{"VAULT_ADDR": address})
		if got := s.Handoff().Origin; got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		s = f.open(map[string]string{"VAULT_ADDR": address, "VAULT_NAMESPACE": "/team/a/"})
		if got := s.Handoff().Origin; got != want+" team/a" {
			t.Errorf("%s in a namespace: %q", address, got)
		}
	}
}

// TestATokenOfAnotherSessionIsEndedByItsAccessor, and closing this session is no proof of it.
func TestATokenOfAnotherSessionIsEndedByItsAccessor(t *testing.T) {
	token := providers.Lease{Provider: "vault", ID: "other", Scope: map[string]string{"kind": "token"}, Expires: time.Now().Add(time.Hour)}
	asked := "PUT auth/token/revoke-accessor"
	for name, c := range map[string]struct {
		answer  exchange
		want    providers.Proof
		refused bool
	}{
		"revoked":       {exchange{request: asked, status: 204}, providers.Proven, false},
		"no such token": {exchange{request: asked, status: 200, body: `{"warnings":["No token found with this accessor"]}`}, providers.Proven, false},
		"forbidden":     {exchange{request: asked, status: 403, body: `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`}, providers.Failed, true},
		"sealed":        {exchange{request: asked, status: 503, body: `{"errors":["Vault is sealed"]}`}, providers.Failed, false},
		"a proxy":       {exchange{request: asked, status: 202, body: "{}"}, providers.Failed, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, c.answer).open(nil)
			got, err := s.Revoke(t.Context(), token)
			if got != c.want || (err != nil) != (c.want == providers.Failed) || errors.Is(err, providers.ErrRefused) != c.refused {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	batch := token
	batch.Scope = map[string]string{"kind": "batch token"}
	if got, err := newFake(t).open(nil).Revoke(t.Context(), batch); got != providers.Expires || err != nil {
		t.Errorf("a batch token: %s, %v", got, err)
	}
	if got, err := newFake(t).open(nil).Defer(t.Context(), token); got != providers.Failed || !errors.Is(err, providers.ErrRefused) {
		t.Errorf("handing it over: %s, %v", got, err)
	}
}

// TestARightThatComesIsUsed: a policy may be mended while the guard goes on. What cannot be shortened by its nature is not worth asking for again.
func TestARightThatComesIsUsed(t *testing.T) {
	denied := `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`
	l := providers.Lease{Provider: "vault", ID: "database/creds/r/1"}
	for name, c := range map[string]struct {
		shortening exchange
		final      bool
	}{
		"both ways are forbidden":       {exchange{request: "PUT sys/leases/renew", status: 403, body: denied}, false},
		"the other way there never was": {exchange{request: "PUT sys/leases/renew", status: 400, body: `{"errors":["lease is not renewable"]}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, exchange{request: "PUT sys/leases/revoke", status: 403, body: denied}, c.shortening,
				exchange{request: "PUT sys/leases/revoke", status: 204}).open(nil)
			if proof, err := s.Revoke(t.Context(), l); proof != providers.Failed || !errors.Is(err, providers.ErrRefused) || errors.Is(err, providers.ErrFinal) != c.final {
				t.Errorf("%s, %v", proof, err)
			}
			if proof, err := s.Revoke(t.Context(), l); proof != providers.Proven {
				t.Errorf("when it may: %s, %v", proof, err)
			}
		})
	}
}

// TestALeaseThatIsOverIsSaidToBeGone, which a right that is missing does not say.
func TestALeaseThatIsOverIsSaidToBeGone(t *testing.T) {
	for body, gone := range map[string]bool{
		`400 {"errors":["lease not found"]}`: true, `400 {"errors":["lease expired"]}`: true,
		`403 {"errors":["permission denied","invalid token"]}`: true, `403 {"errors":["permission denied"]}`: false, `400 {"errors":["lease is not renewable"]}`: false,
	} {
		status, body, _ := strings.Cut(body, " ")
		code, _ := strconv.Atoi(status)
		s := newFake(t, exchange{request: "PUT sys/leases/renew", status: code, body: body}).open(nil)
		_, err := s.Renew(t.Context(), providers.Lease{Provider: "vault", ID: "database/creds/r/1"}, time.Minute)
		if errors.Is(err, providers.ErrGone) != gone || !errors.Is(err, providers.ErrRefused) {
			t.Errorf("%d %s: %v is said to be gone: %v", code, body, err, !gone)
		}
	}
}

// TestADeadLoginProvesNothing: only of a session that has issued does it mean that its leases died with the token.
func TestADeadLoginProvesNothing(t *testing.T) {
	dead := func(request string) exchange {
		return exchange{request: request, status: 403, body: `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`}
	}
	l := providers.Lease{Provider: "vault", ID: "database/creds/r/1"}
	s := newFake(t, dead("PUT sys/leases/revoke")).open(nil)
	if got, err := s.Revoke(t.Context(), l); got != providers.Failed || !errors.Is(err, providers.ErrRefused) {
		t.Errorf("a session that issued nothing: %s, %v", got, err)
	}
	f := newFake(t, exchange{request: "GET database/creds/r", status: 200, body: readAnswer}, dead("PUT sys/leases/revoke"))
	issuer := f.open(nil)
	if _, err := issuer.Issue(context.Background(), ask("database/creds/r")); err != nil {
		t.Fatal(err)
	}
	if got, err := issuer.Revoke(t.Context(), l); got != providers.Accepted || err != nil {
		t.Errorf("the session that issued it: %s, %v", got, err)
	}
}
