package mysql

import (
	"encoding/hex"
	"strings"
	"testing"
)

// An example of Drepper's specification, two of `openssl passwd -5`, and hashcat's (mode 7401), whose salt has MySQL's 20 bytes.
func TestCachingSHA2HashIsTheOneThatOthersCompute(t *testing.T) {
	for _, test := range []struct{ password, salt, want string }{
		{"Hello world!", "saltstring", "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "saltstringsaltst", "a5C8Ofk71MUIoKve2QuP9FMl.dwNgseF5tR1LGAL7iB"},
		{"a longer password, of more than thirty-two bytes", "abcdefgh12345678", "udNFBfFPILYpeNodenHVOU6G33oW37XHKHKmKcfIjyD"},
	} {
		if got := sha256Crypt(test.password, test.salt, cachingSHA2Rounds); got != test.want {
			t.Errorf("sha256Crypt(%q, %q) = %s, want %s", test.password, test.salt, got, test.want)
		}
	}
	salt, _ := hex.DecodeString("F9CC98CE08892924F50A213B6BC571A2C11778C5")
	digest, _ := hex.DecodeString("625479393559393965414D45316477456B484F41316E64484742577A2E3162785353526B7554584647562F")
	if got, want := cachingSHA2Hash("hashcat", string(salt)), "$A$005$"+string(salt)+string(digest); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPasswordsAreHashedAsTheServersDocumentationDoes(t *testing.T) {
	// https://mariadb.com/kb/en/password/ and https://mariadb.com/kb/en/authentication-plugin-ed25519/
	if got, want := nativeHash("notagoodpwd"), "*3A70EE9FC6594F88CE9E959CD51C5A1C002DC937"; got != want {
		t.Errorf("native: %s, want %s", got, want)
	}
	got, err := ed25519Key("secret")
	if want := "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"; err != nil || got != want {
		t.Errorf("ed25519: %s (%v), want %s", got, err, want)
	}
}

func TestSaltsDifferAndCanBeCarried(t *testing.T) {
	a, b := newSalt(), newSalt()
	if a == b || len(a) != saltLength || strings.ContainsAny(a+b, "$'\\\x00") {
		t.Errorf("salts %q and %q", a, b)
	}
}
