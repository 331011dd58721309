//go:build !windows

package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
)

func TestProcessEnvironmentIsNotRead(t *testing.T) {
	for name, value := range map[string]string{
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_AGENT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "token-of-the-process", "VAULT_NAMESPACE": "of-the-process",
		"VAULT_HEADERS": `{"X-Of":"the-process"}`, "VAULT_WRAP_TTL": "60s", "VAULT_HTTP_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1",
		"VAULT_CLIENT_TIMEOUT": "1ns", "VAULT_RATE_LIMIT": "0:0", "VAULT_SKIP_VERIFY": "true", "HOME": "/nowhere",
	} {
		t.Setenv(name, value)
	}
	f := newFake(t, exchange{request: "GET database/creds/r", status: 200, body: readAnswer, check: func(r *http.Request, _ string) error {
		for name, want := range map[string]string{
			"X-Vault-Token": "borrowed-token-0001", "X-Vault-Namespace": "", "X-Of": "", "X-Vault-Wrap-TTL": "", "X-Vault-Request": "true",
		} {
			if got := r.Header.Get(name); got != want {
				return fmt.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		return nil
	}})
	c, err := f.open(nil).Issue(t.Context(), ask("database/creds/r"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || c.Warnings[0] != "careful" {
		t.Errorf("Vault's warnings are %q", c.Warnings)
	}
}

func TestNamespaceAndHeadersOfTheSettingsAreSent(t *testing.T) {
	f := newFake(t, exchange{request: "GET database/creds/r", status: 200, body: readAnswer, check: func(r *http.Request, _ string) error {
		if r.Header.Get("X-Vault-Namespace") != "team/a" || r.Header.Get("Cf-Access") != "x" {
			return fmt.Errorf("headers are %v", r.Header)
		}
		return nil
	}})
	s := f.open(map[string]string{"VAULT_NAMESPACE": "team/a/", "VAULT_HEADERS": `{"CF-Access":"x"}`})
	if _, err := s.Issue(t.Context(), ask("database/creds/r")); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsThatCannotBeReadAreNamed(t *testing.T) {
	for name, value := range map[string]string{
		"VAULT_ADDR": "vault.example.com:8200", "VAULT_SKIP_VERIFY": "secretish", "VAULT_MAX_RETRIES": "secretish", "VAULT_CLIENT_TIMEOUT": "secretish",
		"VAULT_HEADERS": `{"X-Vault-Token":"secretish"}`, "VAULT_CACERT": "/nowhere/ca.pem", "VAULT_CACERT_BYTES": "no PEM", "VAULT_CAPATH": "/nowhere",
		"VAULT_CLIENT_CERT": "/nowhere/cert.pem", "WITH_CREDS_VAULT_CHILD_TOKEN": "secretish", "VAULT_PROXY_ADDR": "://", "WITH_CREDS_VAULT_AUTH": "nothing",
	} {
		run := newFake(t).settings(map[string]string{name: value})
		_, err := vault.Provider{}.Open(t.Context(), run)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, "_BYTES")) || strings.Contains(err.Error(), "secretish") {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestTokenFollowsNoRedirect(t *testing.T) {
	other := newFake(t) // is asked nothing
	f := newFake(t,
		exchange{request: "GET database/creds/r", status: 307, header: http.Header{"Location": {other.url + "/v1/database/creds/r"}}},
		exchange{request: "PUT sys/leases/revoke", status: 307, header: http.Header{"Location": {other.url + "/v1/sys/leases/revoke"}}})
	s := f.open(nil)
	_, err := s.Issue(t.Context(), ask("database/creds/r"))
	if err == nil || !strings.Contains(err.Error(), other.url) || !strings.Contains(err.Error(), "VAULT_ADDR") {
		t.Errorf("%v", err)
	}
	proof, err := s.Revoke(t.Context(), providers.Lease{Provider: vault.Name, ID: "database/creds/r/1"})
	if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
		t.Errorf("%s, %v: a standby is worth another attempt", proof, err)
	}
}

func TestLoginAndReadsAreRetriedAsTheServerAsks(t *testing.T) {
	again := exchange{request: "PUT auth/approle/login", status: 429, body: `{"errors":["rate limited"]}`, header: http.Header{"Retry-After": {"1"}}}
	sealed := exchange{request: "PUT auth/approle/login", status: 503, body: `{"errors":["Vault is sealed"]}`}
	stale := exchange{request: "GET database/creds/r", status: 412, body: `{"errors":["required index state not present"]}`}
	standby := exchange{request: "GET database/creds/r", status: 473}
	f := newFake(t, sealed, again, login(), stale, standby, exchange{request: "GET database/creds/r", status: 200, body: readAnswer})
	began := time.Now()
	s := f.open(approleEnv)
	if took := time.Since(began); took < time.Second {
		t.Errorf("logging in took %v, though the server asked for a second", took)
	}
	if _, err := s.Issue(t.Context(), ask("database/creds/r")); err != nil {
		t.Error(err)
	}
}

func TestLoginWaitsForAServerThatIsStarting(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	f := newFake(t, login())
	time.AfterFunc(400*time.Millisecond, func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return // somebody else's now; the login fails and says so
		}
		server := &http.Server{Handler: f}
		t.Cleanup(func() { server.Close() })
		server.Serve(listener)
	})
	env := map[string]string{"VAULT_ADDR": "http://" + address}
	maps.Copy(env, approleEnv)
	f.open(env)
}

func TestRenewalAndRevocationAreOneAttempt(t *testing.T) {
	down := `{"errors":["internal error"]}`
	f := newFake(t, exchange{request: "PUT sys/leases/renew", status: 500, body: down}, exchange{request: "PUT sys/leases/revoke", status: 500, body: down})
	s := f.open(nil)
	l := providers.Lease{Provider: vault.Name, ID: "database/creds/r/1"}
	if _, err := s.Renew(t.Context(), l, time.Minute); err == nil || errors.Is(err, providers.ErrRefused) {
		t.Errorf("%v", err)
	}
	if _, err := s.Revoke(t.Context(), l); err == nil || errors.Is(err, providers.ErrRefused) {
		t.Errorf("%v", err)
	}
}

// A read may have left a lease when its answer is lost. A token of the session's own takes it along, so that the read may be repeated;
// under a borrowed one it must not, also not by net/http, which repeats a GET on a connection that had been used before.
func TestLostAnswerIsAskedForAgainOnlyUnderAnOwnToken(t *testing.T) {
	read := exchange{request: "GET database/creds/r", status: 200, body: readAnswer}
	cut := exchange{request: "GET database/creds/r", status: lost}
	half := exchange{request: "GET database/creds/r", status: lost, body: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"lease_id\":"}
	gateway := exchange{request: "GET database/creds/r", status: 504, body: "<html>"}

	for _, last := range []exchange{cut, half, gateway} {
		f := newFake(t, read, last)
		s := f.open(nil)
		if _, err := s.Issue(t.Context(), ask("database/creds/r")); err != nil {
			t.Fatal(err)
		}
		_, err := s.Issue(t.Context(), ask("database/creds/r"))
		if err == nil {
			t.Fatal("no error")
		}
		if last.status == lost && !strings.Contains(err.Error(), "a lease may have been issued") {
			t.Errorf("%v", err)
		}
	}
	s := newFake(t, login(), read, cut, half, gateway, read).open(approleEnv)
	for range 2 {
		if _, err := s.Issue(t.Context(), ask("database/creds/r")); err != nil {
			t.Error(err)
		}
	}
}

// A request whose answer was lost may be under way at Vault for a while, when something in between keeps its own connection; its lease must find its token alive.
// That holds for whoever has taken over as well.
func TestTheTokenOutlivesARequestWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	read := exchange{request: "GET database/creds/r", status: 200, body: readAnswer}
	for name, last := range map[string]exchange{
		"cut": {request: "GET database/creds/r", status: lost}, "gateway": {request: "GET database/creds/r", status: 504, body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, login(), last, read, exchange{request: "PUT auth/token/revoke-self", status: 204})
			var s providers.Session
			var told []providers.Handoff
			settings := f.settings(approleEnv)
			settings.HandoffChanged = func() { told = append(told, s.Handoff()) }
			s, err := vault.Provider{}.Open(t.Context(), settings)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := s.Issue(t.Context(), ask("database/creds/r")); err != nil {
				t.Fatal(err)
			}
			if len(told) != 1 {
				t.Fatalf("it was told %d times that the handoff has changed", len(told))
			}
			heir, err := vault.Provider{}.Resume(told[0], providers.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			for _, session := range []providers.Session{s, heir} {
				soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				if proof, err := session.Close(soon); proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
					t.Errorf("at once: %s, %v", proof, err)
				}
				cancel()
			}
			if proof, err := heir.Close(t.Context()); proof != providers.Proven || err != nil {
				t.Errorf("%s, %v", proof, err)
			}
			if waited := time.Since(began); waited < 5*time.Second {
				t.Errorf("the token was revoked %v after the request", waited)
			}
		})
	}
}

