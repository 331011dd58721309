package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
)

// A meaning is what an answer, or the lack of one, says about a request.
type meaning string

const (
	gone           meaning = "gone"           // the lease or token does not exist: what a revocation wants
	ended          meaning = "ended"          // past its end; Vault is removing it, or has failed to and will try again
	fixed          meaning = "fixed"          // it exists and cannot be renewed, shortened or revoked
	passing        meaning = "passing"        // a fault that may be over soon
	busy           meaning = "busy"           // a limit on the number of requests
	sealed         meaning = "sealed"         // sealed, standby, without a leader
	forbidden      meaning = "forbidden"      // the policy says no
	dead           meaning = "dead"           // the token itself does not exist any more, or never did
	invalid        meaning = "invalid"        // a bad request: the same again is as bad
	unsupported    meaning = "unsupported"    // the path exists and is not asked this way
	missing        meaning = "missing"        // nothing at this path
	elsewhere      meaning = "elsewhere"      // a redirect, which is not followed
	unintelligible meaning = "unintelligible" // not Vault's language
	unreached      meaning = "unreached"      // the request cannot have arrived
	lost           meaning = "lost"           // it may have arrived; its answer did not
	untrusted      meaning = "untrusted"      // TLS says no
)

// hopeless are the meanings for which the same request would have the same answer.
func (m meaning) hopeless() bool {
	switch m {
	case fixed, forbidden, dead, invalid, unsupported, missing, unintelligible, untrusted:
		return true
	}
	return false
}

// An answerRow gives the meaning of answers with a status, or with one from status to upTo, whose body holds a text.
type answerRow struct {
	status, upTo int
	holds        string // "": any body
	meaning      meaning
	text         string // what a person is told; "": the errors of the answer
}

// answers is the one table of what Vault's answers mean to every operation; the first row that fits decides. A status alone says little: Vault
// answers 400 for a lease that is gone, for a database that is down, and for a bad request. The texts are those of Vault
// 1.21.1, in the files named; a test reads those that can be produced off a real server.
var answers = []answerRow{
	// vault/expiration.go revokeEntry: the engine, or the server behind it, failed, and what follows are its words. First, for they may be like any below.
	{400, 400, "failed to revoke entry", passing, ""},
	{500, 500, "failed to revoke entry", passing, ""},
	// vault/logical_system.go handleLeaseLookup; vault/expiration.go RenewToken ("invalid lease ID")
	{400, 400, "invalid lease", gone, "no such lease"},
	// vault/token_store.go: a use-limited token whose last use this was, or one that has ended meanwhile
	{400, 400, "token not found", dead, "the token is not valid: it has expired, was revoked, or has no use left"},
	// vault/expiration.go leaseEntry.renewable
	{400, 400, "lease not found", gone, "no such lease"},
	{400, 400, "lease expired", ended, "the lease has ended"},
	{400, 400, "has failed previous revocation attempts", ended, "the lease has ended and Vault could not revoke it"},
	{400, 400, "lease is not renewable", fixed, "the lease is not renewable"},
	// sdk/framework/lease.go CalculateTTL: the maximum is over, and the lease with it
	{400, 400, "past the max TTL", ended, "the lease has reached its maximum TTL"},
	{500, 500, "past the max TTL", ended, "the lease has reached its maximum TTL"},
	// vault/expiration.go Renew: a lease of a batch token that has ended
	{400, 400, "no valid associated token", ended, "the token of the lease has ended"},
	// vault/token_store.go revokeCommon, handleRenew
	{400, 400, "batch tokens cannot be", fixed, "batch tokens can be neither renewed nor revoked"},
	// vault/expiration.go renewEntry: the engine, or the server behind it, failed
	{400, 400, "failed to renew entry", passing, ""},
	{400, 400, "context deadline exceeded", passing, ""},
	{400, 400, "context canceled", passing, ""},
	// net/http, for a listener with TLS
	{400, 400, "HTTP request to an HTTPS server", untrusted, "the server speaks TLS: VAULT_ADDR must begin with https://"},
	{400, 400, "", invalid, ""},
	// vault/request_handling.go, where no token of that name is found (since 1.16; older ones say "permission denied" alone)
	{403, 403, "invalid token", dead, "the token is not valid: it has expired or was revoked"},
	{403, 403, "bad token", dead, "the token is not valid: it has expired or was revoked"},
	{403, 403, "permission denied", forbidden, "permission denied"},
	{403, 403, "", forbidden, ""}, // an auth method's own words
	{404, 404, "", missing, ""},
	{405, 405, "", unsupported, "unsupported operation"},
	// https://developer.hashicorp.com/vault/docs/enterprise/consistency: this node has not caught up yet
	{412, 412, "", passing, ""},
	// vault/quotas: rate limits and lease counts
	{429, 429, "", busy, ""},
	// https://developer.hashicorp.com/vault/api-docs/system/health, passed on by a load balancer: standby nodes
	{472, 473, "", sealed, "a standby node answered"},
	{501, 501, "", invalid, "Vault is not initialised"},
	{503, 503, "Vault is sealed", sealed, "Vault is sealed"},
	{503, 503, "", sealed, ""},
	{500, 599, "", passing, ""},
	{300, 399, "", elsewhere, ""},
	{0, 999, "", invalid, ""},
}

