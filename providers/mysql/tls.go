package mysql

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// tlsConfig is what the mode asks for; nil: no TLS.
func (t target) tlsConfig() (*tls.Config, error) {
	if t.TLS == tlsDisabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.Host}
	var authorities *sqluser.Authorities
	if t.CA != "" {
		var err error
		if authorities, err = sqluser.ReadAuthorities(t.CA); err != nil {
			return nil, fmt.Errorf("the file of ssl-ca %w", err)
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
	switch {
	case t.TLS == tlsVerifyIdentity && authorities == nil: // what crypto/tls does by itself, by the system's authorities
	case t.TLS == tlsVerifyIdentity:
		authorities.VerifyBy(c, t.Host)
	case t.TLS == tlsVerifyCA:
		authorities.VerifyBy(c, "")
	default: // encryption against listeners, no proof of the server
		c.InsecureSkipVerify = true
	}
	return c, nil
}
