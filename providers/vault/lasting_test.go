//go:build !windows

package vault_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func TestWhatOutlivesItsLeaseIsNotSaidToBeGone(t *testing.T) {
	const life, longer = 15 * time.Minute, 20 * time.Minute
	until := time.Now().Add(longer).Unix()
	token := "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, until)) + ".c2ln"
	for name, c := range map[string]struct {
		asked, data string
		lives       time.Duration
	}{
		"AWS's temporary credentials":  {"GET aws/creds/r", `"access_key":"ASIA","secret_key":"s","session_token":"t","security_token":"t"`, life},
		"Alibaba Cloud's":              {"GET alicloud/creds/r", `"access_key":"STS.A","secret_key":"s","security_token":"t"`, life},
		"a token of Kubernetes":        {"PUT kubernetes/creds/r", `"service_account_name":"n","service_account_token":"` + token + `"`, longer},
		"one that tells no end":        {"PUT kubernetes/creds/r", `"service_account_name":"n","service_account_token":"opaque"`, life},
		"an access token with a lease": {"GET gcp/roleset/r/token", fmt.Sprintf(`"token":"ya29.t","token_ttl":1200,"expires_at_seconds":%d`, until), longer},
	} {
		_, path, _ := strings.Cut(c.asked, " ")
		f := newFake(t,
			exchange{request: c.asked, status: 200, body: `{"lease_id":"` + path + `/1","lease_duration":900,"renewable":false,"data":{` + c.data + `}}`},
			exchange{request: "PUT sys/leases/revoke", status: 204})
		s := f.open(nil)
		l := issue(t, s, path).Lease
		if lives := time.Until(l.Expires); l.MaxExpire != l.Expires || l.Renewable || (lives-c.lives).Abs() > time.Minute {
			t.Errorf("%s: the lease is %+v", name, l)
		}
		revoke(t, s, l, providers.Expires)
	}
}

func TestWhatOutlivesItsLeaseIsKnownByTheNameOfTheLeaseAlone(t *testing.T) {
	for id, want := range map[string]providers.Proof{
		"aws/sts/deploy/1":         providers.Expires,
		"team/aws/sts/deploy/1":    providers.Expires,
		"kubernetes/creds/ci/1":    providers.Expires,
		"kubernetes-eu/creds/ci/1": providers.Expires,
		"database/creds/sts/1":     providers.Proven,
		"aws/creds/user/1":         providers.Proven,
	} {
		f := newFake(t,
			exchange{request: "PUT sys/leases/lookup", status: 200, body: `{"data":{"id":"` + id + `","ttl":900,"renewable":false,
				"issue_time":"2026-01-01T00:00:00Z","expire_time":"2026-01-01T00:15:00Z"}}`},
			exchange{request: "PUT sys/leases/revoke", status: 204})
		s := f.open(nil)
		l, err := s.Lookup(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		revoke(t, s, l, want)
	}
}

// TestAnEndIsReadWhereAnEngineTellsOne has answers without a lease. The duration of a store is how Vault tells that of version 1 from the others.
func TestAnEndIsReadWhereAnEngineTellsOne(t *testing.T) {
	soon := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":`+soon+`}`)) + ".c2ln"
	for name, c := range map[string]struct {
		answer  string
		lives   time.Duration // negative: no end
		rotates bool
	}{
		"an access token":                       {`"data":{"token":"t","expires_at_seconds":` + soon + `}`, time.Hour, false},
		"an identity token":                     {`"data":{"client_id":"c","token":"` + token + `","ttl":3600}`, time.Hour, false},
		"a static role":                         {`"data":{"password":"p","ttl":3600,"last_vault_rotation":"2026-01-01T00:00:00Z"}`, time.Hour, true},
		"one whose rotation is due":             {`"data":{"password":"p","ttl":0,"last_vault_rotation":"2026-01-01T00:00:00Z"}`, 0, true},
		"one whose rotation is overdue":         {`"data":{"password":"p","ttl":-7,"last_vault_rotation":"2026-01-01T00:00:00Z"}`, 0, true},
		"a store of version 1":                  {`"lease_duration":2764800,"data":{"token":"t","expiration":` + soon + `,"ttl":60,"last_vault_rotation":"x"}`, -1, false},
		"a store, as Vault names it since 1.17": {`"mount_type":"kv","data":{"token":"t","expiration":` + soon + `}`, -1, false},
		"a store of version 2":                  {`"data":{"data":{"token":"t","expiration":` + soon + `},"metadata":{"version":1,"created_time":"x"}}`, -1, false},
	} {
		s := newFake(t, exchange{request: "GET some/path", status: 200, body: `{"lease_id":"",` + c.answer + `}`}).open(nil)
		got := issue(t, s, "some/path")
		if got.Rotates != c.rotates || !got.Lease.IsZero() || got.Lease.Expires.IsZero() != (c.lives < 0) {
			t.Errorf("%s: rotates is %v, the lease %+v", name, got.Rotates, got.Lease)
		}
		if lives := time.Until(got.Lease.Expires); c.lives >= 0 && (lives-c.lives).Abs() > time.Minute {
			t.Errorf("%s: it lives for %v, want %v", name, lives, c.lives)
		}
	}
}