// Behind an ingress that is starting, Vault's own paths seem not to be there; a load balancer without a node, or a firewall, has words of its own.
func TestWhatStandsInFrontOfVaultIsNotTakenForIt(t *testing.T) {
	for status, body := range map[int]string{
		404: "default backend - 404", 405: "", 200: "<html>", 502: "", 301: "", 400: "<html>invalid lease, invalid token</html>", 401: "<html>", 403: `{"message":"Forbidden"}`,
		407: "", 408: "<html>", 421: "", 425: "too early", 499: "<html>", 501: "<html>",
	} {
		f := newFake(t, exchange{request: "PUT sys/leases/revoke", status: status, body: body}, exchange{request: "PUT sys/leases/renew", status: status, body: body})
		s := f.open(nil)
		l := providers.Lease{Provider: vault.Name, ID: "database/creds/r/1"}
		if proof, err := s.Revoke(t.Context(), l); proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
			t.Errorf("revoking, %d: %s, %v, want a failure that is worth another attempt", status, proof, err)
		}
		if _, err := s.Renew(t.Context(), l, time.Minute); err == nil || errors.Is(err, providers.ErrRefused) {
			t.Errorf("renewing, %d: %v, want a failure that is worth another attempt", status, err)
		}
	}
}

// A TLS failure tells who logs in that a setting is wrong. Of a server that was trusted before, it passes.
func TestAServerThatWasTrustedOnceIsAskedAgainAfterATLSFailure(t *testing.T) {
	plain := strings.Replace(newFake(t).url, "http:", "https:", 1)
	for name, address := range map[string]string{"a plain listener": plain, "an unknown certificate": unknownTLS(t)} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			s, l := f.open(map[string]string{"VAULT_ADDR": address}), providers.Lease{Provider: vault.Name, ID: "database/creds/r/1"}
			if _, err := s.Issue(t.Context(), ask("database/creds/r")); !errors.Is(err, providers.ErrRefused) {
				t.Errorf("issuing: %v, want a refusal", err)
			}
			if _, err := s.Renew(t.Context(), l, time.Minute); err == nil || errors.Is(err, providers.ErrRefused) {
				t.Errorf("renewing: %v, want a failure that is worth another attempt", err)
			}
			if proof, err := s.Revoke(t.Context(), l); proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
				t.Errorf("revoking: %s, %v, want a failure that is worth another attempt", proof, err)
			}
		})
	}
}

