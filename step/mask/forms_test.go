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
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
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
)

func samples() []sample {
	all := []sample{
		{"as Vault makes them", "A1a-" + random(16, alphanumeric)},
		{"as AWS makes them", random(38, alphanumeric+"+/") + "+/"},
		{"long", random(150, alphanumeric)},
		{"punctuation", random(4, alphanumeric) + punctuation + random(9, punctuation) + random(2, alphanumeric)},
		{"quotes", random(6, alphanumeric) + `''` + random(2, alphanumeric) + `"'` + random(2, alphanumeric) + "'" + random(3, alphanumeric)},
		{"single quotes", random(6, alphanumeric) + `'` + random(6, alphanumeric)},
		{"not ASCII", random(4, alphanumeric) + "äé€ß😀" + random(4, alphanumeric+"日本") + "x"},
		{control, random(4, alphanumeric) + "\t\a\b\x1b\x01\x7f\v\f" + random(5, alphanumeric)},
		{invalid, random(4, alphanumeric) + "\xff\xfe\xc3" + random(5, alphanumeric) + "\x80" + random(3, alphanumeric)},
	}
	for range 3 {
		all = append(all, sample{"punctuation", random(1, alphanumeric) + random(20, alphanumeric+punctuation) + random(1, alphanumeric)})
	}
	key := "-----BEGIN PRIVATE KEY-----\n"
	for range 12 {
		key += random(64, alphanumeric+"+/") + "\n"
	}
	key += random(30, alphanumeric+"+/") + "==\n-----END PRIVATE KEY-----"
	return append(all, sample{lines, key})
}

// mustMask masks the output of a tool that printed the value and holds what is left to the pattern, in which S stands
// for the marker.
func mustMask(t *testing.T, s sample, output []byte, pattern string) {
	t.Helper()
	m := New(Options{Marker: masked})
	if w := m.Add(s.value); len(w) != 0 {
		t.Fatal(w)
	}
	got := m.mask(t, string(output))
	want := regexp.MustCompile(`^(?s:` + strings.ReplaceAll(pattern, "S", masked) + `)$`)
	if !want.MatchString(got) {
		t.Errorf("%s\nsecret  %.300q\nprinted %.300q\nmasked  %.300q\nwanted  %s", s.kind, s.value, output, got, want)
	}
}

