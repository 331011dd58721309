//go:build !windows

package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A bench is a GitHub and the settings of a run.
type bench struct {
	*harness.GitHubServer
	t    *testing.T
	env  map[string]string
	sent atomic.Int64

	mu   sync.Mutex
	said []string
}

func newBench(t *testing.T, opts ...harness.GitHubOption) *bench {
	t.Helper()
	b := &bench{GitHubServer: harness.GitHub(t, opts...), t: t}
	b.env = map[string]string{"GITHUB_API_URL": b.API(), "GITHUB_SERVER_URL": b.URL, appVariable: b.AppID, keyVariable: b.Key}
	return b
}

func (b *bench) settings() providers.Settings {
	return providers.Settings{
		Lookup: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok },
		Run:    "r7k2", Leash: 5 * time.Minute, Requests: &b.sent,
		Say: func(format string, args ...any) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.said = append(b.said, fmt.Sprintf(format, args...))
		},
	}
}

func (b *bench) open() *Session {
	b.t.Helper()
	s, err := Provider{}.Open(within(b.t, 60*time.Second), b.settings())
	if err != nil {
		b.t.Fatal(err)
	}
	return s.(*Session)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// ask is a request from the query of a spec.
func ask(query string) providers.Request {
	r := providers.Request{Provider: Name, Path: "installation"}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		r.Params = append(r.Params, providers.Param{Key: key, Value: value})
	}
	return r
}

func (b *bench) issue(s *Session, query string) (providers.Credential, map[string]string) {
	b.t.Helper()
	c, err := s.Issue(within(b.t, 60*time.Second), ask(query))
	if err != nil {
		b.t.Fatal(err)
	}
	if always, _ := (Provider{}).Fields(ask(query)); !slices.Equal(c.FieldNames(), always) {
		b.t.Errorf("it has the fields %q; foreseen were %q", c.FieldNames(), always)
	}
	fields := map[string]string{}
	for _, f := range c.Fields {
		fields[f.Name] = f.Value
	}
	return c, fields
}

func TestATokenIsGrantedWhatWasAskedAndProvenGone(t *testing.T) {
	b := newBench(t)
	s := b.open()
	for query, account := range map[string]string{
		"owner=acme&repositories=app&permissions=contents:read":    "acme",
		"owner=bob&repositories=*&permissions=contents:write":      "bob",
		"repositories=acme/app,acme/lib&permissions=packages:read": "acme",
	} {
		c, fields := b.issue(s, query)
		if !b.Usable(fields["token"]) || fields["password"] != fields["token"] || fields["owner"] != account || fields["url"] != b.URL || len(c.Warnings) != 0 {
			t.Errorf("%s: owner %q, url %q, warnings %q", query, fields["owner"], fields["url"], c.Warnings)
		}
		if left := time.Until(c.Lease.Expires); left < 50*time.Minute || c.Lease.Renewable {
			t.Errorf("%s: it has %v, renewable %t", query, left, c.Lease.Renewable)
		}
		if text := fmt.Sprintf("%+v %v %#v", c.Lease, c, c) + strings.Join(b.said, ""); strings.Contains(text, fields["token"]) {
			t.Errorf("%s: the token is shown", query)
		}
		if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven || err != nil {
			t.Errorf("%s: %v, %v", query, proof, err)
		}
		if b.Usable(fields["token"]) {
			t.Errorf("%s: said to be gone, and let in", query)
		}
	}
	if text := strings.Join(b.said, "\n"); !strings.Contains(text, "granted contents=read, metadata=read on app until ") {
		t.Errorf("what was granted is not said: %s", text)
	}
	if log := b.Log(); !strings.Contains(log, "DELETE /installation/token\nGET /installation/repositories") {
		t.Errorf("the proof was not asked for:\n%s", log)
	}
}

