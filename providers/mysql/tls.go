package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// tlsConfig is what the mode asks for; nil: no TLS.
func (t target) tlsConfig() (*tls.Config, error) {
	if t.TLS == tlsDisabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.Host}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("the file of ssl-ca holds no PEM certificate")
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("a client certificate needs both ssl-cert and ssl-key")
	}
	if t.Cert != "" {
		pair, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key))
		if err != nil { // it says nothing of the key
			return nil, errors.New("the client certificate (ssl-cert) and key (ssl-key) do not make a pair, or the key is encrypted: " + err.Error())
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch t.TLS {
	case tlsVerifyIdentity: // what crypto/tls does by itself; without ssl-ca, by the system's authorities
	case tlsVerifyCA:
		c.InsecureSkipVerify = true // the name only: the chain is verified here
		c.VerifyConnection = func(state tls.ConnectionState) error { return sqluser.VerifyChain(state, c.RootCAs) }
	default: // encryption against listeners, no proof of the server
		c.InsecureSkipVerify = true
	}
	return c, nil
}
