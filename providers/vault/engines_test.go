//go:build !windows

package vault_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
)

func TestEnginesAreAskedAsTheyWantToBe(t *testing.T) {
	w := newWorld(t)
	s := w.withToken(w.vault.RootToken)

	t.Run("kv version 2 is unwrapped, in any version", func(t *testing.T) {
		w.vault.Mount("kv", "kv-v2")
		eventually(t, "the store is ready", func() bool {
			status, _ := w.vault.Raw(w.vault.RootToken, "PUT", "kv/data/app", `{"data":{"token":"first"}}`)
			return status == 200
		})
		w.vault.Write("kv/data/app", map[string]any{"data": map[string]any{
			"token": "second", "port": 5432, "on": true, "hosts": []string{"a", "b"}, "deep": map[string]any{"er": "x"}, "none": nil,
		}})
		c := issue(t, s, "kv/data/app")
		for name, want := range map[string]string{
			"token": "second", "port": "5432", "on": "true", "hosts": "a\nb", "hosts.1": "b", "deep.er": "x", "metadata.version": "2",
		} {
			if got := value(t, c, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if _, ok := c.Field("none"); ok {
			t.Error("a null became a field")
		}
		if f, _ := c.Field("token"); !f.Secret {
			t.Error("the token is no secret")
		}
		if !c.Lease.IsZero() {
			t.Errorf("a lease where there is none: %+v", c.Lease)
		}
		if got := value(t, issue(t, s, "kv/data/app?version=1"), "token"); got != "first" {
			t.Errorf("version 1 is %q", got)
		}
		for source, want := range map[string]string{
			"kv/data/none":          "nothing is there",
			"kv/app":                "kv/data/app",
			"kv/data/app?token=new": "in place of what is there",
		} {
			if _, err := s.Issue(t.Context(), ask(source)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want it to say %q", source, err, want)
			}
		}
		w.vault.Write("kv/delete/app", map[string]any{"versions": []int{1}})
		if _, err := s.Issue(t.Context(), ask("kv/data/app?version=1")); err == nil || !strings.Contains(err.Error(), "was deleted at") {
			t.Errorf("a deleted version: %v", err)
		}
	})

	t.Run("kv version 1", func(t *testing.T) {
		w.vault.Mount("old", "kv")
		w.vault.Write("old/app", map[string]any{"token": "t", "ttl": "1h", "expiration": time.Now().Add(time.Hour).Unix()})
		c := issue(t, s, "old/app")
		if value(t, c, "token") != "t" || !c.Lease.IsZero() || !c.Lease.Expires.IsZero() {
			t.Errorf("%v with lease %+v", c, c.Lease)
		}
		if _, err := s.Issue(t.Context(), ask("old/app?x=1")); err == nil {
			t.Error("a parameter would have been written in place of the secret")
		}
		if value(t, issue(t, s, "old/app"), "token") != "t" {
			t.Error("the secret was overwritten")
		}
	})

	t.Run("pki", func(t *testing.T) {
		w.vault.Mount("pki", "pki")
		w.vault.Write("pki/root/generate/internal", map[string]any{"common_name": "ca.test", "ttl": "24h"})
		w.vault.Write("pki/roles/web", map[string]any{"allow_any_name": true, "max_ttl": "1h", "key_type": "ec", "key_bits": 256})
		c := issue(t, s, "pki/issue/web?common_name=ci.example.com&ttl=30m&alt_names=a.example.com&alt_names=b.example.com")
		pair, err := tls.X509KeyPair([]byte(value(t, c, "certificate")), []byte(value(t, c, "private_key")))
		if err != nil {
			t.Fatal(err)
		}
		if got := pair.Leaf.DNSNames; len(got) != 3 {
			t.Errorf("the certificate is for %q", got)
		}
		if left := time.Until(c.Lease.Expires); left < 25*time.Minute || left > 31*time.Minute {
			t.Errorf("the certificate is said to end in %v", left)
		}
		if !w.valid(pair.Leaf) {
			t.Error("a fresh certificate is on the revocation list")
		}
		revoke(t, s, c.Lease, providers.Proven)
		revoke(t, s, c.Lease, providers.Proven) // again is no error
		if w.valid(pair.Leaf) {
			t.Error("the certificate is not on the revocation list")
		}
		for _, f := range c.Fields {
			if secret := f.Name == "private_key"; f.Secret != secret {
				t.Errorf("field %s: secret is %v", f.Name, f.Secret)
			}
		}
	})

	t.Run("pki, where the policy does not let it be revoked, no certificate is kept, or it has ended", func(t *testing.T) {
		w.vault.Policy("issue", `path "pki/issue/web" { capabilities = ["update"] }`)
		c := issue(t, w.withToken(w.vault.Token("issue")), "pki/issue/web?common_name=a.example.com")
		revoke(t, w.withToken(w.vault.Token("issue")), c.Lease, providers.Expires)
		w.vault.Write("pki/roles/unkept", map[string]any{"allow_any_name": true, "no_store": true, "max_ttl": "1h", "key_type": "ec", "key_bits": 256})
		revoke(t, s, issue(t, s, "pki/issue/unkept?common_name=b.example.com").Lease, providers.Expires)
		revoke(t, s, issue(t, s, "pki/issue/web?common_name=c.example.com&ttl=1s").Lease, providers.Expires)
	})

	t.Run("pki, with a key made here", func(t *testing.T) {
		w.vault.Write("pki/roles/any", map[string]any{"allow_any_name": true, "key_type": "any", "max_ttl": "1h", "allow_ip_sans": true})
		for kind, algorithm := range map[string]x509.PublicKeyAlgorithm{"generate": x509.ECDSA, "generate-ed25519": x509.Ed25519, "generate-rsa": x509.RSA} {
			c := issue(t, s, "pki/sign/any?common_name=own.example.com&alt_names=c.example.com&ip_sans=192.0.2.1&csr="+kind)
			pair, err := tls.X509KeyPair([]byte(value(t, c, "certificate")), []byte(value(t, c, "private_key")))
			if err != nil {
				t.Fatal(err)
			}
			leaf := pair.Leaf
			if leaf.PublicKeyAlgorithm != algorithm || leaf.Subject.CommonName != "own.example.com" || leaf.VerifyHostname("c.example.com") != nil || leaf.VerifyHostname("192.0.2.1") != nil {
				t.Errorf("%s: a %v certificate for %v %v %v", kind, leaf.PublicKeyAlgorithm, leaf.Subject, leaf.DNSNames, leaf.IPAddresses)
			}
			if f, _ := c.Field("private_key"); !f.Secret {
				t.Error("the private key is no secret")
			}
		}
		if _, err := s.Issue(t.Context(), ask("pki/sign/any?common_name=x&csr=generate-dsa")); err == nil || !strings.Contains(err.Error(), "generate-ed25519") {
			t.Errorf("an unknown kind of key: %v", err)
		}
	})

	t.Run("ssh certificates, with a key made here", func(t *testing.T) {
		w.vault.Mount("ssh", "ssh")
		w.vault.Write("ssh/config/ca", map[string]any{"generate_signing_key": true})
		w.vault.Write("ssh/roles/ci", map[string]any{
			"key_type": "ca", "allow_user_certificates": true, "allowed_users": "*", "default_user": "deploy", "ttl": "10m", "allow_user_key_ids": true,
		})
		c := issue(t, s, "ssh/sign/ci?public_key=generate")
		signer, err := ssh.ParsePrivateKey([]byte(value(t, c, "private_key")))
		if err != nil {
			t.Fatal(err)
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(value(t, c, "signed_key")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ssh.NewCertSigner(public.(*ssh.Certificate), signer); err != nil {
			t.Errorf("the certificate is not for the key: %v", err)
		}
		if f, _ := c.Field("private_key"); !f.Secret {
			t.Error("the private key is no secret")
		}
		if left := time.Until(c.Lease.Expires); !c.Lease.IsZero() || left < 5*time.Minute || left > 11*time.Minute {
			t.Errorf("the certificate is said to end in %v", left)
		}
		w.vault.Write("ssh/roles/otp", map[string]any{"key_type": "otp", "default_user": "deploy", "cidr_list": "127.0.0.0/8"})
		otp := issue(t, s, "ssh/creds/otp?ip=127.0.0.1")
		if f, _ := otp.Field("key"); !f.Secret || f.Value == "" {
			t.Errorf("the one-time password is %+v", f)
		}
		revoke(t, s, otp.Lease, providers.Proven)
		issued := issue(t, s, "ssh/issue/ci")
		if value(t, issued, "private_key") == "" {
			t.Error("no private key")
		}
	})

	t.Run("transit, which is written to without parameters", func(t *testing.T) {
		w.vault.Mount("transit", "transit")
		w.vault.Write("transit/keys/k", nil)
		if c := issue(t, s, "transit/datakey/plaintext/k"); value(t, c, "plaintext") == "" {
			t.Error("no key")
		}
		// One that is not in the table: the first way is turned away, the second is not.
		before := w.requests.Load()
		issue(t, s, "transit/random/32")
		if n := w.requests.Load() - before; n != 2 {
			t.Errorf("%d round trips", n)
		}
		c := issue(t, s, "transit/encrypt/k?_method=post&plaintext=aGVsbG8=")
		if !strings.HasPrefix(value(t, c, "ciphertext"), "vault:v1:") {
			t.Errorf("%v", c)
		}
	})

	t.Run("what issues nothing is an error", func(t *testing.T) {
		for source, want := range map[string]string{
			"nowhere/creds/x":                        "is the engine mounted at this path",
			"pki/roles/web?_method=post&max_ttl=1h":  "",
			"kv/metadata/none":                       "nothing is there",
			"transit/keys/k?_method=get&nonsense=1":  "",
			"pki/issue/web?common_name=":             "",
			"ssh/sign/ci?public_key=not+a+key":       "",
			"pki/issue/none?common_name=example.com": "unknown role",
		} {
			c, err := s.Issue(t.Context(), ask(source))
			switch {
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%s: %v, %v, want it to say %q", source, c, err, want)
			case err != nil && !errors.Is(err, providers.ErrRefused):
				t.Errorf("%s: %v is not a refusal", source, err)
			}
		}
	})
}

// valid reports whether the CA does not list a certificate as revoked.
func (w *world) valid(certificate *x509.Certificate) bool {
	w.t.Helper()
	_, der := w.vault.Raw(w.vault.RootToken, "GET", "pki/crl", "")
	list, err := x509.ParseRevocationList([]byte(der))
	if err != nil {
		w.t.Fatal(err)
	}
	return !slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(certificate.SerialNumber) == 0
	})
}

func TestParametersThatNoEngineTakesBecomeFieldsAndAreNotSent(t *testing.T) {
	w := withPostgres(t)
	s := w.withToken(w.vault.RootToken)
	c := issue(t, s, "database/creds/readonly?host=db:5432&database=app&region=eu-1")
	if value(t, c, "host") != "db:5432" || value(t, c, "database") != "app" || value(t, c, "region") != "eu-1" || value(t, c, "username") == "" || len(c.Warnings) > 0 {
		t.Errorf("%v, warnings %q", c, c.Warnings)
	}
	if f, _ := c.Field("host"); f.Secret {
		t.Error("where the server is would be masked")
	}
	revoke(t, s, c.Lease, providers.Proven)
}