// meaningOf looks an answer up.
func meaningOf(status int, body string) (meaning, string) {
	for _, row := range answers {
		if row.status <= status && status <= row.upTo && strings.Contains(body, row.holds) {
			return row.meaning, row.text
		}
	}
	return invalid, ""
}

// final are those of them that no policy, and nobody's repair, would change.
func (m meaning) final() bool { return m == fixed || m == dead }

// A failure is an answer that is not a good one, or none. It holds no secret.
type failure struct {
	meaning meaning
	status  int // 0: there was no answer
	text    string
	after   time.Duration // how long the server asks to wait; 0: it did not say
	data    map[string]any
	cause   error // of lost, unreached and untrusted
	foreign bool  // the answer is not in Vault's words: something in between gave it, such as a load balancer
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

func (f *failure) Is(target error) bool {
	return target == providers.ErrRefused && f.meaning.hopeless() || target == providers.ErrFinal && f.meaning.final()
}

// meansOf is the meaning of an error of client.call; "" for nil.
func meansOf(err error) meaning {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.meaning
	}
	return ""
}

// judge makes a failure of what a request came to; nil for a good answer.
func judge(answer *api.Response, err error, token string) *failure {
	var said *api.ResponseError
	switch {
	case errors.As(err, &said):
		all := strings.Join(said.Errors, "; ")
		m, text := meaningOf(said.StatusCode, all)
		if text == "" {
			text = firstLine(strings.TrimSpace(all))
		}
		if text == "" {
			text = http.StatusText(said.StatusCode)
		}
		f := &failure{meaning: m, status: said.StatusCode, text: withoutSecret(fmt.Sprintf("%s (%d)", text, said.StatusCode), token),
			foreign: said.RawError || said.Errors == nil} // Vault's own say {"errors": [...]}, of however many
		if answer != nil {
			f.after = retryAfter(answer.Header)
			f.data = dataOf(answer)
		}
		return f
	case err != nil:
		return judgeLoss(err)
	case answer.StatusCode >= 300:
		to := "another address"
		if u, err := answer.Location(); err == nil {
			to = u.Scheme + "://" + u.Host
		}
		return &failure{meaning: elsewhere, status: answer.StatusCode, text: fmt.Sprintf(
			"the server sends its clients to %s (%d), where the token does not follow: if that is the active node, set VAULT_ADDR to it", to, answer.StatusCode)}
	}
	return nil
}

// dataOf reads what Vault adds to a 404: the metadata of a deleted version.
func dataOf(answer *api.Response) map[string]any {
	if answer.StatusCode != http.StatusNotFound || answer.Body == nil {
		return nil
	}
	secret, err := api.ParseSecret(answer.Body)
	if err != nil || secret == nil {
		return nil
	}
	data := secret.Data
	if data == nil {
		data = map[string]any{}
	}
	if len(secret.Warnings) > 0 {
		data["warnings"] = secret.Warnings
	}
	return data
}

// judgeLoss tells apart the ways in which there is no answer.
func judgeLoss(err error) *failure {
	f := &failure{meaning: lost, cause: err}
	var dial *net.OpError
	switch {
	case errors.Is(err, errTooLarge):
		return &failure{meaning: unintelligible, text: errTooLarge.Error()}
	case isTLS(err):
		f.meaning = untrusted
	case errors.As(err, &dial) && (dial.Op == "dial" || dial.Op == "proxyconnect" || dial.Op == "socks connect"):
		f.meaning = unreached
	case errors.Is(err, context.DeadlineExceeded):
		f.text = "no answer in time"
		return f
	case errors.Is(err, context.Canceled):
		f.text = "the answer was not waited for"
		return f
	}
	f.text = firstLine(innermost(err).Error())
	if f.meaning == lost {
		f.text = "the connection was lost before the answer: " + f.text
	}
	return f
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		bad          x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &bad) ||
		errors.As(err, &record) || errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls:") ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// innermost strips the layers that repeat method and address; the operation and the path are named by the caller.
func innermost(err error) error {
	for {
		if _, ok := err.(*net.OpError); ok { //nolint:errorlint // the layer itself is looked for, not one under it
			return err // "dial tcp 127.0.0.1:8200: connect: connection refused" is worth its length
		}
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// firstLine makes a message of a server's text.
func firstLine(text string) string { return providers.OneLine(text, 300) }

// withoutSecret is a last line of defence: no server repeats a token in an error.
func withoutSecret(text, secret string) string {
	if len(secret) < 8 {
		return text
	}
	return strings.ReplaceAll(text, secret, "…")
}

// capped says whether a renewal was answered with less than was asked for because of a maximum. A periodic token's answer is less, or more, too,
// but its end moves on (sdk/framework/lease.go CalculateTTL, which warns of each cap).
func (r result) capped() bool {
	if r.secret == nil {
		return false
	}
	for _, w := range r.secret.Warnings {
		if strings.Contains(w, "max_ttl") && strings.Contains(w, "TTL value is capped") {
			return true
		}
	}
	return false
}