// unknownTLS is the address of a server whose certificate nobody has signed.
func unknownTLS(t *testing.T) string {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told of each client that turns away
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestOnlyADoneRevocationIsTakenForOne(t *testing.T) {
	for status, body := range map[int]string{202: "", 200: `{"warnings":["Endpoint ignored these unrecognized parameters: [sync]"]}`} {
		f := newFake(t,
			exchange{request: "PUT sys/leases/revoke", status: status, body: body},
			exchange{request: "PUT sys/leases/lookup", status: 200, body: `{"data":{"id":"database/creds/r/1","ttl":0}}`},
			exchange{request: "PUT sys/leases/lookup", status: 400, body: `{"errors":["invalid lease"]}`})
		revoke(t, f.open(nil), providers.Lease{Provider: vault.Name, ID: "database/creds/r/1"}, providers.Proven)
	}
	s := newFake(t, login(), exchange{request: "PUT auth/token/revoke-self", status: 200}).open(approleEnv)
	if proof, err := s.Close(t.Context()); proof != providers.Failed || err == nil {
		t.Errorf("%s, %v", proof, err)
	}
}

func TestAnswersThatAreNoneAreErrorsWithoutTheirContent(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON":          `s3cr3t-value`,
		"wrong type":        `{"lease_id":["s3cr3t-value"],"data":"s3cr3t-value"}`,
		"wrong number":      `{"lease_duration":"s3cr3t-value"}`,
		"no data":           `{"data":null}`,
		"wrapped":           `{"wrap_info":{"token":"s3cr3t-value","ttl":60}}`,
		"a login":           `{"auth":{"client_token":"s3cr3t-value"}}`,
		"empty":             ``,
		"nothing but nulls": `{"data":{"a":null}}`,
		"huge":              `{"data":{"a":"` + strings.Repeat("s3cr3t-value", 3<<20) + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, exchange{request: "GET database/creds/r", status: 200, body: body}).open(nil)
			c, err := s.Issue(t.Context(), ask("database/creds/r"))
			if !errors.Is(err, providers.ErrRefused) || strings.Contains(fmt.Sprint(err, c), "s3cr3t-value") {
				t.Errorf("%v, %.200v", c, err)
			}
		})
	}
}

