package vault

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// attempts says when a request is sent again by the client itself.
type attempts int

const (
	// once: never; the caller repeats. For renewals and revocations.
	once attempts = iota
	// careful: unless the first may have had an effect that nobody would know of. For what leaves a lease on a borrowed token.
	careful
	// repeated: whenever it may help. For a login, and for what leaves a lease on a token that is revoked at the end.
	repeated
)

type attemptsKey struct{}

// issuerKey is the context's key of the *Session that makes a request which may leave a lease.
type issuerKey struct{}

func attemptsOf(ctx context.Context) attempts {
	a, _ := ctx.Value(attemptsKey{}).(attempts)
	return a
}

// checkRetry decides on 412, 429 and 5xx as the api package does, and on lost connections by itself. It never returns an error, so that
// the last answer is the one that is judged.
func checkRetry(ctx context.Context, answer *http.Response, err error) (bool, error) {
	tries := attemptsOf(ctx)
	if tries == once || ctx.Err() != nil {
		return false, nil //nolint:nilerr // as said above
	}
	if err != nil {
		switch judgeLoss(err).meaning {
		case unreached:
			return true, nil
		case lost:
			return tries == repeated, nil
		}
		return false, nil
	}
	switch answer.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return tries == repeated, nil // a proxy's words: Vault may have heard the request
	case statusStandby, statusStandbyDR:
		return true, nil // the load balancer finds the active node soon
	}
	again, err := api.DefaultRetryPolicy(ctx, answer, nil)
	return again && (err == nil || answer.StatusCode >= 500), nil
}

// What Vault's health check says of a standby node (https://developer.hashicorp.com/vault/api-docs/system/health), passed on by a load balancer.
const statusStandbyDR, statusStandby = 472, 473

const (
	firstWait = 200 * time.Millisecond
	lastWait  = 10 * time.Second
)

// backoff waits as long as the server asks, and otherwise 0.2, 1, 2, 4 … s, less up to a third at random so that those who were refused together
// do not come back together.
func backoff(_, _ time.Duration, attempt int, answer *http.Response) time.Duration {
	if answer != nil {
		if after := retryAfter(answer.Header); after > 0 {
			return after
		}
	}
	wait := firstWait
	if attempt > 0 {
		wait = min(time.Second<<min(attempt-1, 10), lastWait)
	}
	return wait - rand.N(wait/3)
}

// retryAfter reads the header of RFC 9110, 10.2.3: seconds, or a date. It is bounded, for it is a server's word.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	var wait time.Duration
	if n, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(n, 3600)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), time.Minute)
}
