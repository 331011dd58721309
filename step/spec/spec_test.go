package spec

import (
	"reflect"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"pgregory.net/rapid"
)

func field(name string, filters ...string) Template {
	return Template{[]part{{field: name, filters: filters}}}
}

func request(provider, path string, params ...providers.Param) providers.Request {
	return providers.Request{Provider: provider, Path: path, Params: params}
}

func TestEveryFormOfTheGrammarIsReadAndPrintedCanonically(t *testing.T) {
	for _, c := range []struct {
		text      string
		want      Spec
		canonical string // "" where it is text
	}{
		{text: "vault:database/creds/readonly as=postgres",
			want: Spec{Request: request("vault", "database/creds/readonly"), Preset: "postgres"}},
		{text: "vault:aws/sts/deploy?ttl=15m as=aws",
			want: Spec{Request: request("vault", "aws/sts/deploy", providers.Param{Key: "ttl", Value: "15m"}), Preset: "aws"}},
		{text: "vault:pki/issue/web?common_name=ci.example.com TLS_CERT=@certificate TLS_KEY=@private_key",
			want: Spec{Request: request("vault", "pki/issue/web", providers.Param{Key: "common_name", Value: "ci.example.com"}),
				Bindings: []Binding{{Name: "TLS_CERT", File: true, Template: field("certificate")}, {Name: "TLS_KEY", File: true, Template: field("private_key")}}}},
		{text: "vault:database/creds/app DATABASE_URL='postgres://{username}:{password|url}@db/app'",
			want: Spec{Request: request("vault", "database/creds/app"), Bindings: []Binding{{Name: "DATABASE_URL", Template: Template{[]part{
				{literal: "postgres://"}, {field: "username"}, {literal: ":"}, {field: "password", filters: []string{"url"}}, {literal: "@db/app"}}}}}}},
		{text: "github:installation?repositories=app&permissions=contents:read,packages:write as=git",
			want: Spec{Request: request("github", "installation", providers.Param{Key: "repositories", Value: "app"},
				providers.Param{Key: "permissions", Value: "contents:read,packages:write"}), Preset: "git"}},
		{text: "command:./mint-token API_TOKEN=token",
			want: Spec{Request: request("command", "./mint-token"), Bindings: []Binding{{Name: "API_TOKEN", Template: field("token")}}}},
		{text: `command:"./mint-token --x" A=b`, canonical: `'command:./mint-token --x' A=b`,
			want: Spec{Request: request("command", "./mint-token --x"), Bindings: []Binding{{Name: "A", Template: field("b")}}}},
		{text: `"command:./mint-token --x"`, canonical: `'command:./mint-token --x'`,
			want: Spec{Request: request("command", "./mint-token --x")}},
		{text: `vault:pki/issue/web?common_name=%4Aohn%20Smith&note=a+b%26c%3Dd%25&empty=`, canonical: `vault:pki/issue/web?common_name=John%20Smith&note=a+b%26c%3Dd%25&empty=`,
			want: Spec{Request: request("vault", "pki/issue/web", providers.Param{Key: "common_name", Value: "John Smith"},
				providers.Param{Key: "note", Value: "a+b&c=d%"}, providers.Param{Key: "empty"})}},
		{text: `vault:x?a=b=c&a=?`, canonical: `vault:x?a=b%3Dc&a=%3F`,
			want: Spec{Request: request("vault", "x", providers.Param{Key: "a", Value: "b=c"}, providers.Param{Key: "a", Value: "?"})}},
		{text: "  vault:x\tA=b as=p # why\r\n", canonical: "vault:x as=p A=b",
			want: Spec{Request: request("vault", "x"), Preset: "p", Bindings: []Binding{{Name: "A", Template: field("b")}}}},
		{text: "vault:x \\\n  A=b \\\r\n  B=c#d", canonical: "vault:x A=b B='c#d'",
			want: Spec{Request: request("vault", "x"), Bindings: []Binding{{Name: "A", Template: field("b")}, {Name: "B", Template: field("c#d")}}}},
		{text: `vault:x A='{a | url|json }' B='{{{b}}}' C=tls.crt D='{my key}'`, canonical: `vault:x A='{a|url|json}' B='{{{b}}}' C=tls.crt D='{my key}'`,
			want: Spec{Request: request("vault", "x"), Bindings: []Binding{
				{Name: "A", Template: field("a", "url", "json")},
				{Name: "B", Template: Template{[]part{{literal: "{"}, {field: "b"}, {literal: "}"}}}},
				{Name: "C", Template: field("tls.crt")}, {Name: "D", Template: field("my key")}}}},
		{text: `vault:x A=@@{s} B=@'@@@@{s}' C='@{s}' D='{@s}' E='{s?}'`, canonical: `vault:x A='@@{s}' B='@@@@@{s}' C=@s D='{@s}' E='{s?}'`,
			want: Spec{Request: request("vault", "x"), Bindings: []Binding{
				{Name: "A", Template: Template{[]part{{literal: "@"}, {field: "s"}}}},
				{Name: "B", File: true, Template: Template{[]part{{literal: "@@"}, {field: "s"}}}},
				{Name: "C", File: true, Template: field("s")},
				{Name: "D", Template: field("@s")}, {Name: "E", Template: field("s?")}}}},
		{text: "vault:x A='it'\\''s\n{b}'",
			want: Spec{Request: request("vault", "x"), Bindings: []Binding{{Name: "A", Template: Template{[]part{{literal: "it's\n"}, {field: "b"}}}}}}},
		{text: "vault:x A=\"\\$\\x\\\"\\`\\\\\\\n{b}\"", canonical: "vault:x A='$\\x\"`\\{b}'",
			want: Spec{Request: request("vault", "x"), Bindings: []Binding{{Name: "A", Template: Template{[]part{{literal: "$\\x\"`\\"}, {field: "b"}}}}}}},
		{text: "\ufeffvault:x", canonical: "vault:x", want: Spec{Request: request("vault", "x")}},
	} {
		got, err := Parse(c.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("Parse(%q)\n got %#v\nwant %#v", c.text, got, c.want)
		}
		if c.canonical == "" {
			c.canonical = c.text
		}
		if got.String() != c.canonical {
			t.Errorf("Parse(%q) prints\n%s, want\n%s", c.text, got, c.canonical)
		}
		mustRoundTrip(t, got)
	}
}

