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

// newClient talks to the API with what auth puts into Authorization.
func (s *Session) newClient(auth func(context.Context) (string, error)) (*github.Client, error) {
	base, err := url.Parse(s.target.API + "/")
	if err != nil {
		return nil, err
	}
	client := github.NewClient(&http.Client{
		Transport: transport{auth: auth, host: base.Host, counted: s.settings.CountRequest},
		Timeout:   requestLimit,
		// A redirect to another host is not followed: what is in Authorization is for this one.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 3 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	})
	client.BaseURL = base
	client.UserAgent = "with-creds"
	return client, nil
}

// A transport adds who asks, and bounds the answer.
type transport struct {
	auth    func(context.Context) (string, error)
	host    string
	counted func()
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
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// do sends a request, made anew each time, and repeats it while GitHub asks for patience or, if it is safe to repeat, is out of order. It
// stops when the time of ctx would not suffice.
func (s *Session) do(ctx context.Context, client *github.Client, method, path string, body, into any) (*github.Response, error) {
	for pause, failures := 500*time.Millisecond, 0; ; {
		request, err := client.NewRequest(method, path, body)
		if err != nil {
			return nil, providers.Refused(err)
		}
		response, err := client.Do(ctx, request, into)
		if err == nil {
			return response, nil
		}
		wait, limited := patience(err, time.Now())
		switch {
		case limited:
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
				return response, fmt.Errorf("%w: GitHub's rate limit is used up for %s", explained(err), wait.Round(time.Second))
			}
			s.settings.Sayf("github: waiting for %s: the rate limit is used up", wait.Round(time.Second))
		case method != http.MethodPost && outOfOrder(err) && failures < 4:
			wait, pause, failures = pause, 2*pause, failures+1
		default:
			return response, explained(err)
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

// patience is how long GitHub asks to wait: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
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

// outOfOrder reports an error of the server's or the network's, not of the request.
func outOfOrder(err error) bool {
	code := status(err)
	return code >= 500 || code == 0 && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, providers.ErrRefused)
}

// explained is an error with what to do, marked where no retry mends it.
func explained(err error) error {
	advice := ""
	switch code := status(err); {
	case code == http.StatusUnauthorized:
		advice = ": check " + appVariable + ", that the key is this App's, and this machine's clock"
	case code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusUnprocessableEntity, code >= 300 && code < 400:
	case code >= 400 && code < 500:
	default:
		return plain{err, advice}
	}
	return providers.Refused(plain{err, advice})
}

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
