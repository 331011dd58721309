package sqluser

import (
	"crypto/tls"
	"crypto/x509"
)

// VerifyChain checks that the server's certificate descends from one of the roots, whatever name it is for: what database clients call
// verify-ca.
func VerifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}
