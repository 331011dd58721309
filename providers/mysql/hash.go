package mysql

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is what mysql_native_password is made of
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"filippo.io/edwards25519"
)

// An auth is a way to check passwords, by the name it has in a spec. Each is told to the server as what it keeps of the password.
type auth string

const (
	// authNative is mysql_native_password: the SHA-1 of the SHA-1. Every client can do it. It is MariaDB's usual one; MySQL 8.4 has it
	// turned off. What the server keeps suffices to log in for who also overhears a login without TLS.
	authNative auth = "native"
	// authEd25519 is MariaDB's ed25519: a public key. The server must have the plugin loaded, and clients must know it.
	authEd25519 auth = "ed25519"
	// authCachingSHA2 is MySQL's caching_sha2_password: 5,000 rounds of SHA-256 with a salt.
	authCachingSHA2 auth = "caching_sha2"
)

var auths = []auth{authNative, authEd25519, authCachingSHA2}

// identified is the clause of CREATE USER for a new password.
func (a auth) identified(password string) (string, error) {
	switch a {
	case authNative:
		return "IDENTIFIED VIA mysql_native_password USING " + literal(nativeHash(password)), nil
	case authEd25519:
		key, err := ed25519Key(password)
		return "IDENTIFIED VIA ed25519 USING " + literal(key), err
	case authCachingSHA2:
		return "IDENTIFIED WITH caching_sha2_password AS " + literal(cachingSHA2Hash(password, newSalt())), nil
	}
	return "", errors.New("no way to identify by " + string(a))
}

// nativeHash is what PASSWORD() made: https://mariadb.com/kb/en/password/
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password)) //nolint:gosec // so the server defines it; the passwords have 128 random bits
	twice := sha1.Sum(once[:])         //nolint:gosec // likewise
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// ed25519Key is the public key that MariaDB derives from a password: RFC 8032 §5.1.5 with the password, of any length, in the place of
// the 32 random bytes (https://mariadb.com/kb/en/authentication-plugin-ed25519/).
func ed25519Key(password string) (string, error) {
	digest := sha512.Sum512([]byte(password))
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(digest[:32])
	if err != nil {
		return "", err
	}
	point := edwards25519.NewIdentityPoint().ScalarBaseMult(scalar)
	return base64.RawStdEncoding.EncodeToString(point.Bytes()), nil
}

const (
	// cachingSHA2Rounds is the server's default; more would buy nothing: what they slow down is guessing, and the passwords made here
	// cannot be guessed.
	cachingSHA2Rounds = 5000
	saltLength        = 20 // SCRAMBLE_LENGTH
	cryptAlphabet     = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newSalt makes a salt of 120 random bits that holds neither $ nor NUL, which the server's form could not carry, and nothing that needs
// quoting.
func newSalt() string {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails (crypto/rand)
	for i, b := range salt {
		salt[i] = cryptAlphabet[b%64]
	}
	return string(salt)
}

// cachingSHA2Hash is what mysql.user keeps: $A$, the rounds in thousands as three hexadecimal digits, the salt, the digest
// (sql/auth/sha2_password.cc, Caching_sha2_password::serialize).
func cachingSHA2Hash(password, salt string) string {
	return "$A$005$" + salt + sha256Crypt(password, salt, cachingSHA2Rounds)
}

// sha256Crypt is the digest of Ulrich Drepper's SHA-crypt with SHA-256 (https://www.akkadia.org/drepper/SHA-crypt.txt, whose numbered
// steps these are), for salts of any length: libc's crypt(3) cuts them to 16 bytes, MySQL takes 20.
func sha256Crypt(password, salt string, rounds int) string {
	p, s := []byte(password), []byte(salt)
	sum := func(parts ...[]byte) []byte {
		h := sha256.New()
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	b := sum(p, s, p) // 4–8
	a := [][]byte{p, s, stretched(b, len(p))}
	for n := len(p); n > 0; n >>= 1 { // 11
		if n&1 == 1 {
			a = append(a, b)
		} else {
			a = append(a, p)
		}
	}
	digest := sum(a...) // 12
	var dp, ds [][]byte
	for range p { // 13–15
		dp = append(dp, p)
	}
	for range 16 + int(digest[0]) { // 17–19
		ds = append(ds, s)
	}
	pp, ss := stretched(sum(dp...), len(p)), stretched(sum(ds...), len(s))
	for i := range rounds { // 21
		var c [][]byte
		if i%2 == 1 {
			c = append(c, pp)
		} else {
			c = append(c, digest)
		}
		if i%3 != 0 {
			c = append(c, ss)
		}
		if i%7 != 0 {
			c = append(c, pp)
		}
		if i%2 == 1 {
			c = append(c, digest)
		} else {
			c = append(c, pp)
		}
		digest = sum(c...)
	}
	return cryptBase64(digest)
}

// stretched repeats a digest up to n bytes.
func stretched(digest []byte, n int) []byte {
	var out []byte
	for len(out) < n {
		out = append(out, digest[:min(len(digest), n-len(out))]...)
	}
	return out
}

// cryptBase64 is step 22: three bytes at a time in an order of its own, least significant six bits first.
func cryptBase64(d []byte) string {
	var out strings.Builder
	write := func(b2, b1, b0 byte, n int) {
		w := uint(b2)<<16 | uint(b1)<<8 | uint(b0)
		for range n {
			out.WriteByte(cryptAlphabet[w&63])
			w >>= 6
		}
	}
	for i, j := 0, 10; len(d) == 32 && out.Len() < 40; i, j = (i+21)%30, (j+21)%30 {
		write(d[i], d[j], d[(j+10)%30], 4)
	}
	write(0, d[31], d[30], 3)
	return out.String()
}
