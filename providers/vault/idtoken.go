package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// onGitHub reports whether GitHub's runner gives the job an id token: it does so where the workflow says `permissions: id-token: write`.
func (set settings) onGitHub() bool { return set.IDTokenURL != "" && set.IDTokenRequest != "" }

// gitHubToken asks the runner's service for an id token with the audience that is set, else with GitHub's default, the URL of the repository's owner:
// https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token.
func (set settings) gitHubToken(ctx context.Context) (string, error) {
	to, err := url.Parse(set.IDTokenURL)
	if err != nil || to.Host == "" {
		return "", errors.New("vault: ACTIONS_ID_TOKEN_REQUEST_URL is not an address")
	}
	if set.Audience != "" {
		query := to.Query()
		query.Set("audience", set.Audience)
		to.RawQuery = query.Encode()
	}
	var token string
	for attempt := 0; ; attempt++ {
		var again bool
		token, again, err = set.askGitHub(ctx, to)
		if !again || attempt >= set.MaxRetries {
			return token, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(backoff(0, 0, attempt, nil)):
		}
	}
}

// askGitHub makes one request; again says whether another may fare better. The errors hold nothing of the address, whose query is the service's own, nor
// of the answer.
func (set settings) askGitHub(ctx context.Context, to *url.URL) (token string, again bool, err error) {
	const doing = "vault: asking GitHub for an id token"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return "", false, errors.New(doing + ": ACTIONS_ID_TOKEN_REQUEST_URL cannot be asked")
	}
	request.Header.Set("Authorization", "Bearer "+set.IDTokenRequest)
	request.Header.Set("Accept", "application/json; api-version=2.0")
	set.run.CountRequest()
	client := &http.Client{
		Transport:     &http.Transport{Proxy: set.run.Proxies().Choose(), DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token would go along
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", true, fmt.Errorf("%s: %w", doing, innermost(err))
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", true, fmt.Errorf("%s: %w", doing, innermost(err))
	}
	if answer.StatusCode != http.StatusOK {
		hint := ""
		if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
			hint = " (the request token of a job ends with the job; does the job have `permissions: id-token: write`?)"
		}
		again := answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests
		return "", again, fmt.Errorf("%s: the runner's service answers %d%s", doing, answer.StatusCode, hint)
	}
	var said struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(content, &said); err != nil || said.Value == "" {
		return "", false, errors.New(doing + ": the answer holds no token")
	}
	return said.Value, false, nil
}