func TestLeaseOfAnAnswerThatCannotBeUsedIsRevoked(t *testing.T) {
	f := newFake(t,
		exchange{request: "GET database/creds/r", status: 200, body: `{"lease_id":"database/creds/r/1","lease_duration":60,"data":null}`},
		exchange{request: "PUT sys/leases/revoke", status: 204, check: func(_ *http.Request, body string) error {
			if body != `{"lease_id":"database/creds/r/1","sync":true}` {
				return errors.New(body)
			}
			return nil
		}})
	if _, err := f.open(nil).Issue(t.Context(), ask("database/creds/r")); err == nil {
		t.Error("no error")
	}
}

func TestNumbersKeepEveryDigit(t *testing.T) {
	body := `{"data":{"big":12345678901234567890,"exact":0.10,"list":[1,"a",true],"objects":[{"k":"v"}],"a.b":"flat","a":{"b":"nested","c":"d"}}}`
	c, err := newFake(t, exchange{request: "GET old/app", status: 200, body: body}).open(nil).Issue(t.Context(), ask("old/app"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"big": "12345678901234567890", "exact": "0.10", "list": "1\na\ntrue", "list.2": "true", "objects.0.k": "v", "a.b": "flat", "a.c": "d",
	} {
		if got := value(t, c, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, ok := c.Field("objects"); ok {
		t.Error("a list of objects became one value")
	}
}

// Vault gives AWS's temporary credentials a lease, but AWS has no call that would end them.
func TestALoginThatCameAsAnAnswerIsEnded(t *testing.T) {
	const token = "login-that-nobody-asked-for"
	with := func(r *http.Request, _ string) error {
		if got := r.Header.Get("X-Vault-Token"); got != token {
			return fmt.Errorf("the token is %q", got)
		}
		return nil
	}
	answer := exchange{
		request: "PUT team/auth/token/create", status: 200,
		body: `{"request_id":"r1","auth":{"client_token":"` + token + `","accessor":"acc","lease_duration":1200,"renewable":true}}`,
	}
	f := newFake(t, answer, exchange{request: "PUT auth/token/revoke-self", status: 204, check: with},
		answer, exchange{request: "PUT auth/token/revoke-self", status: 500, body: `{"errors":["no"]}`, check: with})
	s := f.open(nil)
	for _, left := range []bool{false, true} {
		_, err := s.Issue(t.Context(), ask("team/auth/token/create?_method=post"))
		if !errors.Is(err, providers.ErrRefused) || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "could not be revoked") != left {
			t.Errorf("%v", err)
		}
	}
}

func TestPathThatIsTurnedAwayIsAskedTheOtherWayOnce(t *testing.T) {
	no := `{"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}`
	f := newFake(t,
		exchange{request: "GET odd/thing", status: 405, body: no},
		exchange{request: "PUT odd/thing", status: 405, body: no})
	if _, err := f.open(nil).Issue(t.Context(), ask("odd/thing")); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "issues nothing") {
		t.Errorf("%v", err)
	}
}

func TestServerThatNeverAnswersIsLeftAtTheDeadline(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts in its backlog
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f := newFake(t)
	s := f.open(map[string]string{"VAULT_ADDR": "http://" + listener.Addr().String()})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = s.Issue(ctx, ask("database/creds/r"))
	if err == nil || errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "no answer in time") || !strings.Contains(err.Error(), "a lease may have been issued") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNothingPrintedHoldsASecret(t *testing.T) {
	body := `{"errors":["the token own-token-0001 is not liked"]}`
	f := newFake(t, login(), exchange{request: "GET database/creds/r", status: 400, body: body})
	s := f.open(approleEnv)
	_, err := s.Issue(t.Context(), ask("database/creds/r"))
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %v", err, s.Handoff(), s.Handoff(), s.Own())
	if strings.Contains(out.String(), "own-token-0001") || strings.Contains(out.String(), "secret-id-value") {
		t.Errorf("printed: %s", out.String())
	}
}
