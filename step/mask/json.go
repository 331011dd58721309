package mask

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// surrogates splits a character beyond the basic plane.
func surrogates(r rune) (high, low rune, ok bool) {
	if r < 0x10000 {
		return 0, 0, false
	}
	return 0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff, true
}

// A jsonStyle is one writer's choice among the escapes that RFC 8259 leaves open.
type jsonStyle struct {
	also    string // escaped as \u although they need not be
	slash   bool   // / as \/
	ascii   bool   // everything beyond ASCII as \u
	upper   bool   // hexadecimal digits
	invalid string // for a byte that is no UTF-8; empty: the byte
}

var jsonStyles = []jsonStyle{
	{},                                // JavaScript, Python with ensure_ascii=False
	{also: "\x7f", invalid: "\ufffd"}, // jq
	{also: "<>&\u2028\u2029", invalid: `\ufffd`}, // Go
	{also: "\u2028\u2029", invalid: `\ufffd`},    // Go, SetEscapeHTML(false)
	{ascii: true},                                    // Python
	{also: "<>&'", ascii: true},                      // Flask, Jinja's tojson
	{also: "<>&='\u2028\u2029"},                      // Gson
	{slash: true},                                    // PHP with JSON_UNESCAPED_UNICODE, many in Java
	{slash: true, ascii: true},                       // PHP
	{also: "\"&'+<>`\x7f", ascii: true, upper: true}, // .NET
}

// appendJSON adds a text as it stands within a JSON string, and within a JSON string that is itself in one, as where a
// program's lines of JSON are logged as JSON, whoever wrote the inner one and the outer one.
func appendJSON(forms []string, text string) []string {
	once := appendStyles(nil, text)
	slices.Sort(once)
	once = slices.Compact(once)
	forms = append(forms, once...)
	for _, inner := range once {
		forms = appendStyles(forms, inner)
	}
	return forms
}

func appendStyles(forms []string, text string) []string {
	for _, style := range jsonStyles {
		forms = append(forms, style.escape(text))
	}
	return forms
}

func (j jsonStyle) escape(text string) string {
	unit := `\u%04x`
	if j.upper {
		unit = `\u%04X`
	}
	return replace(text, func(r rune, char string) (string, bool) {
		switch {
		case isInvalid(r, char):
			switch {
			case j.invalid != "":
				return j.invalid, true
			case j.ascii:
				return fmt.Sprintf(`\udc%02x`, char[0]), true // Python's surrogateescape, PEP 383
			}
			return "", false
		case strings.ContainsRune(j.also, r):
			return fmt.Sprintf(unit, r), true
		case r == '"', r == '\\', r == '/' && j.slash:
			return `\` + char, true
		case r < ' ':
			if i := strings.IndexRune("\b\f\n\r\t", r); i >= 0 {
				return `\` + "bfnrt"[i:i+1], true
			}
			return fmt.Sprintf(unit, r), true
		case r >= utf8.RuneSelf && j.ascii:
			if high, low, ok := surrogates(r); ok {
				return fmt.Sprintf(unit+unit, high, low), true
			}
			return fmt.Sprintf(unit, r), true
		}
		return "", false
	})
}
