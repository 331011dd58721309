package mask

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// masked stands for the marker in the tests' patterns. No secret has it in it.
const masked = "█"

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func random(n int, alphabet string) string {
	letters := []rune(alphabet)
	out := make([]rune, n)
	for i := range out {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic(err)
		}
		out[i] = letters[k.Int64()]
	}
	return string(out)
}

// A sample is a kind of secret, with a value made for this run.
type sample struct{ kind, value string }

const (
	punctuation = "~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./ "
	control     = "control characters"
	lines       = "lines"
	invalid     = "invalid UTF-8"

	begin = "-----BEGIN PRIVATE KEY-----"
	end   = "-----END PRIVATE KEY-----"
)

func samples() []sample {
	all := []sample{
		{"as Vault makes them", "A1a-" + random(16, alphanumeric)},
		{"as AWS makes them", random(38, alphanumeric+"+/") + "+/"},
		{"long", random(150, alphanumeric)},
		{"punctuation", random(4, alphanumeric) + punctuation + random(9, punctuation) + random(2, alphanumeric)},
		{"quotes", random(6, alphanumeric) + `''` + random(2, alphanumeric) + `"'` + random(2, alphanumeric) + "'" + random(3, alphanumeric)},
		{"quotes at its ends", `'` + random(8, alphanumeric) + ` ` + random(6, alphanumeric) + `''`},
		{"single quotes", random(6, alphanumeric) + `'` + random(6, alphanumeric)},
		{"not ASCII", random(4, alphanumeric) + "äé€ß😀" + random(4, alphanumeric+"日本") + "x"},
		{control, random(4, alphanumeric) + "\t\a\b\x1b\x01\x7f\v\f" + random(5, alphanumeric)},
		{invalid, random(4, alphanumeric) + "\xff\xfe\xc3" + random(5, alphanumeric) + "\x80" + random(3, alphanumeric)},
	}
	for range 3 {
		all = append(all, sample{"punctuation", random(1, alphanumeric) + random(20, alphanumeric+punctuation) + random(1, alphanumeric)})
	}
	key := begin + "\n"
	for range 12 {
		key += random(64, alphanumeric+"+/") + "\n"
	}
	key += random(30, alphanumeric+"+/") + "==\n" + end
	return append(all, sample{lines, strings.ReplaceAll(key, "\n", "\r\n")}, sample{lines, key})
}

// mustMask returns what masks the output of a tool that printed the value, and holds what is left to the pattern, in which S
// stands for the marker.
func mustMask(t *testing.T, s sample) func(t *testing.T, output []byte, pattern string) {
	t.Helper()
	m := New(Options{Marker: masked})
	if w := m.Add(s.value); len(w) != 0 {
		t.Fatal(w)
	}
	return func(t *testing.T, output []byte, pattern string) {
		t.Helper()
		got := m.mask(t, string(output))
		want := regexp.MustCompile(`^(?s:` + strings.ReplaceAll(pattern, "S", masked) + `)$`)
		if !want.MatchString(got) {
			t.Errorf("%s\nsecret  %.300q\nprinted %.300q\nmasked  %.300q\nwanted  %s", s.kind, s.value, output, got, want)
		}
	}
}

func TestNoFormGoPrintsGetsThrough(t *testing.T) {
	for _, s := range samples() {
		must := mustMask(t, s)
		printed, err := json.Marshal(s.value)
		if err != nil {
			t.Fatal(err)
		}
		must(t, printed, `"S"`)
		var plain bytes.Buffer
		e := json.NewEncoder(&plain)
		e.SetEscapeHTML(false)
		if err := e.Encode(s.value); err != nil {
			t.Fatal(err)
		}
		must(t, plain.Bytes(), `"S"\n`)
		must(t, fmt.Appendf(nil, "%q", s.value), `"S"`)
		must(t, fmt.Appendf(nil, "%+q", s.value), `"S"`)
		must(t, fmt.Appendf(nil, "%x %X", s.value, s.value), `S S`)
		must(t, []byte(html.EscapeString(s.value)), `S\n?`)
		must(t, []byte(url.QueryEscape(s.value)), `S(%0A)?`)
		must(t, []byte(url.PathEscape(s.value)), `S(%0A)?`)
		must(t, []byte((&url.URL{Scheme: "postgres", User: url.UserPassword("u", s.value), Host: "h"}).String()), `postgres://u:S(%0A)?@h`)
		if s.kind != control && s.kind != invalid {
			var text bytes.Buffer
			if err := xml.EscapeText(&text, []byte(s.value)); err != nil {
				t.Fatal(err)
			}
			must(t, text.Bytes(), `S(&#xA;)?`)
		}
	}
}

