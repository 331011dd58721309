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
//   - the lines with LF, CRLF or nothing between them
//   - each line by itself, in text and base64, as indenting or a log's time stamp leave it; not the armour of PEM,
//     which is no secret and tells what stood there, nor a key of a file of settings without a value as long as MinLength.
func Forms(value string) []string {
	forms := longEnough(appendForms(nil, value))
	slices.Sort(forms)
	return slices.Compact(forms)
}

func longEnough(forms []string) []string {
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < MinLength })
}

func appendForms(forms []string, value string) []string {
	lines := strings.Split(strings.TrimSpace(value), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	text := strings.Join(lines, "\n")
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n", r) })
	forms = append(forms, value, strings.Join(words, " "))
	forms = appendEscapes(forms, text)
	forms = appendBase64(forms, text)
	forms = appendHex(forms, text)
	if utf8.ValidString(text) {
		forms = append(forms, utf16LE(text))
	}
	if len(lines) > 1 {
		forms = appendLines(forms, lines)
		// Pieces of the armour's base64 would be found in that of every certificate.
		text = strings.Join(slices.DeleteFunc(lines, isArmour), "\n")
	}
	return appendWrappedBase64(forms, text)
}

func appendLines(forms, lines []string) []string {
	forms = append(forms, strings.Join(lines, ""))
	forms = appendEscapes(forms, strings.Join(lines, "\r\n"))
	for _, l := range lines {
		if l = strings.TrimSpace(l); isWorthMasking(l) {
			forms = appendEscapes(forms, l)
			forms = appendBase64(forms, l)
		}
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
