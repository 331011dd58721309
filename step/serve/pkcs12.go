package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/with-creds/with-creds/providers"
)

// The fields of a PKCS#12 store (RFC 7292). The password is made once a run, for a variable that holds it cannot be changed when the
// certificate is replaced.
const (
	pkcs12Field    = "made:pkcs12"
	pkcs12Password = "made:pkcs12-password" //nolint:gosec // a name
)

// store holds the key, the certificate and the issuers, in the form of today (AES-256, SHA-256), which OpenSSL 1.1.1, Java 8u301 and
// Windows 10 read.
func store(c providers.Credential) (string, error) {
	value := func(name string) string { f, _ := c.Field(name); return f.Value }
	pair, err := tls.X509KeyPair([]byte(value("certificate")), []byte(value("private_key")))
	if err != nil {
		return "", errors.New("it is made of the fields certificate and private_key, in PEM, which this credential does not have")
	}
	var issuers []*x509.Certificate
	for rest := []byte(firstOf(value("ca_chain"), value("issuing_ca"))); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		issuer, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("reading the issuers: %w", err)
		}
		issuers = append(issuers, issuer)
	}
	password := value(pkcs12Password)
	if password == "" {
		return "", errors.New("it has no password")
	}
	made, err := pkcs12.Modern2023.Encode(pair.PrivateKey, pair.Leaf, issuers, password)
	return string(made), err
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
