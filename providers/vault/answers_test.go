//go:build !windows

package vault

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

func TestEveryRowOfTheTableDecidesSomething(t *testing.T) {
	for i, row := range answers {
		reached := false
		for status := row.status; status <= row.upTo && !reached; status++ {
			for j, other := range answers {
				if other.status <= status && status <= other.upTo && strings.Contains(row.holds, other.holds) {
					reached = i == j
					break
				}
			}
		}
		if !reached {
			t.Errorf("row %d (%d %q: %s) is never reached", i, row.status, row.holds, row.meaning)
		}
	}
}

func TestMeaningOfAnswersThatTheTestServersCannotGive(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   meaning
	}{
		{400, "1 error occurred:\n\t* past the max TTL, cannot renew\n\n", ended},
		{400, "lease is expired and has failed previous revocation attempts", ended},
		{400, "failed to revoke entry: resp: (*logical.Response)(nil) err: context deadline exceeded", passing},
		{400, "failed to revoke entry: resp: (*logical.Response)(nil) err: dhcp: lease not found, nor an invalid lease", passing},
		{400, "cannot renew lease, no valid associated token", ended},
		{400, "token not found", dead},
		{403, "permission denied", forbidden},
		{412, "required index state not present", passing},
		{413, "http: request body too large", invalid},
		{429, "lease count quota exceeded", busy},
		{472, "", sealed},
		{473, "", sealed},
		{500, "internal error", passing},
		{502, "<html>Bad Gateway</html>", passing},
		{503, "node is not active", sealed},
		{504, "", passing},
		{307, "", elsewhere},
		{418, "", invalid},
	} {
		if got, _ := meaningOf(c.status, c.body); got != c.want {
			t.Errorf("%d %q means %s, want %s", c.status, c.body, got, c.want)
		}
	}
}