// tool skips where a tool is not there, unless everything is to be tested.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("WITH_CREDS_TEST_FULL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// In a pattern, S is the marker. What is left besides it is the tool's own.
var toolCases = []struct {
	tool, script string
	pattern      string
	not          string // a kind of sample this does not apply to
}{
	{"bash", `set -x; true "$V"`, `\+ true \$?'?S'?\n`, ""},
	{"bash", `set -x; A=$V`, `\+ A=\$?'?S'?\n`, ""},
	{"bash", `set -x; true "key=$V" 2>&1`, `\+ true \$?'?key=S'?\n`, ""},
	{"bash", `set -x; [[ $V == x ]] || :`, `\+ \[\[ \$?'?S'? == x \]\]\n\+ :\n`, ""},
	{"bash", `printf '%q\n' "$V"`, `(\$')?S'?\n`, ""},
	{"bash", `printf '%q\n' "postgres://u:$V@h"`, `(\$')?postgres://u:S@h'?\n`, ""},
	{"bash", `echo "${V@Q}"`, `\$?'S'\n`, ""},
	{"bash", `declare -p V`, `declare -x V=(\$'|")S['"]\n`, ""},
	{"bash", `set | grep -a ^V=`, `V=\$?'?S'?\n`, ""},
	{"bash", `export LC_ALL=C; printf '%q\n' "$V"; declare -p V`, `(\$')?S'?\ndeclare -x V=(\$'|")S['"]\n`, ""},
	{"bash", `export LC_ALL=C.UTF-8; printf '%q\n' "$V"; declare -p V`, `(\$')?S'?\ndeclare -x V=(\$'|")S['"]\n`, ""},
	{"bash", `set -f; echo $V`, `S\n`, ""},
	{"bash", `echo "$V" | sed 's/^/    /'`, `    S\n|    -----BEGIN PRIVATE KEY-----\n(    S\n)+    -----END PRIVATE KEY-----\n`, ""},
	{"bash", `echo "$V" | tr -d '\n'`, `S`, ""},
	{"bash", `echo "$V" | sed 's/$/\r/'`, `S\r\n`, ""},
	{"bash", `set -x; [[ x == "$V" ]] || :`, `\+ \[\[ x == S \]\]\n\+ :\n`, ""},
	{"bash", `set -x; [[ $V != "$V" ]] || :`, `\+ \[\[ S != S \]\]\n\+ :\n`, ""},
	{"bash", `set -x; [[ x == *"key=$V"* ]] || :`, `\+ \[\[ x == \*\\k\\e\\y\\=S\* \]\]\n\+ :\n`, ""},
	{"bash", `set -x; [[ x =~ "$V" ]] || :`, `\+ \[\[ x =~ S \]\]\n\+ :\n`, ""},
	{"bash", `export LC_ALL=C; set -x; [[ x = "$V" ]] || :`, `(?s:.*)\+ \[\[ x = S \]\]\n\+ :\n`, ""},
	{"bash", `export LC_ALL=C.UTF-8; set -x; [[ x = "$V" ]] || :`, `(?s:.*)\+ \[\[ x = S \]\]\n\+ :\n`, ""},

	{"dash", `set -x; true "$V"`, `\+ true '?S'?\n`, ""},
	{"dash", `set -x; A=$V`, `\+ A='?S'?\n`, ""},
	{"dash", `export -p | grep -a -A100 '^export V='`, `export V='S'\n.*`, ""},

	{"jq", `-n -r $ENV.V`, `S\n`, ""},
	{"jq", `-n $ENV.V`, `"S"\n`, ""},
	{"jq", `-n -a $ENV.V`, `"S"\n`, invalid}, // jq has changed the bytes before it escapes them
	{"jq", `-n -r $ENV.V|@sh`, `'S'\n`, ""},
	{"jq", `-n -r $ENV.V|@uri`, `S\n`, invalid},
	{"jq", `-n -r $ENV.V|@html`, `S\n`, ""},
	{"jq", `-n -r $ENV.V|@base64`, `S\n`, invalid},
	{"jq", `-n -r {a:$ENV.V}|tojson|tojson`, `"{\\"a\\":\\"S\\"}"\n`, ""},

	{"python3", `print(json.dumps(v))`, `"S"\n`, ""},
	{"python3", `out(json.dumps(v, ensure_ascii=False))`, `"S"\n`, ""},
	{"python3", `print(json.dumps(json.dumps(v)))`, `"\\"S\\""\n`, ""},
	{"python3", `out(repr(v))`, `['"]S['"]\n`, ""},
	{"python3", `print(ascii(v))`, `['"]S['"]\n`, ""},
	{"python3", `print(repr(b))`, `b['"]S['"]\n`, ""},
	{"python3", `out(shlex.quote(v))`, `'?S'?\n`, ""},
	{"python3", `print(urllib.parse.quote(b))`, `S\n`, ""},
	{"python3", `print(urllib.parse.quote(b, safe=''))`, `S\n`, ""},
	{"python3", `print(urllib.parse.quote_plus(b))`, `S\n`, ""},
	{"python3", `print(urllib.parse.urlencode({'p': b}))`, `p=S\n`, ""},
	{"python3", `out(html.escape(v))`, `S\n`, ""},
	{"python3", `out(xml.sax.saxutils.escape(v))`, `S\n`, ""},
	{"python3", `out(xml.sax.saxutils.quoteattr(v))`, `['"]S['"]\n`, ""},
	{"python3", `print(b.hex()); print(b.hex().upper())`, `S\nS\n`, ""},
	{"python3", `print(base64.b64encode(b).decode())`, `S\n`, ""},
	{"python3", `print(base64.urlsafe_b64encode(b).decode())`, `S\n`, ""},
	{"python3", `print(base64.encodebytes(b).decode(), end='')`, `(S\n)+`, lines},
	{"python3", `sys.stdout.buffer.write(b.decode('utf-8', 'ignore').encode('utf-16-le'))`, `S`, invalid},

	{"openssl", `base64`, `(S\n)+`, lines},
	{"openssl", `base64 -A`, `S`, ""},
	{"base64", ``, `(S\n)+`, lines},
	{"base64", `-w0`, `S`, ""},
	{"base64", `-w64`, `(S\n)+`, lines},
	{"base64", `-w76`, `(S\n)+`, lines},
	{"xxd", `-p`, `(S\n)+`, ""},
	{"xxd", `-p -u -c 10000`, `S\n`, ""},

	{"node", `console.log(JSON.stringify(v))`, `"S"\n`, invalid},
	{"node", `console.log([v])`, "\\[\\s+['\"`]S['\"`]\\s+\\]\n", invalid + " " + control + " " + lines},
	{"node", `console.log(encodeURIComponent(v))`, `S\n`, invalid},
	{"node", `console.log(encodeURI(v))`, `S\n`, invalid},
	{"node", `console.log(new URLSearchParams({p: v}).toString())`, `p=S\n`, invalid},
}

