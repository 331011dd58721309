package spec

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// execute runs a template text over one value, known as field x.
func execute(t *testing.T, text, value string) (string, error) {
	t.Helper()
	s, err := Parse("vault:x A=" + quote(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Bindings[0].Template.Execute(func(name string) (string, bool) { return value, name == "x" }, nil)
}

const awkward = "a'b\"c\\d e#f$g`h;i&j|k\tl\nm\r\bn%41+{}<é\u2028/~!*()=@:?\\"

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" // RFC 3986, section 2.3

func TestFiltersYieldWhatTheirSyntaxReadsBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.Just(awkward), rapid.StringOf(rapid.RuneFrom([]rune(awkward)))).Draw(rt, "value")
		get := func(filter string) string {
			out, err := execute(t, "{x|"+filter+"}", value)
			if err != nil {
				rt.Fatal(err)
			}
			return out
		}
		u, err := url.Parse("postgres://user:" + get("url") + "@db/" + get("url") + "?q=" + get("url"))
		if err != nil {
			rt.Fatal(err)
		}
		if p, _ := u.User.Password(); p != value || u.Path != "/"+value || u.Query().Get("q") != value {
			rt.Errorf("url: %q is read back as %q, %q, %q", value, p, u.Path, u.Query().Get("q"))
		}
		if i := strings.IndexFunc(get("url"), func(r rune) bool { return r >= 0x80 || !strings.ContainsRune(unreserved+"%", r) }); i >= 0 {
			rt.Errorf("url: %q holds more than unreserved characters: %q", value, get("url"))
		}
		var fromJSON string
		if err := json.Unmarshal([]byte(`"`+get("json")+`"`), &fromJSON); err != nil || fromJSON != value {
			rt.Errorf("json: %q is read back as %q, %v", value, fromJSON, err)
		}
		if b, err := base64.StdEncoding.DecodeString(get("base64")); err != nil || string(b) != value {
			rt.Errorf("base64: %q is read back as %q, %v", value, b, err)
		}
	})
}

func TestFilterFormsAreExactlyThese(t *testing.T) {
	for filter, want := range map[string]string{
		"url":             "p%27%2F%3A%40%20%C3%A9%22-._~%2B",
		"json":            `p'/:@ é\"-._~+`,
		"base64":          "cCcvOkAgw6kiLS5ffis=",
		"shell":           `'p'\''/:@ é"-._~+'`,
		"mycnf":           `p\'/:@ é\"-._~+`,
		"url|base64":      "cCUyNyUyRiUzQSU0MCUyMCVDMyVBOSUyMi0uX34lMkI=",
		"line|url|dquote": "p%27%2F%3A%40%20%C3%A9%22-._~%2B",
		"pgpass":          `p'/\:@ é"-._~+`,
		"line":            `p'/:@ é"-._~+`,
		"base64|unbase64": `p'/:@ é"-._~+`,
		"shell|mycnf":     `\'p\'\\\'\'/:@ é\"-._~+\'`,
	} {
		if got, err := execute(t, "{x|"+filter+"}", `p'/:@ é"-._~+`); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", filter, got, err, want)
		}
	}
}

func TestShellFilterIsReadBackByRealShells(t *testing.T) {
	quoted, err := execute(t, "{x|shell}", awkward+"\xff")
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"bash", "dash", "sh"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		out, err := exec.Command(shell, "-c", "printf %s "+quoted).Output()
		if err != nil || string(out) != awkward+"\xff" {
			t.Errorf("%s: got %q, %v", shell, out, err)
		}
	}
}

func TestMyCnfFilterIsReadBackByTheRealOptionFileReader(t *testing.T) {
	reader, err := exec.LookPath("my_print_defaults")
	if err != nil {
		t.Skip("my_print_defaults (package mariadb-client-core or mysql-client-core) is not installed")
	}
	file := filepath.Join(t.TempDir(), "my.cnf")
	rapid.Check(t, func(rt *rapid.T) {
		alphabet := rapid.RuneFrom([]rune(strings.ReplaceAll(awkward, "\n", "") + "ntrbs[]!; "))
		value := rapid.OneOf(rapid.StringOf(alphabet), rapid.Just(strings.Repeat("s", 3990))).Draw(rt, "value")
		escaped, err := execute(t, "[client]\nhost=before\nuser=\"{x|mycnf}\"\n", value)
		if err != nil {
			rt.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(escaped), 0o600); err != nil {
			rt.Fatal(err)
		}
		// As the user, for MySQL's reader prints stars for a password.
		out, err := exec.Command(reader, "--defaults-file="+file, "client").Output()
		if err != nil || string(out) != "--host=before\n--user="+value+"\n" {
			rt.Fatalf("%q is read back as %q, %v", value, out, err)
		}
	})
}

// The same rules, as mysys/my_default documents them, for machines without the reader.
func TestMyCnfFilterLeavesNothingThatEndsItsQuotesOrItsLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringOf(rapid.RuneFrom([]rune(awkward))).Draw(rt, "value")
		escaped, err := execute(t, "{x|mycnf}", value)
		if err != nil {
			rt.Fatal(err)
		}
		var back strings.Builder
		for i := 0; i < len(escaped); i++ {
			switch c := escaped[i]; c {
			case '"', '\n', '\r':
				rt.Fatalf("%q is escaped as %q", value, escaped)
			case '\\':
				i++
				back.WriteByte(map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 's': ' ', '"': '"', '\'': '\'', '\\': '\\'}[escaped[i]])
			default:
				back.WriteByte(c)
			}
		}
		if back.String() != value {
			rt.Fatalf("%q is escaped as %q, which reads as %q", value, escaped, back.String())
		}
	})
}

func TestAValueAFilterCannotCarryIsRefusedWithoutShowingIt(t *testing.T) {
	for filter, value := range map[string]string{"json": "h1dden\xff", "mycnf": "h1dden\x00", "base64|mycnf": strings.Repeat("h1dden", 1000),
		"pgpass": "h1dden\nx", "line": "h1dden ", "dquote": "h1dden\"", "url|line|unbase64": "h1dden!"} {
		out, err := execute(t, "{x|"+filter+"}", value)
		if err == nil || out != "" || !strings.Contains(err.Error(), `"x"`) || strings.Contains(err.Error(), "h1dden") {
			t.Errorf("%s: got %q, %v", filter, out, err)
		}
	}
}

func TestExecuteNamesTheMissingField(t *testing.T) {
	_, err := execute(t, "{x} {y|url}", "v")
	if err == nil || err.Error() != `there is no field "y"` {
		t.Errorf("got %v", err)
	}
}

func TestFieldsAreListedOnce(t *testing.T) {
	s, err := Parse("vault:x A='{b} {a|url}{b|json}'")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Bindings[0].Template.Fields(), " "); got != "b a" {
		t.Errorf("got %q", got)
	}
}