// said is what a server said to a request, as client.call has it.
func said(t *testing.T, v *harness.VaultServer, token string, method verb, path string, body any) error {
	t.Helper()
	c, err := newClient(connection{Address: v.Addr, Timeout: 10 * time.Second}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.setToken(token)
	_, err = c.call(context.Background(), once, method, path, nil, body)
	return err
}

func TestMeaningOfAnswersReadOffARealVault(t *testing.T) {
	v, pg := harness.Vault(t), harness.Postgres(t)
	v.EnablePostgres(pg)
	root := v.RootToken
	wants := func(what string, err error, want meaning) {
		t.Helper()
		if got := meansOf(err); got != want {
			t.Errorf("%s: %v means %q, want %q", what, err, got, want)
		}
	}
	none := map[string]any{"lease_id": "database/creds/readonly/never-was", "increment": 60}
	wants("looking up a lease that never was", said(t, v, root, put, "sys/leases/lookup", none), gone)
	wants("renewing it", said(t, v, root, put, "sys/leases/renew", none), gone)
	wants("revoking it", said(t, v, root, put, "sys/leases/revoke", none), "")
	wants("revoking nothing", said(t, v, root, put, "sys/leases/revoke", map[string]any{}), invalid)
	wants("a token that never was", said(t, v, "hvs.never-was", get, "auth/token/lookup-self", nil), dead)
	wants("a path without a right to it", said(t, v, v.Token("default"), get, "database/creds/readonly", nil), forbidden)
	wants("a path where nothing is", said(t, v, root, get, "nowhere/at/all", nil), missing)
	wants("a role that is not there", said(t, v, root, get, "database/creds/none", nil), invalid)
	wants("the wrong way to ask", said(t, v, root, put, "database/creds/readonly", map[string]any{}), unsupported)

	batch := v.TokenOf(&api.TokenCreateRequest{Type: "batch", TTL: "1h", Policies: []string{"default"}})
	wants("revoking a batch token", said(t, v, batch, put, "auth/token/revoke-self", map[string]any{}), fixed)
	wants("renewing a batch token", said(t, v, batch, put, "auth/token/renew-self", map[string]any{}), fixed)

	wants("renewing a token with its last use", said(t, v, v.TokenOf(&api.TokenCreateRequest{TTL: "1h", NumUses: 1, Policies: []string{"default"}}), put, "auth/token/renew-self", map[string]any{}), dead)

	v.Mount("ssh", "ssh")
	v.Write("ssh/roles/otp", map[string]any{"key_type": "otp", "default_user": "x", "cidr_list": "127.0.0.0/8"})
	otp := v.Write("ssh/creds/otp", map[string]any{"ip": "127.0.0.1"}).LeaseID
	wants("renewing what cannot be", said(t, v, root, put, "sys/leases/renew", map[string]any{"lease_id": otp}), fixed)

	v.DatabaseRole("brief", "postgresql", `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`, "1s", "1h")
	long, brief := v.LeaseOf(root, "database/creds/readonly").LeaseID, v.LeaseOf(root, "database/creds/brief").LeaseID
	pg.Stop()
	time.Sleep(1200 * time.Millisecond)
	wants("revoking with the database down", said(t, v, root, put, "sys/leases/revoke", map[string]any{"lease_id": long, "sync": true}), passing)
	wants("renewing with the database down", said(t, v, root, put, "sys/leases/renew", map[string]any{"lease_id": long}), passing)
	wants("renewing one that has ended", said(t, v, root, put, "sys/leases/renew", map[string]any{"lease_id": brief}), ended)
	wants("reading with the database down", said(t, v, root, get, "database/creds/readonly", nil), passing)
	pg.Start()

	v.Write("sys/quotas/rate-limit/few", map[string]any{"rate": 1, "interval": "10s", "path": "database/"})
	said(t, v, root, get, "database/creds/none", nil)
	wants("too many requests", said(t, v, root, get, "database/creds/none", nil), busy)

	v.Seal()
	wants("sealed", said(t, v, root, get, "auth/token/lookup-self", nil), sealed)
	v.Stop()
	wants("stopped", said(t, v, root, get, "auth/token/lookup-self", nil), unreached)
}

func TestMeaningOfTLSFailures(t *testing.T) {
	v := harness.Vault(t, harness.VaultClientCert())
	other := harness.Vault(t, harness.VaultTLS())
	plain := harness.Vault(t)
	env := func(more ...string) map[string]string {
		e := map[string]string{
			"VAULT_ADDR": v.Addr, "VAULT_CACERT": v.CACert, "VAULT_CLIENT_CERT": v.ClientCert, "VAULT_CLIENT_KEY": v.ClientKey,
			"VAULT_TOKEN": v.RootToken,
		}
		for i := 0; i < len(more); i += 2 {
			e[more[i]] = more[i+1]
		}
		return e
	}
	for name, c := range map[string]struct {
		env  map[string]string
		want meaning
	}{
		"as it should be":                {env(), ""},
		"by the name in the certificate": {env("VAULT_TLS_SERVER_NAME", "vault.test"), ""},
		"another CA":                     {env("VAULT_CACERT", other.CACert), untrusted},
		"the system's CAs":               {env("VAULT_CACERT", ""), untrusted},
		"another CA, not looked at":      {env("VAULT_CACERT", other.CACert, "VAULT_SKIP_VERIFY", "true"), ""},
		"another name":                   {env("VAULT_TLS_SERVER_NAME", "other.test"), untrusted},
		"http to https":                  {env("VAULT_ADDR", strings.Replace(v.Addr, "https", "http", 1)), untrusted},
		"https to http":                  {env("VAULT_ADDR", strings.Replace(plain.Addr, "http", "https", 1)), untrusted},
	} {
		session, err := Provider{}.Open(t.Context(), providers.Settings{Lookup: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = session.(*Session).client.call(t.Context(), once, get, "auth/token/lookup-self", nil, nil)
		if got := meansOf(err); got != c.want {
			t.Errorf("%s: %v means %q, want %q", name, err, got, c.want)
		}
		session.(*Session).client.close()
	}

	// In TLS 1.3 a server turns a client without a certificate away after the client's first request is on its way: it depends on the moment whether the
	// reason arrives or the connection is just cut.
	c := env("VAULT_CLIENT_CERT", "", "VAULT_CLIENT_KEY", "")
	session, err := Provider{}.Open(t.Context(), providers.Settings{Lookup: func(name string) (string, bool) { v, ok := c[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.(*Session).client.call(t.Context(), once, get, "auth/token/lookup-self", nil, nil)
	if got := meansOf(err); got != untrusted && got != lost {
		t.Errorf("no client certificate: %v means %q", err, got)
	}
}

func TestWaitsAreBoundedAndAsTheServerAsks(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "2": 2 * time.Second, "-1": 0, "999999999": time.Minute, "soon": 0, "99999999999999999999": 0} {
		if got := retryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("Retry-After %q: %v, want %v", text, got, want)
		}
	}
	at := time.Now().Add(50 * time.Second).UTC().Format(http.TimeFormat)
	if got := retryAfter(http.Header{"Retry-After": {at}}); got < 20*time.Second || got > 50*time.Second {
		t.Errorf("Retry-After %q: %v", at, got)
	}
	last := time.Duration(0)
	for attempt := range 100 {
		wait := backoff(0, 0, attempt, nil)
		if wait <= 0 || wait > lastWait || (attempt < 4 && wait <= last) {
			t.Errorf("attempt %d waits %v after %v", attempt, wait, last)
		}
		last = wait
	}
}

func TestRoutesAreDecidedFromTheTextAlone(t *testing.T) {
	for source, want := range map[string]string{
		"database/creds/readonly":             "GET",
		"team/a/database/creds/readonly":      "GET",
		"/database/creds/readonly/":           "GET",
		"database/static-creds/app":           "GET",
		"aws/sts/deploy?ttl=15m":              "PUT",
		"aws/creds/deploy":                    "GET",
		"pki/issue/web?common_name=x":         "PUT",
		"pki/issuer/int/issue/web":            "PUT",
		"ssh/issue/ci":                        "PUT",
		"kubernetes/creds/ci":                 "PUT",
		"kubernetes-eu/creds/ci?namespaces=a": "PUT",
		"ldap/library/team/check-out":         "PUT",
		"ldap/creds/x":                        "GET",
		"kv/data/app?version=2":               "GET",
		"kv/data/app?server=registry":         "GET",
		"secret/app?server=registry":          "GET",
		"secret/data/issue/creds":             "GET",
		"secret/issue/x":                      "GET",
		"gcp/roleset/x/token":                 "GET",
		"odd/path?_method=post&a=b":           "PUT",
		"odd/path?_method=get&a=b":            "GET",
		"kv/app?a=b":                          "takes no parameter a",
		"kv/data/app?data=x":                  "takes no parameter data",
		"cubbyhole/creds/x?a=b":               "takes no parameter a",
		"team/old/app?a=b":                    "add _method=get",
		"apps/creds?a=b":                      "add _method=get",
		"odd/path?_method=delete":             "must be get or post",
		"":                                    "there is no path",
		"a//b":                                "empty part",
		"a/../sys/mounts":                     "a part ..",
		"sys/mounts":                          "issues nothing",
		"auth/token/create":                   "issues nothing",
		"a/\x01":                              "control character",
	} {
		path, query, _ := strings.Cut(source, "?")
		r := providers.Request{Provider: Name, Path: path}
		for _, p := range strings.FieldsFunc(query, func(c rune) bool { return c == '&' }) {
			k, v, _ := strings.Cut(p, "=")
			r.Params = append(r.Params, providers.Param{Key: k, Value: v})
		}
		to, err := routeOf(r)
		if got := fmt.Sprint(to.verb, err); !strings.Contains(got, want) || (err != nil) != (want != "GET" && want != "PUT") {
			t.Errorf("%s: %s, %v, want %s", source, to.verb, err, want)
		}
		if checked := (Provider{}).Check(r); (checked == nil) != (err == nil) {
			t.Errorf("%s: Check says %v", source, checked)
		}
	}
}