func TestTheInstallationIsFoundWithoutAnOwnerWhereThereIsOnlyOne(t *testing.T) {
	b := newBench(t, harness.InstallOnly("acme"))
	_, fields := b.issue(b.open(), "repositories=app&permissions=contents:read")
	if fields["owner"] != "acme" {
		t.Errorf("owner %q", fields["owner"])
	}
	b = newBench(t, harness.InstallMore(230)) // three pages
	_, err := b.open().Issue(within(t, 60*time.Second), ask("repositories=app&permissions=contents:read"))
	if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "it has 232: name the owner") {
		t.Errorf("among many: %v", err)
	}
	b.env["GITHUB_REPOSITORY_OWNER"] = "more-229"
	if _, fields := b.issue(b.open(), "repositories=app&permissions=contents:read"); fields["owner"] != "more-229" {
		t.Errorf("owner %q, want the one that Actions names", fields["owner"])
	}
	before := b.sent.Load()
	b.issue(b.open(), "installation=1001&repositories=app&permissions=contents:read")
	if n := b.sent.Load() - before; n != 1 {
		t.Errorf("%d requests with the installation given, want 1", n)
	}
}

func TestAnotherProcessRevokesWithTheHandoffOfAfterTheIssue(t *testing.T) {
	b := newBench(t)
	var s *Session
	var told []providers.Handoff
	settings := b.settings()
	settings.HandoffChanged = func() { told = append(told, s.Handoff()) }
	session, err := Provider{}.Open(within(t, 60*time.Second), settings)
	if err != nil {
		t.Fatal(err)
	}
	s = session.(*Session)
	early := s.Handoff()
	c, fields := b.issue(s, "owner=acme&repositories=app&permissions=contents:read")
	if len(told) != 1 {
		t.Fatalf("it was told %d times that the handoff has changed", len(told))
	}
	ignorant, err := Provider{}.Resume(early, providers.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if proof, err := ignorant.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Expires || err != nil || !b.Usable(fields["token"]) {
		t.Errorf("without the token: %v, %v", proof, err)
	}
	guard, err := Provider{}.Resume(told[0], providers.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if proof, err := guard.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven || err != nil {
			t.Errorf("%v, %v", proof, err)
		}
	}
	if b.Usable(fields["token"]) {
		t.Error("the token is let in")
	}
	if text := fmt.Sprintf("%v %+v %#v %v %#v", s.Handoff(), s.Handoff(), s.Handoff(), s.target, s.target); strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, fields["token"]) {
		t.Error("a printed handoff holds a secret")
	}
	// A token that was revoked elsewhere is gone too; one that has ended is, whoever asks.
	if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven || err != nil {
		t.Errorf("revoked elsewhere: %v, %v", proof, err)
	}
	c.Lease.Expires = time.Now().Add(-2 * time.Minute)
	if proof, err := ignorant.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven || err != nil {
		t.Errorf("ended: %v, %v", proof, err)
	}
}

func TestWhatIsWrongIsSaidWithWhatToDo(t *testing.T) {
	b := newBench(t)
	s := b.open()
	for query, says := range map[string]string{
		"owner=acme&repositories=app":                               "permissions=contents:read",
		"owner=acme&permissions=contents:read":                      "repositories=app,lib",
		"owner=acme&repositories=app&permissions=contents":          "NAME:read",
		"owner=acme&repositories=app&permissions=contents:all":      "NAME:read",
		"owner=acme&repositories=bob/app&permissions=contents:read": "two owners",
		"repositories=bob/app&owner=acme&permissions=contents:read": "two owners",
		"repositories=acme/app,bob/app&permissions=contents:read":   "two owners",
		"owner=../x&repositories=app&permissions=contents:read":     "cannot be a name",
		"owner=..&repositories=app&permissions=contents:read":       "a name is missing",
		"owner=acme&repository=app&permissions=contents:read":       "there are owner, installation, repositories and permissions",
		"installation=x&repositories=app&permissions=contents:read": "not a number",
		"owner=nobody&repositories=app&permissions=contents:read":   "not installed there",
		"owner=acme&repositories=app&permissions=issues:write":      "status 422: The permissions requested are not granted to this installation.: the App must have these permissions",
		"owner=acme&repositories=other&permissions=contents:read":   "status 422: There is at least one repository",
	} {
		_, err := s.Issue(within(t, 60*time.Second), ask(query))
		if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "github: ") {
			t.Errorf("%s: %v", query, err)
		}
	}
	if live := b.Live(); len(live) != 0 {
		t.Errorf("left: %q", live)
	}
}