func TestManySpecsOneALine(t *testing.T) {
	all, err := ParseAll("# databases\nvault:a as=postgres\n\n  vault:b \\\n    B=@'line one\n{two}'  # both\n\tvault:c\n#end")
	if err != nil {
		t.Fatal(err)
	}
	var printed []string
	for _, s := range all {
		printed = append(printed, s.String())
	}
	want := []string{"vault:a as=postgres", "vault:b B='@line one\n{two}'", "vault:c"}
	if !reflect.DeepEqual(printed, want) {
		t.Errorf("got %q, want %q", printed, want)
	}
	if all, err := ParseAll(" \n# nothing\n"); err != nil || len(all) != 0 {
		t.Errorf("a text of comments: %v, %v", all, err)
	}
}

func TestPresetBindingsMayBeOptional(t *testing.T) {
	got, err := ParsePreset("PGUSER=username PGHOST=host?\n  F=@'[client]\nuser={username}'? # file\nMODE==force 'O== a =b'? E==")
	if err != nil {
		t.Fatal(err)
	}
	want := []Binding{
		{Name: "PGUSER", Template: field("username")},
		{Name: "PGHOST", Template: field("host"), Optional: true},
		{Name: "F", File: true, Optional: true, Template: Template{[]part{{literal: "[client]\nuser="}, {field: "username"}}}},
		{Name: "MODE", Template: Template{[]part{{literal: "force"}}}},
		{Name: "O", Optional: true, Template: Template{[]part{{literal: " a =b"}}}},
		{Name: "E", Template: Template{[]part{{}}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := Parse("vault:x MODE==force"); err == nil {
		t.Error("a fixed text is accepted outside a preset")
	}
	for _, b := range got {
		again, err := ParsePreset(b.String())
		if err != nil || !reflect.DeepEqual(again, []Binding{b}) {
			t.Errorf("%s reads back as %v, %v", b, again, err)
		}
	}
}

func mustRoundTrip(t interface {
	Helper()
	Fatalf(string, ...any)
}, s Spec) {
	t.Helper()
	again, err := Parse(s.String())
	if err != nil {
		t.Fatalf("%q does not parse: %v", s.String(), err)
	}
	if !reflect.DeepEqual(again, s) {
		t.Fatalf("%q\n is read as %#v\n not as    %#v", s.String(), again, s)
	}
	if all, err := ParseAll("# one\n" + s.String() + "\n" + s.String()); err != nil || len(all) != 2 || !reflect.DeepEqual(all[1], s) {
		t.Fatalf("%q in a text of several reads as %v, %v", s.String(), all, err)
	}
}

// anySpec draws specs as Parse could return them, from alphabets rich in what the grammar treats specially.
func anySpec() *rapid.Generator[Spec] {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab{}@?|'\"\\#$%&=+ ,:/\n\té€")), 0, 8, -1)
	fieldName := rapid.StringOfN(rapid.RuneFrom([]rune("ab.-@?'\"\\#$%&=+ é")), 1, 6, -1).Filter(isField)
	value := rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 8), func(b []byte) string { return string(b) })
	template := rapid.Custom(func(t *rapid.T) Template {
		var parts []part
		for i := range rapid.IntRange(1, 3).Draw(t, "parts") {
			if l := text.Draw(t, "literal"); l != "" && (i > 0 || rapid.Bool().Draw(t, "begins with text")) {
				parts = append(parts, part{literal: l})
			}
			var names []string
			for range rapid.IntRange(0, 2).Draw(t, "filters") {
				names = append(names, rapid.SampledFrom(FilterNames()).Draw(t, "filter"))
			}
			parts = append(parts, part{field: fieldName.Draw(t, "field"), filters: names})
		}
		return Template{parts}
	})
	return rapid.Custom(func(t *rapid.T) Spec {
		s := Spec{Request: request(rapid.StringMatching(`[a-z][a-z0-9-]{0,5}`).Draw(t, "provider"),
			rapid.StringOfN(rapid.RuneFrom([]rune("abc:/.-_ '\"\\#$%&=+{}é,")), 1, 10, -1).Draw(t, "path"))}
		for range rapid.IntRange(0, 3).Draw(t, "params") {
			key := value.Filter(func(s string) bool { return s != "" }).Draw(t, "key")
			s.Request.Params = append(s.Request.Params, providers.Param{Key: key, Value: value.Draw(t, "value")})
		}
		if rapid.Bool().Draw(t, "has preset") {
			s.Preset = rapid.StringMatching(`[a-z0-9][a-z0-9_-]{0,5}`).Draw(t, "preset")
		}
		for range rapid.IntRange(0, 3).Draw(t, "bindings") {
			s.Bindings = append(s.Bindings, Binding{
				Name:     rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,5}`).Filter(func(s string) bool { return s != "as" }).Draw(t, "name"),
				File:     rapid.Bool().Draw(t, "file"),
				Template: template.Draw(t, "template"),
			})
		}
		return s
	})
}

func TestWhatIsPrintedIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { mustRoundTrip(t, anySpec().Draw(t, "spec")) })
}

func TestCuttingASpecAnywhereNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := anySpec().Draw(t, "spec").String()
		from := rapid.IntRange(0, len(line)).Draw(t, "from")
		to := rapid.IntRange(from, len(line)).Draw(t, "to")
		_, err := Parse(line[from:to])
		checkError(t, line[from:to], err)
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"vault:database/creds/readonly as=postgres", "vault:x?a=%41&b=+ A=@'{x|url}{{' # c", `command:"a b" A="\"{b}"`,
		"vault:x \\\n A=@@@{s}\nvault:y", "vault:x A=b?", "\ufeffa:b\r\n", "a:b?c=%0", "a:b 'c", "a:b A={", "", "\\",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseAll(text)
		checkError(t, text, err)
		for _, s := range all {
			mustRoundTrip(t, s)
		}
		one, err := Parse(text)
		checkError(t, text, err)
		if (err == nil) != (len(all) == 1) || err == nil && !reflect.DeepEqual(one, all[0]) {
			t.Fatalf("Parse and ParseAll disagree on %q", text)
		}
		if bindings, err := ParsePreset(text); err == nil {
			for _, b := range bindings {
				if again, err := ParsePreset(b.String()); err != nil || !reflect.DeepEqual(again, []Binding{b}) {
					t.Fatalf("preset binding %q reads back as %v, %v", b, again, err)
				}
			}
		} else {
			checkError(t, text, err)
		}
	})
}

// checkError holds an error to its promises: it points into the text, and can be shown in two lines.
func checkError(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("Parse(%q) returns a %T", text, err)
	}
	lines := strings.Split(text, "\n")
	if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len([]rune(lines[e.Line-1]))+1 {
		t.Fatalf("Parse(%q) points at %d:%d, outside the text", text, e.Line, e.Column)
	}
	if caret := e.Caret(); strings.Count(caret, "\n") != 1 || !strings.HasSuffix(caret, "^") || strings.ContainsAny(e.Error(), "\n\x1b") {
		t.Fatalf("Parse(%q) shows as %q, %q", text, e.Error(), caret)
	}
}
