//go:build !windows

package harness

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
)

// newPassword is a password of letters and digits, good to be put into SQL and URLs.
func newPassword() string { return rand.Text() }

// vaultFiles are PEM files made for one test.
type vaultFiles struct{ ca, cert, key, clientCert, clientKey string }

// vaultCertificates makes a CA, a server's certificate for 127.0.0.1, localhost and vault.test, and a client's.
func vaultCertificates(t testing.TB, dir string) vaultFiles {
	t.Helper()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := NewAuthority(t)
	cert, key := ca.Sign("vault.test", "localhost", "vault.test", "127.0.0.1")
	clientCert, clientKey := ca.Sign("ci")
	return vaultFiles{
		ca:   write("ca.pem", ca.PEM),
		cert: write("server.pem", cert), key: write("server-key.pem", key),
		clientCert: write("client.pem", clientCert), clientKey: write("client-key.pem", clientKey),
	}
}
