package mask

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendEscapes adds a text as it is and in the escapes of text formats. Where a format has nothing to escape in it,
// its form is the text itself: that of one with nothing but letters, digits, - _ and . is so in all but those that put a
// backslash before what is none of theirs, too.
func appendEscapes(forms []string, text string) []string {
	forms = append(forms, text)
	forms = appendBackslashed(forms, text)
	if !strings.ContainsFunc(text, isSpecial) {
		return forms
	}
	forms = appendJSON(forms, text)
	forms = appendPercent(forms, text)
	forms = appendLiterals(forms, text)
	forms = appendShell(forms, text)
	forms = appendXML(forms, text)
	return forms
}

// isSpecial reports whether any of the formats may escape r.
func isSpecial(r rune) bool {
	return r >= utf8.RuneSelf || !isAlphanumeric(byte(r)) && !strings.ContainsRune("-_.", r)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// A replacement writes one character; false leaves it as it is. An invalid byte comes as utf8.RuneError of that byte.
type replacement func(r rune, char string) (string, bool)

func replace(text string, f replacement) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if s, ok := f(r, text[:n]); ok {
			b.WriteString(s)
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

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
	{},                                // JavaScript, Python with ensure_ascii=False, Go without HTML escapes
	{also: "\x7f", invalid: "\ufffd"}, // jq
	{also: "<>&\u2028\u2029", invalid: `\ufffd`}, // Go
	{also: "\u2028\u2029", invalid: `\ufffd`},    // Go, SetEscapeHTML(false)
	{ascii: true},              // Python
	{slash: true},              // PHP with JSON_UNESCAPED_UNICODE, many in Java
	{slash: true, ascii: true}, // PHP
	{also: "\"&'+<>`\x7f", ascii: true, upper: true}, // .NET
}

// appendJSON adds a text as it stands within a JSON string, and within a JSON string that is itself in one, as where a
// log's lines are JSON.
func appendJSON(forms []string, text string) []string {
	for _, style := range jsonStyles {
		once := style.escape(text)
		forms = append(forms, once)
		if !style.slash && !style.upper {
			forms = append(forms, style.escape(once))
		}
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
		case r == utf8.RuneError && len(char) == 1:
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

// percentSafe is what different writers leave alone, beside letters and digits, when they write a URL.
var percentSafe = []string{
	"-_.~",                 // RFC 3986 unreserved: curl, Python's quote with safe='', jq 1.7
	"-_.~/",                // Python's quote
	"-_.~!'()*",            // JavaScript's encodeURIComponent, jq 1.6
	"-_.~!'()*;,/?:@&=+$#", // JavaScript's encodeURI
	"-_.~$&+,;=",           // Go's url.UserPassword
	"-_.~$&+=:@",           // Go's url.PathEscape
	"-_.~$&+,/:;=@",        // Go's url.URL.Path
	"-_.~!$&'()*+,%",       // the user and password of a URL in a browser and in node (WHATWG URL)
	"-_.*",                 // HTML forms, Java, node's URLSearchParams
}

// appendPercent adds a text percent-encoded (RFC 3986 section 2.1), with digits of either case, and as HTML forms do it,
// with + for a space.
func appendPercent(forms []string, text string) []string {
	for _, safe := range percentSafe {
		for _, escape := range []string{"%%%02X", "%%%02x"} {
			var b strings.Builder
			for i := range len(text) {
				if c := text[i]; isAlphanumeric(c) || strings.IndexByte(safe, c) >= 0 {
					b.WriteByte(c)
				} else {
					fmt.Fprintf(&b, escape, c)
				}
			}
			encoded := b.String()
			forms = append(forms, encoded)
			if strings.Contains(text, " ") {
				forms = append(forms, strings.ReplaceAll(encoded, "%20", "+"))
			}
		}
	}
	return forms
}

// appendLiterals adds a text as it stands within the quotes of a literal: Go's %q, Python's repr, ascii and repr of
// bytes, node's console.log.
func appendLiterals(forms []string, text string) []string {
	unquoted := func(q string) string { return q[1 : len(q)-1] }
	forms = append(forms, unquoted(strconv.Quote(text)), unquoted(strconv.QuoteToASCII(text)))
	for _, escapeQuote := range []bool{false, true} {
		for _, beyond := range []string{"print", "ascii", "bytes"} {
			forms = append(forms, literal(text, escapeQuote, beyond))
		}
	}
	return forms
}

// literal is the text within single quotes (or, where it has some and no double ones, within double quotes: then
// escapeQuote is false).
func literal(text string, escapeQuote bool, beyond string) string {
	return replace(text, func(r rune, char string) (string, bool) {
		switch {
		case r == '\\', r == '\'' && escapeQuote:
			return `\` + char, true
		case r == '\n':
			return `\n`, true
		case r == '\r':
			return `\r`, true
		case r == '\t':
			return `\t`, true
		case r < ' ' || r == 0x7f:
			return fmt.Sprintf(`\x%02x`, r), true
		case r < utf8.RuneSelf || beyond == "print":
			return "", false
		case beyond == "bytes":
			var b strings.Builder
			for i := range len(char) {
				fmt.Fprintf(&b, `\x%02x`, char[i])
			}
			return b.String(), true
		case r == utf8.RuneError && len(char) == 1:
			return fmt.Sprintf(`\udc%02x`, char[0]), true
		case r < 0x100:
			return fmt.Sprintf(`\x%02x`, r), true
		case r < 0x10000:
			return fmt.Sprintf(`\u%04x`, r), true
		}
		return fmt.Sprintf(`\U%08x`, r), true
	})
}

// xmlStyles are the entities that writers of XML and HTML use; a character that is not there is left as it is.
var xmlStyles = []*strings.Replacer{
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;"),                                                                          // text nodes
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;"),                                                           // PHP
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;"),                                            // jq 1.6, XML 1.0
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;"),                                             // jq 1.7
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;"),                                            // Python's html.escape
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "&#10;", "\r", "&#13;", "\t", "&#9;"),               // attributes
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;"),                                              // Go's html
	strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "\n", "&#xA;", "\r", "&#xD;", "\t", "&#x9;"), // Go's encoding/xml
}

func appendXML(forms []string, text string) []string {
	for _, style := range xmlStyles {
		forms = append(forms, style.Replace(text))
	}
	return forms
}
