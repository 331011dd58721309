package spec

import (
	"strings"
	"testing"
	"time"
)

func TestErrorsPointAtTheColumn(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		col  int
		msg  string // a part of it
	}{
		{"", 1, 1, "no spec"},
		{"# nothing", 1, 1, "no spec"},
		{"vault:a\n  vault:b", 2, 3, "second spec"},
		{"database/creds/x", 1, 1, "PROVIDER:PATH"},
		{"Vault:x", 1, 1, "lower-case"},
		{"vault:", 1, 7, "nothing follows the colon: write vault:PATH"},
		{"vault: x", 1, 7, "nothing follows the colon"},
		{"vault:x?", 1, 9, "parameter is missing"},
		{"vault:x?a=1&", 1, 13, "parameter is missing"},
		{"vault:x?=1", 1, 9, "without a name"},
		{"vault:x?a=1&b", 1, 13, "without a value"},
		{"vault:x?a=%4", 1, 11, "two hexadecimal digits"},
		{"vault:x?é=é%zz", 1, 12, "two hexadecimal digits"},
		{"vault:x?a=%00", 1, 11, "two hexadecimal digits"},
		{"vault:x as=a as=b", 1, 14, "second as="},
		{"vault:x as=Post", 1, 12, "preset's name"},
		{"vault:x as=", 1, 12, "preset's name"},
		{"vault:x --flag", 1, 9, "expected NAME=field"},
		{"vault:x 1A=b", 1, 9, "variable's name"},
		{"vault:x A-B=b", 1, 9, "variable's name"},
		{"vault:x A=", 1, 11, "nothing is bound"},
		{"vault:x A=@", 1, 12, "nothing is bound"},
		{"vault:x A=b|url", 1, 12, "needs braces"},
		{"vault:x A=b?", 1, 12, "only a preset"},
		{"vault:x A='b c'", 1, 12, "without braces"},
		{"vault:x A=@@b", 1, 13, "names no {field}"},
		{"vault:x A='x{b'", 1, 13, "never closed"},
		{"vault:x A='x}b'", 1, 13, "closes nothing"},
		{"vault:x A='{{b}}'", 1, 12, "names no {field}"},
		{"vault:x A='{}'", 1, 13, "field's name is expected"},
		{"vault:x A='{b|ulr}'", 1, 15, `no filter "ulr" (did you mean "url"?)`},
		{"vault:x A='{b|}'", 1, 15, "no filter"},
		{"vault:x\nvault:y 'A=b", 2, 9, "never closed"},
		{`vault:x \`, 1, 9, "nothing follows the backslash"},
		{"vault:x ''", 1, 9, "empty word"},
		{"vault:x A=\x1b[31mb", 1, 11, "control character"},
		{"vault:x A=\xff", 1, 11, "not UTF-8"},
		{`vault:x A="\"{b|nope}"`, 1, 17, "no filter"},
	} {
		_, err := Parse(c.text)
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("Parse(%q) = %v", c.text, err)
			continue
		}
		if e.Line != c.line || e.Column != c.col || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("Parse(%q): %d:%d %s\nwant %d:%d %s", c.text, e.Line, e.Column, e.Msg, c.line, c.col, c.msg)
		}
		checkError(t, c.text, err)
	}
}

func TestCaretStandsUnderTheFaultAndHidesWhatIsPrivate(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"vault:x A='{b|ulr}'",
			"vault:x A='{b|ulr}'\n" +
				"              ^"},
		{"# é\nvault:é?ttl=1h&cn=hidden%20name\tA=b c",
			"vault:é?ttl=…&cn=… A=b …\n" +
				"                       ^"},
		{"vault:x?cn=hidden%zz as=p",
			"vault:x?cn=… as=p\n" +
				"           ^"},
		{"vault:x?cn=John hidden as=p",
			"vault:x?cn=… … as=p\n" +
				"             ^"},
		{"vault:x?cn=John&key=hidden Smith=hidden-x=y A=",
			"vault:x?cn=…&key=… Smith=hidden-x=y A=\n" +
				"                                      ^"},
		{"vault:x A='hidden",
			"vault:x A=…\n" +
				"          ^"},
		{"vault:x?cn='hidden and",
			"vault:x?cn=…\n" +
				"           ^"},
		{"vault:x?cn=hidden\x1b",
			"vault:x?cn=…\n" +
				"           ^"},
		{"vault:x?note=a\nhidden",
			"…\n^"},
	} {
		_, err := ParseAll(c.text)
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("ParseAll(%q) = %v", c.text, err)
			continue
		}
		if got := e.Caret(); got != c.want {
			t.Errorf("ParseAll(%q) shows\n%s\nwant\n%s", c.text, got, c.want)
		}
	}
}

func TestAFaultInAPresetIsShown(t *testing.T) {
	_, err := ParsePreset("A=a\nB='{b|ulr}' C='http://{c}?d={e}'")
	e, ok := err.(*Error)
	if !ok || e.Error() != "spec, line 2, column 7: B: there is no filter \"ulr\" (did you mean \"url\"?); the filters are url, json, base64, shell, mycnf, pgpass, line, dquote, unbase64" ||
		!strings.HasPrefix(e.Caret(), "B='{b|ulr}' C='http") || !strings.HasSuffix(e.Caret(), "\n      ^") {
		t.Errorf("got %v\n%s", err, e.Caret())
	}
}

// A private value is put into every kind of broken spec; neither the message nor the line shown may hold it.
func TestNoErrorShowsAParametersValue(t *testing.T) {
	const private = "h1dd3nvalue"
	for _, text := range []string{
		"vault:x?a=" + private + "%", "vault:x?a=" + private + "&", "vault:x?a=" + private + "&" + private, "vault:x?a=" + private + " " + private,
		"vault:x?a=" + private + " as=", "vault:x?a=" + private + " A={", "vault:x?a='" + private, "vault:x?a=" + private + "\\",
		"vault:x?a=" + private + "\x01", "vault:x?a=\"" + private + "\" ''", "vault:x?a=" + private + "\n" + private, "vault:x?a=b '" + private,
		"vault:x?a=" + private + "' " + private + "' B", "vault:x?a=b&" + private, "Vault:x?a=" + private,
	} {
		_, err := Parse(text)
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("%q is accepted", text)
			continue
		}
		if strings.Contains(e.Error()+e.Caret(), private) {
			t.Errorf("%q is answered with\n%v\n%s", text, e, e.Caret())
		}
	}
}

func TestALongBrokenTextIsJudgedInLinearTime(t *testing.T) {
	text := "vault:x?" + strings.Repeat("é=é&", 1<<18) + strings.Repeat(" A='{b}'", 1<<16) + " A"
	start := time.Now()
	if _, err := Parse(text); err == nil {
		t.Fatal("accepted")
	}
	// Two megabytes take some 50 ms; the time of a quadratic reading is counted in minutes.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}