func TestNoFormAToolPrintsGetsThrough(t *testing.T) {
	scripts := map[string][]string{}
	for _, c := range toolCases {
		scripts[c.tool] = append(scripts[c.tool], c.script)
	}
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool(t, name)
			for _, s := range samples() {
				printed := runScripts(t, name, scripts[name], s.value)
				for _, c := range toolCases {
					if c.tool != name {
						continue
					}
					if c.not == "" || !strings.Contains(c.not, s.kind) {
						t.Run(c.script+" "+s.kind, func(t *testing.T) { mustMask(t, s, printed[0], c.pattern) })
					}
					printed = printed[1:]
				}
			}
		})
	}
}

// separator stands between the outputs of scripts that one interpreter runs, so that it is started once a secret.
const separator = "\x1e\x1e"

func runScripts(t *testing.T, name string, scripts []string, value string) (outputs [][]byte) {
	t.Helper()
	var program strings.Builder
	args := []string{"-c"}
	switch name {
	case "bash", "dash":
		for _, s := range scripts {
			program.WriteString("(" + s + ") 2>&1\nprintf '\\036\\036'\n")
		}
	case "python3":
		program.WriteString(`
import os, sys, json, shlex, urllib.parse, html, xml.sax.saxutils, base64
v, b = os.environ['V'], os.environb[b'V']
def out(s): sys.stdout.flush(); sys.stdout.buffer.write(os.fsencode(s) + b'\n')
`)
		for _, s := range scripts {
			program.WriteString(s + "\nsys.stdout.flush(); sys.stdout.buffer.write(b'\\x1e\\x1e'); sys.stdout.buffer.flush()\n")
		}
	case "node":
		args = []string{"-e"}
		program.WriteString("const v = process.env.V;\n")
		for _, s := range scripts {
			program.WriteString("try { " + s + " } catch (e) { console.log(e.name) }\nprocess.stdout.write('\\x1e\\x1e');\n")
		}
	default: // not an interpreter, or one that takes one script
		for _, s := range scripts {
			args := strings.Fields(s)
			if flags, filter, ok := strings.Cut(s, "$"); ok && name == "jq" {
				flags, brace, _ := strings.Cut(flags, "{")
				if brace != "" {
					brace = "{" + brace
				}
				args = append(strings.Fields(flags), brace+"$"+filter)
			}
			outputs = append(outputs, run(t, value, name, args...))
		}
		return outputs
	}
	return bytes.Split(run(t, value, name, append(args, program.String())...), []byte(separator))
}