func TestTheAppsLoginIsJudgedBeforeAnythingIsSent(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(file, []byte(b.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		says string // "": it opens
	}{
		"a CI's variable":  {map[string]string{keyVariable: strings.ReplaceAll(b.Key, "\n", `\n`)}, ""},
		"a wrong file":     {map[string]string{keyVariable: "", keyFileVariable: "/dev/null"}, keyFileVariable + ": the App's key is not PEM"},
		"a file":           {map[string]string{keyVariable: "", keyFileVariable: file}, ""},
		"no App":           {map[string]string{appVariable: ""}, appVariable},
		"no key":           {map[string]string{keyVariable: ""}, "no key of the App"},
		"two keys":         {map[string]string{keyFileVariable: file}, "which is meant"},
		"a missing file":   {map[string]string{keyVariable: "", keyFileVariable: dir + "/none"}, "no such file"},
		"no PEM":           {map[string]string{keyVariable: "secret text"}, keyVariable + ": the App's key is not PEM"},
		"another key":      {map[string]string{keyVariable: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "not an RSA private key"},
		"not https":        {map[string]string{"GITHUB_API_URL": "http://github.example/api/v3"}, "not https"},
		"a password in it": {map[string]string{"GITHUB_API_URL": "https://u:p@github.example/api/v3"}, "not a URL"},
		"no slash":         {map[string]string{keyVariable: "", transitVariable: "app/"}, "MOUNT/NAME"},
		"no mount":         {map[string]string{keyVariable: "", transitVariable: "app"}, "MOUNT/NAME"},
	} {
		env := maps.Clone(b.env)
		maps.Copy(env, test.env)
		settings := b.settings()
		settings.Lookup = func(name string) (string, bool) { v := env[name]; return v, v != "" }
		_, err := Provider{}.Open(within(t, 60*time.Second), settings)
		if test.says == "" && err == nil {
			continue
		}
		if err == nil || !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret text") {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	if n := b.sent.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	b.env[appVariable] = "1"
	if _, err := b.open().Issue(within(t, 60*time.Second), ask("owner=acme&repositories=app&permissions=contents:read")); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "check "+appVariable) {
		t.Errorf("another App's key: %v", err)
	}
}

func TestServersAreCompletedFromOneAnother(t *testing.T) {
	for _, test := range [][4]string{ // api, server → api, server
		{"", "", "https://api.github.com", "https://github.com"},
		{"https://api.github.com", "", "https://api.github.com", "https://github.com"},
		{"", "https://github.com/", "https://api.github.com", "https://github.com"},
		{"", "https://ghe.example", "https://ghe.example/api/v3", "https://ghe.example"},
		{"https://ghe.example/api/v3/", "", "https://ghe.example/api/v3", "https://ghe.example"},
	} {
		api, server, err := addresses(test[0], test[1])
		if err != nil || api != test[2] || server != test[3] {
			t.Errorf("%q: %s, %s, %v", test, api, server, err)
		}
	}
}

func TestASignatureIsUsedForMinutesAndMadeAnewInTime(t *testing.T) {
	b := newBench(t)
	s := b.open()
	now := time.Now()
	s.app.now = func() time.Time { return now }
	s.app.last = ""
	first, err := s.app.token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(lifetime - 2*time.Minute)
	if again, _ := s.app.token(t.Context()); again != first {
		t.Error("it was signed again while the first was good for two minutes")
	}
	now = now.Add(90 * time.Second)
	if again, _ := s.app.token(t.Context()); again == first {
		t.Error("it is used with half a minute to live")
	}
}

// faulty makes the server answer the first n requests to a path as told.
func (b *bench) faulty(n int, method, path string, answer http.HandlerFunc) *atomic.Int64 {
	var seen atomic.Int64
	b.Answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, path) || seen.Add(1) > int64(n) {
			return false
		}
		answer(w, r)
		return true
	}
	return &seen
}

