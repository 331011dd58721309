package mask

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendLiterals adds a text as it stands within the quotes of a literal of a language or a shell.
func appendLiterals(forms []string, text string) []string {
	unquoted := func(q string) string { return q[1 : len(q)-1] }
	forms = append(forms, unquoted(strconv.Quote(text)), unquoted(strconv.QuoteToASCII(text))) // Go
	for _, style := range literalStyles {
		forms = append(forms, replace(text, oneOf(style...)))
	}
	return forms
}

// Where a style's writer chooses the quotes by what stands within, one with escaped quotes and one without are there.
var literalStyles = [][]replacement{
	// Python: repr, ascii, repr of bytes
	{before(`\`), named("\nn\rr\tt"), hexControl(`\x%02x`)},
	{before(`\'`), named("\nn\rr\tt"), hexControl(`\x%02x`)},
	{before(`\`), named("\nn\rr\tt"), hexControl(`\x%02x`), pythonASCII},
	{before(`\'`), named("\nn\rr\tt"), hexControl(`\x%02x`), pythonASCII},
	{before(`\`), named("\nn\rr\tt"), hexControl(`\x%02x`), bytesOf(notASCII, `\x%02x`)},
	{before(`\'`), named("\nn\rr\tt"), hexControl(`\x%02x`), bytesOf(notASCII, `\x%02x`)},
	// YAML between double quotes, as Python writes it
	{before(`\"`), named(yamlNames), hexControl(`\x%02X`)},
	{before(`\"`), named(yamlNames), hexControl(`\x%02X`), yamlASCII},
	// node's console.log
	{before(`\`), named("\bb\ff\nn\rr\tt"), hexControl(`\x%02X`)},
	{before(`\'`), named("\bb\ff\nn\rr\tt"), hexControl(`\x%02X`)},
	// Perl: Data::Dumper, without and with Useqq; the first is PHP's var_export and MySQL's QUOTE, too
	{before(`\'`)},
	{before(`\"$@`), named("\aa\bb\x1be\ff\nn\rr\tt"), bytesOf(isControl, `\%03o`), bytesOf(notASCII, `\%03o`)},
	// $'…' of bash, and where the locale has ASCII alone
	{before(`\'`), named(bashNames), bytesOf(isControl, `\%03o`), bytesOf(isInvalid, `\%03o`)},
	{before(`\'`), named(bashNames), bytesOf(isControl, `\%03o`), bytesOf(notASCII, `\%03o`)},
	// of zsh
	{before(`\'`), named("\nn\tt"), visible(isControl), visible(isInvalid)},
	{before(`\'`), named("\nn\tt"), visible(isControl), visible(notASCII)},
	// of mksh, which knows the basic plane
	{before(`\`), named(bashNames), bytesOf(func(r rune, _ string) bool { return r == '\'' }, `\%03o`), bytesOf(isControl, `\%03o`),
		bytesOf(func(r rune, char string) bool { return r >= 0x10000 || isInvalid(r, char) }, `\%03o`)},
}

const (
	bashNames = "\aa\bb\x1bE\ff\nn\rr\tt\vv"
	yamlNames = "\x000\aa\bb\tt\nn\vv\ff\rr\x1be"
)

// oneOf is the first of some that has a replacement.
func oneOf(some ...replacement) replacement {
	return func(r rune, char string) (string, bool) {
		for _, f := range some {
			if s, ok := f(r, char); ok {
				return s, true
			}
		}
		return "", false
	}
}

// before puts a backslash before each of some characters.
func before(marks string) replacement {
	return func(_ rune, char string) (string, bool) {
		if !strings.Contains(marks, char) {
			return "", false
		}
		return `\` + char, true
	}
}

// named writes a character as a backslash and a letter: pairs are each character and its letter.
func named(pairs string) replacement {
	return func(_ rune, char string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i:i+1] == char {
				return `\` + pairs[i+1:i+2], true
			}
		}
		return "", false
	}
}

func isControl(r rune, _ string) bool      { return r < ' ' || r == 0x7f }
func notASCII(r rune, _ string) bool       { return r >= utf8.RuneSelf }
func isInvalid(r rune, char string) bool   { return r == utf8.RuneError && len(char) == 1 }
func hexControl(format string) replacement { return bytesOf(isControl, format) }

// bytesOf writes each byte of a character.
func bytesOf(which func(r rune, char string) bool, format string) replacement {
	return func(r rune, char string) (string, bool) {
		if !which(r, char) {
			return "", false
		}
		var b strings.Builder
		for i := range len(char) {
			fmt.Fprintf(&b, format, char[i])
		}
		return b.String(), true
	}
}

// visible writes each byte of a character as zsh does: \C- for control, \M- for the eighth bit.
func visible(which func(r rune, char string) bool) replacement {
	return func(r rune, char string) (string, bool) {
		if !which(r, char) {
			return "", false
		}
		var b strings.Builder
		for i := range len(char) {
			c := char[i]
			if c >= utf8.RuneSelf {
				b.WriteString(`\M-`)
				c &= 0x7f
			}
			if c < ' ' || c == 0x7f {
				b.WriteString(`\C-`)
				c ^= 0x40
			}
			b.WriteByte(c)
		}
		return b.String(), true
	}
}

func pythonASCII(r rune, char string) (string, bool) {
	switch {
	case r < utf8.RuneSelf:
		return "", false
	case isInvalid(r, char):
		return fmt.Sprintf(`\udc%02x`, char[0]), true // surrogateescape, PEP 383
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r), true
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r), true
	}
	return fmt.Sprintf(`\U%08x`, r), true
}

func yamlASCII(r rune, _ string) (string, bool) {
	switch {
	case r < utf8.RuneSelf:
		return "", false
	case r < 0x100:
		return fmt.Sprintf(`\x%02X`, r), true
	case r < 0x10000:
		return fmt.Sprintf(`\u%04X`, r), true
	}
	return fmt.Sprintf(`\U%08X`, r), true
}