// run gives the value in the variable V and on standard input.
func run(t *testing.T, value, name string, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "V="+value)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(value), &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out.Bytes())
	}
	return out.Bytes()
}

func TestNoFormGoPrintsGetsThrough(t *testing.T) {
	for _, s := range samples() {
		printed, err := json.Marshal(s.value)
		if err != nil {
			t.Fatal(err)
		}
		mustMask(t, s, printed, `"S"`)
		var plain bytes.Buffer
		e := json.NewEncoder(&plain)
		e.SetEscapeHTML(false)
		if err := e.Encode(s.value); err != nil {
			t.Fatal(err)
		}
		mustMask(t, s, plain.Bytes(), `"S"\n`)
		mustMask(t, s, fmt.Appendf(nil, "%q", s.value), `"S"`)
		mustMask(t, s, fmt.Appendf(nil, "%+q", s.value), `"S"`)
		mustMask(t, s, fmt.Appendf(nil, "%x %X", s.value, s.value), `S S`)
		mustMask(t, s, []byte(html.EscapeString(s.value)), `S\n?`)
		mustMask(t, s, []byte(url.QueryEscape(s.value)), `S(%0A)?`)
		mustMask(t, s, []byte(url.PathEscape(s.value)), `S(%0A)?`)
		mustMask(t, s, []byte((&url.URL{Scheme: "postgres", User: url.UserPassword("u", s.value), Host: "h"}).String()), `postgres://u:S(%0A)?@h`)
		if s.kind != control && s.kind != invalid {
			var text bytes.Buffer
			if err := xml.EscapeText(&text, []byte(s.value)); err != nil {
				t.Fatal(err)
			}
			mustMask(t, s, text.Bytes(), `S(&#xA;)?`)
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
	for _, columns := range []int{64, 76} {
		for before := range 80 {
			prefix := strings.Repeat("\xff", before)
			got := m.mask(t, wrap(base64.StdEncoding.EncodeToString([]byte(prefix+key)), columns, "\n"))
			left := strings.NewReplacer("\n", "", masked, "").Replace(got)
			armour := len("-----BEGIN PRIVATE KEY-----\n" + "\n-----END PRIVATE KEY-----")
			if most := (before+armour)*4/3 + 8; len(left) > most {
				t.Errorf("%d bytes before, %d columns: %d characters are left, armour makes up %d:\n%s", before, columns, len(left), most, got)
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

func TestCurlsBasicAuthorizationIsMasked(t *testing.T) {
	tool(t, "curl")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	for _, s := range samples() {
		if s.kind == lines {
			continue // not in a header
		}
		user := random(5, alphanumeric)
		m := New(Options{Marker: masked})
		m.AddBasic(user, s.value)
		cmd := exec.Command("curl", "-sv", "--config", "-", server.URL)
		config := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "\v", `\v`).Replace(s.value)
		cmd.Stdin = strings.NewReader(`user = "` + user + ":" + config + "\"\n")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		got := m.mask(t, out.String())
		if !regexp.MustCompile(`(?m)^> Authorization: Basic ` + masked + `\r?$`).MatchString(got) {
			t.Errorf("%s: %s", s.kind, got)
		}
		if !strings.Contains(got, user) {
			t.Errorf("the user name is masked: %s", got)
		}
	}
}

func TestCurlsDataUrlencodeIsMasked(t *testing.T) {
	tool(t, "curl")
	for _, s := range samples() {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		cmd := exec.Command("curl", "-svG", "--data-urlencode", "q@-", server.URL)
		cmd.Stdin = strings.NewReader(s.value)
		var out bytes.Buffer
		cmd.Stderr = &out
		err := cmd.Run()
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		mustMask(t, s, out.Bytes(), `.*> GET /\?q=S(%0[Aa])? HTTP/.*`)
	}
}
