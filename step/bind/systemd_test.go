package bind

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// readAsSystemd stands in for systemd where that is not installed: it follows what systemd.exec(5) says of EnvironmentFile=, and shares no code with
// systemd. TestSystemdReadsTheEnvFileBack asks systemd itself where it is.
func readAsSystemd(text string) (map[string]string, error) {
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\ufeff\ufffe\uffff") {
		return nil, errors.New("not UTF-8, or a character that is not allowed")
	}
	const white = " \t\r"
	read := map[string]string{}
	for text != "" {
		text = strings.TrimLeft(text, white+"\n")
		if text == "" {
			break
		}
		line, rest, _ := strings.Cut(text, "\n")
		name, _, assigned := strings.Cut(line, "=")
		if strings.ContainsAny(text[:1], "#;") || !assigned {
			text = rest
			continue
		}
		read[strings.TrimRight(name, white)], text = valueAsSystemd(strings.TrimLeft(text[len(name)+1:], white))
	}
	return read, nil
}

// valueAsSystemd takes one value off text, which begins with it.
func valueAsSystemd(text string) (value, rest string) {
	var out []byte
	keep := 0            // of out, whatever white space it ends with
	quote := byte(0)     // that is open
	quotes := text != "" // may open: before the first character that is not quoted
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			out, keep = append(out, c), len(out)+1
		case quote == '"' && c == '\\' && i+1 < len(text):
			i++
			if !strings.ContainsRune("\"\\`$\n", rune(text[i])) {
				out = append(out, c)
			}
			if text[i] != '\n' {
				out = append(out, text[i])
			}
			keep = len(out)
		case quote != 0:
			quote = 0
		case c == '\n':
			return string(out[:keep]), text[i+1:]
		case quotes && (c == '\'' || c == '"'):
			quote = c
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] != '\n' {
				out, keep = append(out, text[i]), len(out)+1
			}
			quotes = false
		case c == ' ', c == '\t', c == '\r':
			out = append(out, c)
		default:
			out, keep = append(out, c), len(out)+1
			quotes = false
		}
	}
	return string(out[:keep]), ""
}

func TestTheRulesOfSystemdReadTheEnvFileBack(t *testing.T) {
	checkReadBack(t, func(file string) (map[string]string, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return readAsSystemd(string(text))
	})
}

// The stand-in is worth what it takes away: each of these would be another value.
func TestTheRulesOfSystemdAreThoseOfTheManual(t *testing.T) {
	for text, want := range map[string]string{
		"A=plain\n": "plain", "A= a b \n": "a b", "A='x y' \n": "x y", `A="x\"y\z"` + "\n": `x"y\z`, `A=x\ny` + "\n": "xny",
		"A=x'y'\n": "x'y'", "A=x#y\n": "x#y", "A=one\\\ntwo\n": "onetwo", "A='two\nlines'\n": "two\nlines", "A=\n": "", "A=x\r\n": "x", "; A=no\nA=yes": "yes",
	} {
		if got, err := readAsSystemd(text); err != nil || got["A"] != want {
			t.Errorf("%q is read as %q, %v; want %q", text, got["A"], err, want)
		}
	}
	for _, text := range []string{"A=\xff\n", "A=\ufeff\n"} {
		if got, err := readAsSystemd(text); err == nil {
			t.Errorf("%q is read as %q", text, got)
		}
	}
	if got, _ := readAsSystemd("# A=1\nno assignment\n"); len(got) != 0 {
		t.Errorf("read %q", got)
	}
}
