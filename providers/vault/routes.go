package vault

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// A route is how a request is sent.
type route struct {
	path   string
	verb   verb
	forced bool // by the parameter _method: there is no second try with the other
	query  url.Values
	body   map[string]any
	told   []providers.Field // parameters that are not sent but become fields
}

// method is a parameter that is not sent: _method=get or _method=post says how to ask a path whose engine is not known here. No parameter of
// Vault's begins with an underscore.
const method = "_method"

// An asking says how the paths of an engine's endpoint are asked.
type asking struct {
	word   string   // an element of the path, after the first
	always bool     // POST, also without parameters
	last   bool     // may be the last element
	query  []string // the only parameters it takes, in the query of a GET
}

// askings are the endpoints that issue something; the first element of a path that is one of the words, and not the last, decides. An endpoint that is not in it is read,
// and takes parameters only with _method: a POST would overwrite what a key-value store holds there.
// Sources: https://developer.hashicorp.com/vault/api-docs/secret, one page an engine.
var askings = []asking{
	{word: "data", query: []string{"version"}}, // kv version 2
	{word: "creds"}, // database, aws, azure, consul, nomad, rabbitmq, ldap, terraform; ssh and kubernetes with parameters
	{word: "static-creds"}, {word: "static-cred"},
	{word: "sts"},
	{word: "token"},                                                             // azure
	{word: "issue", always: true},                                               // pki, ssh
	{word: "issuer", always: true},                                              // pki: issuer/REF/issue/ROLE, issuer/REF/sign/ROLE
	{word: "sign", always: true},                                                // pki, ssh
	{word: "sign-verbatim", always: true},                                       // pki
	{word: "datakey", always: true},                                             // transit
	{word: "check-out", always: true, last: true},                               // ad, ldap: library/SET/check-out
	{word: "roleset"}, {word: "static-account"}, {word: "impersonated-account"}, // gcp
}

// local are parameters that no engine takes: what only a person knows of the service that a credential is for. They are not sent, and are fields
// of the credential, so that a preset can compose a URL (?host=db:5432&database=app) or name a region or a registry (?server=). Of a stored secret that has such a field itself, it is
// what the person said that counts.
var local = []string{"certificate_authority", "database", "host", "port", "region", "server", "subscription_id", "tenant_id"}

// keyValue are the usual mounts of stores that a POST writes to.
var keyValue = []string{"secret", "kv", "cubbyhole"}

// routeOf decides from what is written alone. Vault is not asked beforehand: that would be a round trip, and a right that a least policy does not give.
func routeOf(r providers.Request) (route, error) {
	to := route{path: strings.Trim(strings.TrimPrefix(r.Path, "/v1/"), "/"), verb: get, query: url.Values{}, body: map[string]any{}}
	if err := checkPath(to.path); err != nil {
		return to, err
	}
	elements := strings.Split(to.path, "/")
	how, known := askingOf(elements)
	var names []string
	for _, p := range r.Params {
		if p.Key == method {
			switch strings.ToLower(p.Value) {
			case "get", "read":
				to.verb, to.forced = get, true
			case "post", "put", "write":
				to.verb, to.forced = put, true
			default:
				return to, fmt.Errorf("vault: %s must be get or post", method)
			}
			continue
		}
		if (known && !how.always || slices.Contains(keyValue, elements[0])) && slices.Contains(local, p.Key) {
			value := p.Value
			if p.Key == "certificate_authority" { // a file, which those who are told of it look for from elsewhere
				var err error
				if value, err = filepath.Abs(value); err != nil {
					return to, fmt.Errorf("vault: certificate_authority=%s: %w", p.Value, err)
				}
			}
			to.told = append(to.told, providers.Field{Name: p.Key, Value: value})
			continue
		}
		names = append(names, p.Key)
		to.query.Add(p.Key, p.Value)
	}
	for key, values := range to.query {
		// As a string each, which Vault converts to what the field is; a list is written with commas, for not every field that takes more than
		// one value takes a JSON list (alt_names of pki does not).
		to.body[key] = strings.Join(values, ",")
	}
	switch {
	case to.forced:
	case slices.Contains(keyValue, elements[0]) || how.query != nil:
		for _, name := range names {
			if !slices.Contains(how.query, name) {
				return to, fmt.Errorf("vault: %s takes no parameter %s: it would be written to the store in place of what is there", to.path, name)
			}
		}
	case how.always, isKubernetes(elements) && how.word == "creds":
		to.verb = put
	case len(names) > 0 && !known:
		return to, fmt.Errorf("vault: how %s takes parameters is not known: add %s=get to send them in the query or %s=post to write them", to.path, method, method)
	case len(names) > 0:
		to.verb = put
	}
	if to.verb == get {
		to.body = nil
	} else {
		to.query = nil
	}
	return to, nil
}

func askingOf(elements []string) (asking, bool) {
	for i, e := range elements {
		for _, a := range askings {
			if a.word == e && i > 0 && (i < len(elements)-1 || a.last) {
				return a, true
			}
		}
	}
	return asking{}, false
}

func isKubernetes(elements []string) bool { return strings.HasPrefix(elements[0], "kubernetes") }

func checkPath(path string) error {
	if path == "" {
		return errors.New("vault: there is no path: write vault:MOUNT/PATH, as in vault:database/creds/readonly")
	}
	for _, e := range strings.Split(path, "/") {
		switch {
		case e == "":
			return fmt.Errorf("vault: %s has an empty part", path)
		case e == "." || e == "..":
			return fmt.Errorf("vault: %s has a part %s", path, e)
		}
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("vault: the path holds a control character")
	}
	if first, _, _ := strings.Cut(path, "/"); first == "sys" || first == "auth" {
		return fmt.Errorf("vault: %s issues nothing that a command could be given: only secrets engines are read", path)
	}
	return nil
}

// other is the same request by the other verb, for an engine that answers that it does not know this one.
func (to route) other() route {
	if to.verb == get {
		to.verb, to.body = put, map[string]any{}
		for key, values := range to.query {
			to.body[key] = strings.Join(values, ",")
		}
		to.query = nil
		return to
	}
	to.verb, to.query = get, url.Values{}
	for key, value := range to.body {
		if text, ok := value.(string); ok {
			to.query.Set(key, text)
		}
	}
	to.body = nil
	return to
}
