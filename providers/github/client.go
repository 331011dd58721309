package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/with-creds/with-creds/providers"
)

const (
	maxAnswer    = 4 << 20 // bytes; a token with 500 repositories has about 3 MB
	apiVersion   = "2022-11-28"
	secondary    = time.Minute // GitHub: "wait at least one minute" where it says no number
	requestLimit = 20 * time.Second
)

// A client shows one token, and asks nothing of GitHub before a limit that it has run into is over: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
type client struct {
	*github.Client
	mu  sync.Mutex
	hit limit
}

// A limit is GitHub's request for patience.
type limit struct {
	error
	until time.Time
}

func (l limit) Unwrap() error { return l.error }

// limited reports an error that is one.
func limited(err error) bool {
	_, is := errors.AsType[limit](err)
	return is
}

// newClient talks to the API with what auth puts into Authorization.
func (s *Session) newClient(auth func(context.Context) (string, error)) (*client, error) {
	base, err := url.Parse(s.target.API + "/")
	if err != nil {
		return nil, err
	}
	c := github.NewClient(&http.Client{
		Transport: transport{auth: auth, host: base.Host, counted: s.settings.CountRequest, next: s.transport},
		Timeout:   requestLimit,
		// A redirect to another host is not followed: what is in Authorization is for this one.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 3 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	})
	c.BaseURL = base
	c.UserAgent = "with-creds"
	return &client{Client: c}, nil
}

// ask makes one request.
func (c *client) ask(ctx context.Context, method, path string, body, into any) (*github.Response, error) {
	c.mu.Lock()
	hit := c.hit
	c.mu.Unlock()
	if time.Now().Before(hit.until) {
		return nil, hit
	}
	request, err := c.NewRequest(method, path, body)
	if err != nil {
		return nil, providers.Refused(err)
	}
	response, err := c.Do(ctx, request, into)
	if wait, is := patience(err, time.Now()); is {
		hit = limit{err, time.Now().Add(wait)}
		c.mu.Lock()
		c.hit = hit
		c.mu.Unlock()
		return response, hit
	}
	return response, err
}

// A transport adds who asks, and bounds the answer.
type transport struct {
	auth    func(context.Context) (string, error)
	host    string
	counted func()
	next    http.RoundTripper
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != t.host {
		return nil, errors.New("a request for another host")
	}
	token, err := t.auth(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-GitHub-Api-Version", apiVersion)
	t.counted()
	answer, err := t.next.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// do makes a request, and repeats it while GitHub asks for patience or, if it is safe to repeat, is out of order. It stops when the time of ctx would
// not suffice.
func (s *Session) do(ctx context.Context, c *client, method, path string, body, into any) (*github.Response, error) {
	for pause, failures := 500*time.Millisecond, 0; ; {
		response, err := c.ask(ctx, method, path, body, into)
		if err == nil {
			return response, nil
		}
		wait := pause
		if hit, is := errors.AsType[limit](err); is {
			wait = time.Until(hit.until)
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
				return response, fmt.Errorf("%w: GitHub's rate limit is used up for %s", explained(err), wait.Round(time.Second))
			}
			s.settings.Sayf("github: waiting for %s: the rate limit is used up", wait.Round(time.Second))
		} else if method == http.MethodPost || !unheard(err) || ctx.Err() != nil || failures == 4 {
			return response, explained(err)
		} else {
			pause, failures = 2*pause, failures+1
		}
		select {
		case <-ctx.Done():
			return response, explained(err)
		case <-time.After(wait):
		}
	}
}

// status is the answer's, 0 when there was none.
func status(err error) int {
	code, _ := answered(err)
	return code
}

// answered is the status and the header of the answer that an error is about; 0 when there was none.
func answered(err error) (int, http.Header) {
	if e, ok := errors.AsType[*github.ErrorResponse](err); ok {
		return e.Response.StatusCode, e.Response.Header
	}
	if e, ok := errors.AsType[*github.RateLimitError](err); ok {
		return e.Response.StatusCode, e.Response.Header
	}
	if e, ok := errors.AsType[*github.AbuseRateLimitError](err); ok {
		return e.Response.StatusCode, e.Response.Header
	}
	return 0, nil
}

// patience is how long GitHub asks to wait, where it does: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
func patience(err error, now time.Time) (wait time.Duration, limited bool) {
	// The library remembers limits, and refuses by itself what would only be refused by GitHub.
	if e, ok := errors.AsType[*github.RateLimitError](err); ok && !e.Rate.Reset.IsZero() {
		return max(0, e.Rate.Reset.Sub(now)) + time.Second, true
	}
	if e, ok := errors.AsType[*github.AbuseRateLimitError](err); ok && e.RetryAfter != nil {
		return *e.RetryAfter + 100*time.Millisecond, true
	}
	code, header := answered(err)
	if code != http.StatusForbidden && code != http.StatusTooManyRequests {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(header.Get("Retry-After"), 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds)*time.Second + 100*time.Millisecond, true
	}
	if header.Get("X-RateLimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(0, time.Unix(reset, 0).Sub(now)) + time.Second, true
		}
	}
	if code == http.StatusTooManyRequests || strings.Contains(strings.ToLower(err.Error()), "secondary rate limit") {
		return secondary, true
	}
	return 0, false
}

// unheard reports that what GitHub made of a request is not known: it is out of order, or its answer did not come, or not in time.
func unheard(err error) bool {
	code := status(err)
	return code >= 500 || code == 0 && !errors.Is(err, providers.ErrRefused)
}

// explained is an error with what to do, marked where no retry mends it.
func explained(err error) error {
	code := status(err)
	if code < 300 || code >= 500 || limited(err) {
		return plain{cause: err}
	}
	advice := ""
	if code == http.StatusUnauthorized {
		advice = ": check " + appVariable + ", that the key is this App's, and this machine's clock"
	}
	return providers.Refused(plain{err, advice})
}

// Advice is for a doctor.
func (p plain) Advice() string { return p.advice }

// A plain error has GitHub's words in one line, without the library's account of them.
type plain struct {
	cause  error
	advice string
}

func (p plain) Unwrap() error { return p.cause }
func (p plain) Error() string {
	code := status(p.cause)
	if code == 0 {
		return providers.OneLine(p.cause.Error(), 500) + p.advice
	}
	message := ""
	if e, ok := errors.AsType[*github.ErrorResponse](p.cause); ok {
		message = e.Message
		for _, detail := range e.Errors {
			message += " (" + strings.TrimSpace(detail.Field+" "+detail.Message) + ")"
		}
	} else if e, ok := errors.AsType[*github.RateLimitError](p.cause); ok {
		message = e.Message
	} else if e, ok := errors.AsType[*github.AbuseRateLimitError](p.cause); ok {
		message = e.Message
	}
	return strings.TrimSpace(fmt.Sprintf("status %d: %s", code, providers.OneLine(message, 500))) + p.advice
}
