//go:build !windows

package mysql

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
	"github.com/with-creds/with-creds/testdata/harness/sqlpromises"
)

// afar is this machine by an address of which that cannot be told.
const afar = "0.0.0.0"

// Somebody in between says that there is no TLS, and shows a key of his own.
func TestThePasswordIsNotGivenToWhoeverShowsAKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	shown := append([]byte{1}, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})...)
	password := strings.ToLower(rand.Text())
	for _, test := range []struct {
		plugin, host string
		given        bool
	}{
		{"caching_sha2_password", afar, false},
		{"sha256_password", afar, false},
		{"caching_sha2_password", "127.0.0.1", true}, // nobody is in between
		{"sha256_password", "127.0.0.1", true},
	} {
		t.Run(test.plugin+" at "+test.host, func(t *testing.T) {
			got := make(chan string, 1)
			address := sqlpromises.Listen(t, func(conn net.Conn) error {
				defer close(got)
				if err := greet(conn, test.plugin); err != nil {
					return err
				}
				sequence, _, err := readPacket(conn)
				if err == nil && test.plugin == "caching_sha2_password" {
					w := packets{next: sequence + 1}
					w.packet([]byte{1, 4}) // as it does not know the password yet, it wants all of it
					if _, err := conn.Write(w.bytes); err != nil {
						return err
					}
					sequence, _, err = readPacket(conn)
				}
				if err != nil {
					return err
				}
				w := packets{next: sequence + 1}
				w.packet(shown)
				if _, err := conn.Write(w.bytes); err != nil {
					return err
				}
				_, encrypted, err := readPacket(conn)
				if err != nil {
					return err
				}
				plain, err := rsa.DecryptOAEP(sha1.New(), nil, key, encrypted, nil)
				for i := range plain {
					plain[i] ^= fakeScramble[i%len(fakeScramble)]
				}
				got <- strings.TrimRight(string(plain), "\x00")
				return err
			})
			_, port, _ := net.SplitHostPort(address)
			_, err := Provider{}.Open(harness.Within(t, time.Minute), from(map[string]string{urlVariable: "mysql://boss:" + password + "@" + net.JoinHostPort(test.host, port)}))
			if given := <-got; (given == password) != test.given || given != "" && !test.given {
				t.Errorf("the password is given: %t, want %t", given != "", test.given)
			}
			if !test.given && (!errors.Is(err, errForeignKey) || !strings.Contains(err.Error(), "ssl-mode=VERIFY_IDENTITY")) {
				t.Errorf("the error: %v", err)
			}
		})
	}
}
