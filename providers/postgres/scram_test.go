package postgres

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/text/secure/precis"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// The example exchange of RFC 7677 §3: user "user", password "pencil".
const (
	rfcAuthMessage = "n=user,r=rOprNGfwEbeRWgbNEkqO," +
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," +
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcSalt            = "W22ZaJ0SNY7soEsUEjb6gQ=="
	rfcClientProof     = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcServerSignature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func TestVerifierChecksTheExchangeOfRFC7677(t *testing.T) {
	decode := func(text string) []byte {
		t.Helper()
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	verifier, err := scramVerifier("pencil", decode(rfcSalt))
	if err != nil {
		t.Fatal(err)
	}
	head, keys, _ := strings.Cut(strings.TrimPrefix(verifier, "SCRAM-SHA-256$"), "$")
	if head != "4096:"+rfcSalt {
		t.Fatalf("verifier begins %q", head)
	}
	stored, server, _ := strings.Cut(keys, ":")

	if got := hmacSHA256(decode(server), rfcAuthMessage); !hmac.Equal(got, decode(rfcServerSignature)) {
		t.Error("with this ServerKey the client would not know the server again")
	}
	// RFC 5802 §3: ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and StoredKey = H(ClientKey).
	key := decode(rfcClientProof)
	for i, b := range hmacSHA256(decode(stored), rfcAuthMessage) {
		key[i] ^= b
	}
	if sum := sha256.Sum256(key); !hmac.Equal(sum[:], decode(stored)) {
		t.Error("with this StoredKey the server would not know the client")
	}
}

func TestPasswordsNeedNoPreparationAndNoEscaping(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		password := sqluser.NewPassword()
		prepared, err := precis.OpaqueString.String(password)
		if err != nil || prepared != password {
			t.Fatal("a password changes under SASLprep: its verifier would not match")
		}
		if strings.Trim(password, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || len(password) < 26 || seen[password] {
			t.Fatal("a password is short, repeated or needs escaping")
		}
		seen[password] = true
	}
}
