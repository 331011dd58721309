package mask

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Forms are what Add looks for, each once and in no order of note: the ways in which a tool is likely to print a value,
// those shorter than MinLength left out.
//
//   - as it is, without the spaces around it, and as a shell's echo $V prints it: with one space between words
//   - escaped for JSON, and for JSON within JSON (json.go); for a URL and XML (escape.go)
//   - in the literals of Go, Python, JavaScript, Perl and YAML, and in $'…' of shells (literal.go)
//   - quoted for a shell, with the quotes of SQL, YAML and CSV written twice, and with backslashes as in a pattern, a
//     regular expression and the traces of [[ … ]] (shell.go)
//   - in base64, wherever in the encoded text it stands and however that is wrapped (base64.go)
//   - in hexadecimal, either case, also wrapped as xxd -p does
//   - in UTF-16, little endian
//
// and of a value of several lines (a private key)
//
//   - all of these of the lines with LF between them, with CRLF, and with what the value has
//   - the lines with nothing between them
//   - each line by itself, as indenting or a log's time stamp leave it; not the armour of PEM, which is no secret and tells
//     what stood there, nor a key of a file of settings without a value as long as MinLength.
func Forms(value string) []string {
	forms := longEnough(appendForms(nil, value))
	slices.Sort(forms)
	return slices.Compact(forms)
}

func longEnough(forms []string) []string {
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < MinLength })
}

func appendForms(forms []string, value string) []string {
	text := strings.TrimSpace(value)
	forms = append(forms, value)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	if len(lines) == 1 {
		return appendWrappedBase64(appendText(forms, text), text)
	}
	forms = append(forms, strings.Join(lines, ""))
	for _, l := range lines {
		if l = strings.TrimSpace(l); isWorthMasking(l) {
			forms = appendText(forms, l)
		}
	}
	texts := []string{text, strings.Join(lines, "\n"), strings.Join(lines, "\r\n")}
	slices.Sort(texts)
	for _, text := range slices.Compact(texts) {
		forms = appendText(forms, text)
		forms = appendWrappedBase64(forms, withoutArmour(text))
	}
	return forms
}

// appendText adds the forms of a text that do not depend on where the lines end that it is printed in.
func appendText(forms []string, text string) []string {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n", r) })
	forms = append(forms, strings.Join(words, " "))
	forms = appendEscapes(forms, text)
	forms = appendBase64(forms, text)
	forms = appendHex(forms, text)
	if utf8.ValidString(text) {
		forms = append(forms, utf16LE(text))
	}
	return forms
}

// isWorthMasking reports whether a line of a value of several is masked where it stands alone.
func isWorthMasking(line string) bool {
	if isArmour(line) {
		return false
	}
	// Of a file of settings (YAML, JSON) every line is "key: value". A key alone, as in `clusters:`, or with a word such as v1, is in every such file.
	told := line
	if key := aKey.FindString(line); key != "" {
		told = line[len(key):]
	}
	// A line of one character over and over is a ruler.
	return len(told) >= MinLength && strings.Trim(told, told[:1]) != ""
}

// aKey is the key that a line begins with, and what is around it.
var aKey = regexp.MustCompile(`^[-\s]*("[\w./-]+"|'[\w./-]+'|[\w./-]+):(\s+|$)`)

// isArmour reports whether a line is the first or the last one of PEM (RFC 7468).
func isArmour(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasPrefix(line, "-----BEGIN ") || strings.HasPrefix(line, "-----END ")
}

// withoutArmour leaves the armour of PEM out: pieces of its base64 would be found in that of every certificate.
func withoutArmour(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), isArmour), "\n")
}

// hexColumns is where xxd -p ends a line.
const hexColumns = 60

func appendHex(forms []string, text string) []string {
	lower := hex.EncodeToString([]byte(text))
	forms = append(forms, lower, strings.ToUpper(lower))
	if len(lower) > hexColumns {
		forms = append(forms, wrap(lower, hexColumns, "\n"), wrap(lower, hexColumns, "\r\n"))
	}
	return forms
}

// wrap puts end after every so many columns, but not at the end.
func wrap(text string, columns int, end string) string {
	var b strings.Builder
	for len(text) > columns {
		b.WriteString(text[:columns])
		b.WriteString(end)
		text = text[columns:]
	}
	b.WriteString(text)
	return b.String()
}

func utf16LE(text string) string {
	b := make([]byte, 0, 2*len(text))
	put := func(unit rune) { b = append(b, byte(unit), byte(unit>>8)) }
	for _, r := range text {
		if high, low, ok := surrogates(r); ok {
			put(high)
			put(low)
		} else {
			put(r)
		}
	}
	return string(b)
}
