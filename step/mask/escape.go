package mask

import (
	"fmt"
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
	b.Grow(len(text) + len(text)/4)
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
	"-_.",                  // PHP's urlencode
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

// xmlStyles are the entities that writers of XML and HTML use; a character that is not there is left as it is.
var xmlStyles = []*strings.Replacer{
	xmlStyle(), // text nodes
	xmlStyle(`"`, "&quot;"),
	xmlStyle(`"`, "&quot;", "'", "&apos;"),                                            // jq 1.6, XML 1.0
	xmlStyle(`"`, "&quot;", "'", "&#39;"),                                             // jq 1.7
	xmlStyle(`"`, "&quot;", "'", "&#039;"),                                            // PHP
	xmlStyle(`"`, "&quot;", "'", "&#x27;"),                                            // Python's html.escape
	xmlStyle(`"`, "&quot;", "\n", "&#10;", "\r", "&#13;", "\t", "&#9;"),               // attributes
	xmlStyle(`"`, "&quot;", "\n", "&#10;", "\r", "&#13;", "\t", "&#09;"),              // Python's ElementTree
	xmlStyle(`"`, "&#34;", "'", "&#39;"),                                              // Go's html
	xmlStyle(`"`, "&#34;", "'", "&#39;", "\n", "&#xA;", "\r", "&#xD;", "\t", "&#x9;"), // Go's encoding/xml
}

func xmlStyle(more ...string) *strings.Replacer {
	return strings.NewReplacer(append([]string{"&", "&amp;", "<", "&lt;", ">", "&gt;"}, more...)...)
}

// appendXML adds a text in each style, with what is not ASCII as it is or as a number: decimal as Python's ElementTree has it,
// or hexadecimal as libxml2.
func appendXML(forms []string, text string) []string {
	for _, style := range xmlStyles {
		escaped := style.Replace(text)
		forms = append(forms, escaped)
		for _, format := range []string{"&#%d;", "&#x%X;"} {
			forms = append(forms, replace(escaped, func(r rune, char string) (string, bool) {
				if r < utf8.RuneSelf || isInvalid(r, char) {
					return "", false
				}
				return fmt.Sprintf(format, r), true
			}))
		}
	}
	return forms
}