func TestRateLimitsAreWaitedForWhereTheTimeAllows(t *testing.T) {
	limits := map[string]http.HandlerFunc{
		"primary": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Limit", "5000")
			w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10))
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"API rate limit exceeded"}`)
		},
		"secondary": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"You have exceeded a secondary rate limit","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`)
		},
		"too many": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		},
	}
	for name, limit := range limits {
		for method, path := range map[string]string{http.MethodPost: "/access_tokens", http.MethodDelete: "/installation/token"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				seen := b.faulty(1, method, path, limit)
				s := b.open()
				c, _ := b.issue(s, "owner=acme&repositories=app&permissions=contents:read")
				if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven {
					t.Errorf("%v, %v", proof, err)
				}
				if seen.Load() != 2 || !strings.Contains(strings.Join(b.said, "\n"), "the rate limit is used up") {
					t.Errorf("asked %d times; said %q", seen.Load(), b.said)
				}
			})
		}
	}
	b := newBench(t)
	b.faulty(1000, http.MethodPost, "/access_tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusForbidden)
	})
	if _, err := b.open().Issue(within(t, 60*time.Second), ask("owner=acme&repositories=app&permissions=contents:read")); err == nil || !strings.Contains(err.Error(), "used up for 1h0m0s") {
		t.Errorf("a limit beyond the time there is: %v", err)
	}
}

// TestARateLimitIsNeverARefusal: who takes it for one gives up, and leaves the token for the rest of its hour.
func TestARateLimitIsNeverARefusal(t *testing.T) {
	for name, header := range map[string]map[string]string{
		"primary":                    {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "5000", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)},
		"secondary":                  {"Retry-After": "3600"},
		"secondary without a number": {},
	} {
		for _, code := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
			for method, path := range map[string]string{http.MethodDelete: "/installation/token", http.MethodGet: "/installation/repositories"} {
				t.Run(fmt.Sprint(name, " ", code, " ", method), func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					s := b.open()
					c, fields := b.issue(s, "owner=acme&repositories=app&permissions=contents:read")
					lifted := atomic.Bool{}
					var asked atomic.Int64
					b.Answer = func(w http.ResponseWriter, r *http.Request) bool {
						if lifted.Load() || r.Method != method || !strings.HasSuffix(r.URL.Path, path) {
							return false
						}
						asked.Add(1)
						for name, value := range header {
							w.Header().Set(name, value)
						}
						w.WriteHeader(code)
						fmt.Fprint(w, `{"message":"You have exceeded a secondary rate limit"}`)
						return true
					}
					attempts := 3
					if method == http.MethodGet {
						attempts = 1 // the next hears from DELETE that it is gone
					}
					for range attempts {
						proof, err := s.Revoke(within(t, 5*time.Second), c.Lease)
						if proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "rate limit is used up for") || strings.Contains(err.Error(), "still let in") {
							t.Fatalf("%v, %v", proof, err)
						}
					}
					if n := asked.Load(); n != 1 {
						t.Errorf("GitHub was asked %d times before the limit was over", n)
					}
					lifted.Store(true)
					guard, err := Provider{}.Resume(s.Handoff(), providers.Settings{})
					if err != nil {
						t.Fatal(err)
					}
					if proof, err := guard.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven || b.Usable(fields["token"]) {
						t.Errorf("after it: %v, %v", proof, err)
					}
				})
			}
		}
	}
}

