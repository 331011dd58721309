package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/with-creds/with-creds/providers"
)

// The fields of a PKCS#12 store (RFC 7292). The password is made once a run, for a variable that holds it cannot be changed when the
// certificate is replaced.
const (
	pkcs12Field    = "made:pkcs12"
	pkcs12Password = "made:pkcs12-password" //nolint:gosec // a name
)

// Made adds the fields that are made anew of each credential, where a name asks for them. c has the fields of Endpoints already.
func Made(names []string, c providers.Credential) (providers.Credential, error) {
	for _, name := range names {
		if name != pkcs12Field {
			continue
		}
		store, err := store(c)
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		c.Fields = append(slices.Clip(c.Fields), providers.Field{Name: name, Value: string(store), Secret: true})
		break
	}
	return c, nil
}

// store holds the key, the certificate and the issuers, in the form of today (AES-256, SHA-256), which OpenSSL 1.1.1, Java 8u301 and
// Windows 10 read.
func store(c providers.Credential) ([]byte, error) {
	value := func(name string) string { f, _ := c.Field(name); return f.Value }
	pair, err := tls.X509KeyPair([]byte(value("certificate")), []byte(value("private_key")))
	if err != nil {
		return nil, errors.New("it is made of the fields certificate and private_key, in PEM, which this credential does not have")
	}
	var issuers []*x509.Certificate
	for rest := []byte(firstOf(value("ca_chain"), value("issuing_ca"))); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		issuer, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the issuers: %w", err)
		}
		issuers = append(issuers, issuer)
	}
	password := value(pkcs12Password)
	if password == "" {
		return nil, errors.New("it has no password")
	}
	return pkcs12.Modern2023.Encode(pair.PrivateKey, pair.Leaf, issuers, password)
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
