package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// scramIterations is the server's own default, and the least that RFC 7677 §4 recommends. More would buy nothing: what they slow
// down is guessing, and the passwords made here cannot be guessed.
const scramIterations = 4096

// newSalt makes 16 random bytes, as long as the server's own salts.
func newSalt() []byte {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails (crypto/rand)
	return salt
}

// scramVerifier is what the server keeps of a password, in the form that CREATE ROLE … PASSWORD takes ready made: enough to
// check the password (RFC 5802 §3: StoredKey, ServerKey), not enough to log in with. The password must be ASCII.
func scramVerifier(password string, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("deriving a SCRAM verifier: %w", err)
	}
	stored := sha256.Sum256(hmacSHA256(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s",
		scramIterations, b64(salt), b64(stored[:]), b64(hmacSHA256(salted, "Server Key"))), nil
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