// TestATokenWhoseRequestWasNotAnsweredInTimeMayExist: so it is told, for whoever waits for what is under way.
func TestATokenWhoseRequestWasNotAnsweredInTimeMayExist(t *testing.T) {
	b := newBench(t)
	s := b.open()
	asked := make(chan struct{})
	b.faulty(1, http.MethodPost, "/access_tokens", func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(within(t, 60*time.Second))
	go func() {
		<-asked
		cancel()
	}()
	if _, err := s.Issue(ctx, ask("owner=acme&repositories=app&permissions=contents:read")); !errors.Is(err, providers.ErrUnanswered) {
		t.Errorf("%v, want an unanswered one", err)
	}
}

func TestGitHubIsAskedByTheProxyOfTheSettings(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	b := newBench(t)
	maps.Copy(b.env, map[string]string{"GITHUB_API_URL": "https://github.example/api/v3", "GITHUB_SERVER_URL": "https://github.example", "HTTPS_PROXY": proxy.URL})
	_, err := b.open().Issue(within(t, 60*time.Second), ask("installation=1&repositories=app&permissions=contents:read"))
	if err == nil || asked.Load() != "CONNECT github.example:443" {
		t.Errorf("%v; the proxy was asked for %v", err, asked.Load())
	}
}

func TestFaultsOfTheServersAreRetriedWhereThatIsSafe(t *testing.T) {
	b := newBench(t)
	s := b.open()
	b.faulty(2, http.MethodGet, "/orgs/acme/installation", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c, fields := b.issue(s, "owner=acme&repositories=app&permissions=contents:read")
	b.faulty(2, http.MethodDelete, "/installation/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("%v, %v", proof, err)
	}
	if b.Usable(fields["token"]) {
		t.Error("the token is let in")
	}
	// A token may have been made: who asks again may make two.
	seen := b.faulty(2, http.MethodPost, "/access_tokens", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	_, err := s.Issue(within(t, 60*time.Second), ask("owner=acme&repositories=app&permissions=contents:read"))
	if !errors.Is(err, providers.ErrUnanswered) || seen.Load() != 1 {
		t.Errorf("%v after %d requests; want an unanswered one", err, seen.Load())
	}
}

func TestATokenThatIsStillLetInIsNotProvenGone(t *testing.T) {
	b := newBench(t)
	s := b.open()
	c, fields := b.issue(s, "owner=acme&repositories=app&permissions=contents:read")
	b.faulty(1000, http.MethodDelete, "/installation/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if proof, err := s.Revoke(within(t, time.Second), c.Lease); proof != providers.Failed || err == nil || errors.Is(err, providers.ErrRefused) {
		t.Errorf("%v, %v", proof, err)
	}
	b.Answer = nil
	if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven || b.Usable(fields["token"]) {
		t.Errorf("%v, %v", proof, err)
	}
}

func TestAHostileServerGetsNoTokenElsewhereAndNoMemory(t *testing.T) {
	var caught atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caught.Add(1)
		fmt.Fprint(w, `{"id":1}`)
	}))
	t.Cleanup(elsewhere.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect to another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"token":"`)
			for range 3 * maxAnswer / 1024 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		},
		"wrong types":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":{"a":1},"permissions":["x"]}`) },
		"no token":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) },
		"not JSON at all": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) },
	} {
		b := newBench(t)
		b.faulty(1, http.MethodPost, "/access_tokens", answer)
		c, err := b.open().Issue(within(t, 60*time.Second), ask("owner=acme&repositories=app&permissions=contents:read"))
		if err == nil || len(c.Fields) != 0 {
			t.Errorf("%s: %v, fields %q", name, err, c.FieldNames())
		}
	}
	if caught.Load() != 0 {
		t.Error("another host was asked")
	}
}

func TestExamineFindsTheInstallationsAndIssuesNothing(t *testing.T) {
	b := newBench(t)
	found := b.open().Examine(within(t, 60*time.Second), []providers.Request{
		ask("owner=acme&repositories=app&permissions=contents:read"), ask("owner=nobody&repositories=app&permissions=contents:read"),
	})
	if len(found) != 4 || found[0].Level != providers.OK || !strings.Contains(found[0].Says, "ci-of-acme") || found[1].Level != providers.Warn ||
		found[2].Level != providers.OK || !strings.Contains(found[2].Says, "1001 of acme") || found[3].Level != providers.Fail || !strings.HasPrefix(found[3].Fix, "install it at ") {
		t.Errorf("found %+v", found)
	}
	b.faulty(1, http.MethodGet, "/app", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	elsewhere := b.open().Examine(within(t, 60*time.Second), nil)
	b.env[appVariable] = "1"
	for _, found := range [][]providers.Finding{elsewhere, b.open().Examine(within(t, 60*time.Second), nil)} {
		if len(found) != 1 || found[0].Level != providers.Fail || !strings.HasPrefix(found[0].Fix, "check ") || strings.Contains(found[0].Says, "check") {
			t.Errorf("found %+v", found)
		}
	}
	if live := b.Live(); len(live) != 0 || strings.Contains(b.Log(), "access_tokens") {
		t.Errorf("left %q; asked:\n%s", live, b.Log())
	}
}
