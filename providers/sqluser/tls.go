package sqluser

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// Authorities are what the clients on OpenSSL make of a file of certificates: what is self-signed is trusted, and the others help to find the way there. By
// themselves these prove nothing, where Go would take each for an authority, a server's own certificate included.
type Authorities struct{ trusted, others *x509.CertPool }

// ReadAuthorities reads PEM.
func ReadAuthorities(content string) (*Authorities, error) {
	a := &Authorities{trusted: x509.NewCertPool(), others: x509.NewCertPool()}
	all, trusted := 0, 0
	for rest := []byte(content); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		all++
		if !bytes.Equal(cert.RawSubject, cert.RawIssuer) {
			a.others.AddCert(cert)
			continue
		}
		a.trusted.AddCert(cert)
		trusted++
	}
	switch {
	case all == 0:
		return nil, errors.New("holds no PEM certificate")
	case trusted == 0:
		return nil, errors.New("holds no authority's own certificate (a self-signed one), so it proves nothing: give the root's")
	}
	return a, nil
}

// Verify checks that the server's certificate descends from an authority, and is for the name, unless that is "": what database clients call verify-full, and
// verify-ca.
func (a *Authorities) Verify(state tls.ConnectionState, name string) error {
	opts := x509.VerifyOptions{Roots: a.trusted, Intermediates: a.others.Clone(), DNSName: name}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}

// VerifyBy has a configuration verify servers by the authorities.
func (a *Authorities) VerifyBy(c *tls.Config, name string) {
	c.InsecureSkipVerify = true // what it would verify is verified here
	c.VerifyConnection = func(state tls.ConnectionState) error { return a.Verify(state, name) }
}
