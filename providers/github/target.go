package github

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// Settings of the environment.
const (
	appVariable     = "WITH_CREDS_GITHUB_APP_ID"
	keyVariable     = "WITH_CREDS_GITHUB_PRIVATE_KEY"
	keyFileVariable = "WITH_CREDS_GITHUB_PRIVATE_KEY_FILE"
	transitVariable = "WITH_CREDS_GITHUB_TRANSIT_KEY"
)

// A target is how to reach GitHub as the App: all of it, files included, so that another process can revoke. It holds secrets.
type target struct {
	API     string            `json:"api"`    // without a final slash
	Server  string            `json:"server"` // what git clones from, without a final slash
	App     string            `json:"app"`
	Owner   string            `json:"owner,omitempty"` // the usual one
	Key     *rsa.PrivateKey   `json:"-"`               // whoever revokes has no use for it
	Transit string            `json:"-"`               // instead: where Vault signs
	Proxies providers.Proxies `json:"proxies,omitzero"`
}

// String keeps the secrets out of logs.
func (t target) String() string { return "target(" + t.API + ")" }

// GoString is String, so that %#v prints no secret either.
func (t target) GoString() string { return t.String() }

// resolve reads the settings and the file they name. It makes no network call.
func resolve(s providers.Settings) (target, error) {
	t := target{API: s.Get("GITHUB_API_URL"), Server: s.Get("GITHUB_SERVER_URL"), App: s.Get(appVariable), Owner: s.Get("GITHUB_REPOSITORY_OWNER"), Proxies: s.Proxies()}
	if t.App == "" {
		return t, fmt.Errorf("no App: set %s, and its private key in %s", appVariable, keyFileVariable)
	}
	var err error
	if t.API, t.Server, err = addresses(t.API, t.Server); err != nil {
		return t, err
	}
	key, file, transitKey := s.Get(keyVariable), s.Get(keyFileVariable), s.Get(transitVariable)
	switch given := count(key, file, transitKey); {
	case given == 0:
		return t, fmt.Errorf("no key of the App: set %s, %s or %s", keyFileVariable, keyVariable, transitVariable)
	case given > 1:
		return t, fmt.Errorf("one of %s, %s and %s is enough; which is meant?", keyFileVariable, keyVariable, transitVariable)
	case file != "":
		content, err := os.ReadFile(file)
		if err != nil {
			return t, fmt.Errorf("%s: %w", keyFileVariable, err)
		}
		if t.Key, err = parseKey(string(content)); err != nil {
			return t, fmt.Errorf("%s: %w", keyFileVariable, err)
		}
	case key != "":
		if t.Key, err = parseKey(key); err != nil {
			return t, fmt.Errorf("%s: %w", keyVariable, err)
		}
	default:
		t.Transit, err = signingPath(strings.Trim(transitKey, "/"))
	}
	return t, err
}

func count(values ...string) int {
	n := 0
	for _, v := range values {
		if v != "" {
			n++
		}
	}
	return n
}

// addresses completes what is not set from the other, or from github.com: https://docs.github.com/enterprise-server/rest/using-the-rest-api/getting-started-with-the-rest-api
func addresses(api, server string) (string, string, error) {
	switch {
	case api == "" && server == "":
		return "https://api.github.com", "https://github.com", nil
	case api == "":
		if strings.TrimRight(server, "/") == "https://github.com" {
			api = "https://api.github.com"
		} else {
			api = strings.TrimRight(server, "/") + "/api/v3"
		}
	case server == "":
		if strings.TrimRight(api, "/") == "https://api.github.com" {
			server = "https://github.com"
		} else {
			server = strings.TrimSuffix(strings.TrimRight(api, "/"), "/api/v3")
		}
	}
	for setting, text := range map[string]string{"GITHUB_API_URL": api, "GITHUB_SERVER_URL": server} {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return "", "", errors.New(setting + " is not a URL such as https://github.example")
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			return "", "", errors.New(setting + " is not https: tokens would cross the network in clear")
		}
	}
	return strings.TrimRight(api, "/"), strings.TrimRight(server, "/"), nil
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
