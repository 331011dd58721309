//go:build linux

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
)

// Every kind of token that Vault has, and what becomes of a run with it: what the receipt says of its credentials and of its login, what a person is told, and that what is said
// to be gone is.
func TestEveryKindOfTokenIsAccountedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	for name, c := range map[string]struct {
		env        map[string]string
		code       int
		credential providers.Proof
		login      providers.Proof // "": it is borrowed
		says       string
	}{
		"service": {
			env:        s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"}),
			credential: providers.Proven, login: providers.Proven,
		},
		"service, default policy": {
			env:        s.appRole(map[string]any{"token_policies": "read", "token_ttl": "1h"}),
			credential: providers.Proven, login: providers.Proven,
		},
		// It can be neither renewed nor revoked: it ends by itself, and that is told.
		"batch": {
			env:        s.appRole(map[string]any{"token_policies": "read,revoke", "token_type": "batch", "token_ttl": "10m"}),
			credential: providers.Proven, login: providers.Expires,
		},
		"batch, default policy": {
			env:        s.appRole(map[string]any{"token_policies": "read", "token_type": "batch", "token_ttl": "10m"}),
			credential: providers.Proven, login: providers.Expires,
		},
		"explicit maximum TTL": {
			env:        s.appRole(map[string]any{"token_policies": "read,revoke", "token_explicit_max_ttl": "10m"}),
			credential: providers.Proven, login: providers.Proven,
		},
		"periodic": {
			env:        s.appRole(map[string]any{"token_policies": "read,revoke", "token_period": "10m"}),
			credential: providers.Proven, login: providers.Proven,
		},
		// Login costs none; two reads, the cut to the leash, two revocations and the token's own: six.
		"enough uses": {
			env:        s.appRole(map[string]any{"token_policies": "read,revoke", "token_num_uses": 20}),
			credential: providers.Proven, login: providers.Proven, says: "may be used 20 times",
		},
		// Its last use takes along what it issued; nobody is left who could look.
		"too few uses": {
			env:  s.appRole(map[string]any{"token_policies": "read,revoke", "token_num_uses": 3}),
			code: 125, credential: providers.Accepted, login: providers.Proven, says: "may be used 3 times",
		},
		"borrowed": {
			env:        s.token("default", "read", "revoke"),
			credential: providers.Proven,
		},
		"borrowed, default policy": {
			env:        s.token("default", "read"),
			credential: providers.Proven,
		},
		"borrowed batch": {
			env: s.newToken(&api.TokenCreateRequest{
				Policies: []string{"default", "read", "revoke"}, Type: "batch", TTL: "10m", NoParent: true,
			}),
			credential: providers.Proven,
		},
		"borrowed periodic": {
			env:        s.newToken(&api.TokenCreateRequest{Policies: []string{"default", "read", "revoke"}, Period: "10m", NoParent: true}),
			credential: providers.Proven,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := s.role(createRole, "1h", "24h")
			r := newRun(t, c.env, append(specs(2, role), "--", "sh", "-c", command+"0")...).start()
			if code := r.wait(); code != c.code {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, c.code, &r.stderr)
			}
			r.says(c.says)
			account := r.receipt()
			if len(account.Credentials) != 2 || !r.started() {
				t.Fatalf("%+v; stderr:\n%s", account, &r.stderr)
			}
			for _, credential := range account.Credentials {
				v := credential.Revocation
				if v == nil || v.Proof != c.credential && (c.credential != providers.Accepted || v.Proof != providers.Proven) {
					t.Errorf("a credential is %+v, want %s; stderr:\n%s", v, c.credential, &r.stderr)
				}
			}
			if c.code == 0 && len(s.left(role)) > 0 {
				t.Errorf("said to be gone, and left: %q", s.left(role))
			}
			switch {
			case c.login == "" && len(account.Sessions) > 0:
				t.Errorf("a borrowed login is in the receipt: %+v", account.Sessions)
			case c.login == "":
			case len(account.Sessions) != 1 || account.Sessions[0].Revocation == nil || account.Sessions[0].Revocation.Proof != c.login:
				t.Errorf("the login is %+v, want %s", account.Sessions, c.login)
			case c.login == providers.Expires && !account.Sessions[0].Revocation.At.After(time.Now()):
				t.Errorf("the login ends at %v", account.Sessions[0].Revocation.At)
			case c.login == providers.Proven && s.tokenLives(account.Sessions[0].Lease):
				t.Error("the login is said to be gone, and lives")
			}
			r.eventually("nothing is left", func() bool { return len(s.left(role)) == 0 })
		})
	}
}

// Without the default policy a token may neither revoke nor look anything up. The command's success is not called one; what is left ends with the leash, and the rule that is
// missing is named.
func TestATokenThatMayNotRevokeIsToldAndItsLeasesEndByThemselves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.policies()
	role := s.role(createRole, "8s", "8s")
	env := s.appRole(map[string]any{"token_policies": "read", "token_no_default_policy": true, "token_ttl": "10m"})
	r := newRun(t, env, append(specs(1, role), "--revoke-timeout=2s", "--", "sh", "-c", command+"0")...).start()
	if code := r.wait(); code != 125 {
		t.Errorf("exit code %d, want 125; stderr:\n%s", code, &r.stderr)
	}
	r.says(`allowed_parameters = { "lease_id" = ["database/creds/`+role+`/*"], "sync" = [] }`, "revoke-self")
	account := r.receipt()
	if v := r.revocation(account, role); v.Proof != providers.Failed || !strings.Contains(v.Error, "permission denied") {
		t.Errorf("%+v", v)
	}
	if len(account.Sessions) != 1 || account.Sessions[0].Revocation.Proof != providers.Expires {
		t.Errorf("the login is %+v", account.Sessions)
	}
	r.eventually("it has ended by itself", func() bool { return len(s.left(role)) == 0 })
}