// Every length of what stands before and after, and every length of the secret: 0 characters too many may be left.
func TestBase64OfATextAroundASecretShowsOnlySharedCharacters(t *testing.T) {
	for length := MinLength; length <= 40; length++ {
		secret := random(length, alphanumeric+"?~>")
		m := New(Options{Marker: masked})
		m.Add(secret)
		for before := range 12 {
			for after := range 12 {
				text := strings.Repeat("\xff", before) + secret + strings.Repeat("\xff", after)
				for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
					encoded := enc.EncodeToString([]byte(text))
					head, tail := (8*before+5)/6, 8*(before+length)/6
					got := m.mask(t, encoded)
					if want := encoded[:head] + masked + encoded[tail:]; got != want && !(after == 0 && got == encoded[:head]+masked) {
						t.Fatalf("secret %q, %d bytes before, %d after: %q became %q, wanted %q", secret, before, after, encoded, got, want)
					}
				}
			}
		}
	}
}

// However a wrapped text ends its lines, all that is left of the secret is what shares its characters with other bytes.
func TestWrappedBase64IsMaskedWhereverItsLinesEnd(t *testing.T) {
	for _, length := range []int{6, 7, 8, 12, 20, 21, 22, 32, 40, 64, 100, 300} {
		secret := random(length, alphanumeric+"?~>")
		m := New(Options{Marker: masked})
		m.Add(secret)
		for _, columns := range []int{64, 76} {
			for before := range 80 {
				encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", before) + secret + strings.Repeat("\xff", 9)))
				head, tail := (8*before+5)/6, 8*(before+length)/6
				for _, end := range []string{"\n", "\r\n"} {
					got := m.mask(t, wrap(encoded, columns, end))
					left := strings.NewReplacer("\r", "", "\n", "", masked, "").Replace(got)
					if want := encoded[:head] + encoded[tail:]; left != want {
						t.Fatalf("secret of %d bytes, %d before, %d columns: left %q, wanted %q\n%s", length, before, columns, left, want, got)
					}
				}
			}
		}
	}
}

// The armour is left to be seen, and not looked for: other keys and certificates have the same.
func TestWrappedBase64OfAKeyShowsItsArmourAlone(t *testing.T) {
	all := samples()
	key := all[len(all)-1].value
	m := New(Options{Marker: masked})
	m.Add(key)
	for _, key := range []string{key, strings.ReplaceAll(key, "\n", "\r\n")} {
		for _, columns := range []int{64, 76} {
			for before := range 80 {
				prefix := strings.Repeat("\xff", before)
				got := m.mask(t, wrap(base64.StdEncoding.EncodeToString([]byte(prefix+key)), columns, "\n"))
				left := strings.NewReplacer("\n", "", masked, "").Replace(got)
				armour := len(begin + "\r\n" + "\r\n" + end)
				if most := (before+armour)*4/3 + 8; len(left) > most {
					t.Errorf("%d bytes before, %d columns: %d characters are left, armour makes up %d:\n%s", before, columns, len(left), most, got)
				}
			}
		}
	}
	other := base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\n" + random(64, alphanumeric) + "\n-----END CERTIFICATE-----\n"))
	if got := m.mask(t, other); got != other {
		t.Errorf("a certificate became %s", got)
	}
}

func TestIndentedBase64OfALongSecretKeepsOnlyRestsAtItsEnds(t *testing.T) {
	secret := random(300, alphanumeric)
	encoded := wrap(base64.StdEncoding.EncodeToString([]byte("a"+secret)), 64, "\n      ")
	m := New(Options{Marker: masked})
	m.Add(secret)
	for i, line := range strings.Split(m.mask(t, encoded), "\n      ") {
		left := strings.ReplaceAll(line, masked, "")
		if len(left) > pieceLength {
			t.Errorf("line %d shows %q", i, left)
		}
	}
}
