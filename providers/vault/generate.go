package vault

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
)

// generate makes the key that a request to sign asks for with `public_key=generate` (ssh) or `csr=generate` (pki), puts its public half into the
// request, and returns the fields it adds, private_key among them. The private key never leaves the process but through the credential.
func generate(to *route) ([]providers.Field, error) {
	if to.body["public_key"] == "generate" {
		return generateSSH(to)
	}
	if kind, ok := to.body["csr"].(string); ok && (kind == "generate" || strings.HasPrefix(kind, "generate-")) {
		return generateCSR(to, strings.TrimPrefix(strings.TrimPrefix(kind, "generate"), "-"))
	}
	return nil, nil
}

// generateSSH makes an Ed25519 key: private_key in OpenSSH's format, and public_key.
func generateSSH(to *route) ([]providers.Field, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "with-creds")
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	to.body["public_key"] = line
	return []providers.Field{
		{Name: "private_key", Value: string(pem.EncodeToMemory(block)), Secret: true},
		{Name: "public_key", Value: line},
	}, nil
}

// generateCSR makes a key of the kind that the role wants (key_type; "any" takes each) and a request signed with it. The names stand in the
// request as well as in the parameters, for it is the role that decides which of the two count (use_csr_common_name, use_csr_sans).
func generateCSR(to *route, kind string) ([]providers.Field, error) {
	var key crypto.Signer
	var err error
	switch kind {
	case "", "ec":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, providers.Refused(fmt.Errorf("vault: csr must be generate (or generate-ec), generate-ed25519 or generate-rsa, or a request of your own"))
	}
	if err != nil {
		return nil, err
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: text(to.body["common_name"])}}
	for _, name := range list(to.body["alt_names"]) {
		if strings.Contains(name, "@") {
			request.EmailAddresses = append(request.EmailAddresses, name)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	for _, address := range list(to.body["ip_sans"]) {
		if ip := net.ParseIP(address); ip != nil {
			request.IPAddresses = append(request.IPAddresses, ip)
		}
	}
	for _, address := range list(to.body["uri_sans"]) {
		if u, err := url.Parse(address); err == nil {
			request.URIs = append(request.URIs, u)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return nil, fmt.Errorf("vault: making a certificate request: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	to.body["csr"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return []providers.Field{
		{Name: "private_key", Value: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), Secret: true},
	}, nil
}

func text(v any) string { s, _ := v.(string); return s }

// list is a parameter that takes several values, written with commas.
func list(v any) []string {
	return strings.FieldsFunc(text(v), func(r rune) bool { return r == ',' || r == ' ' })
}
