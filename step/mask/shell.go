package mask

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// appendShell adds a text as shells print it when they trace commands (set -x), list variables (set, export -p,
// declare -p) or quote on request (printf %q, ${v@Q}, jq's @sh, Python's shlex.quote). The quotes around it are left out.
func appendShell(forms []string, text string) []string {
	return append(forms,
		strings.ReplaceAll(text, `'`, `'\''`),  // bash, jq
		strings.ReplaceAll(text, `'`, `'"'"'`), // Python; dash, for a quote alone
		quotesTogether(text),                   // dash
		doubleQuoted.Replace(text),             // bash: declare -p, export -p
		backslashed(text),                      // bash: printf %q
		ansiC(text, false),                     // bash, where there are characters that cannot be printed
		ansiC(text, true),                      // and where the locale has ASCII alone
	)
}

var doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")

// quotesTogether puts each run of single quotes within double ones.
func quotesTogether(text string) string {
	var b strings.Builder
	for text != "" {
		n := strings.IndexByte(text, '\'')
		if n < 0 {
			n = len(text)
		}
		b.WriteString(text[:n])
		text = text[n:]
		rest := strings.TrimLeft(text, "'")
		if run := text[:len(text)-len(rest)]; run != "" {
			b.WriteString(`'"` + run + `"'`)
		}
		text = rest
	}
	return b.String()
}

// backslashed quotes what bash's sh_backslash_quote does. At the beginning of a word bash quotes # and ~ too; there the
// form is found without that backslash.
func backslashed(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		afterMark := i > 0 && (text[i-1] == ':' || text[i-1] == '=')
		if strings.IndexByte(" \t'\"\\|&;()<>!{}*[]?^$`,", c) >= 0 || c == '~' && afterMark {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// ansiC is the inside of $'…'.
func ansiC(text string, ascii bool) string {
	octal := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, `\%03o`, s[i])
		}
		return b.String()
	}
	return replace(text, func(r rune, char string) (string, bool) {
		if i := strings.IndexRune("\a\b\x1b\f\n\r\t\v\\'", r); i >= 0 {
			return `\` + `abEfnrtv\'`[i:i+1], true
		}
		switch {
		case r < ' ' || r == 0x7f:
			return octal(char), true
		case r >= utf8.RuneSelf && (ascii || r == utf8.RuneError && len(char) == 1):
			return octal(char), true
		}
		return "", false
	})
}

// appendBackslashed adds a text with a backslash before each character, as bash -x prints what is quoted on the right of ==
// within [[ … ]], or before what means something in a regular expression, as right of =~.
func appendBackslashed(forms []string, text string) []string {
	special := func(_ rune, char string) (string, bool) { return `\` + char, strings.Contains(`\.[{*^$()+?|`, char) }
	for _, style := range []replacement{backslashEach, backslashEachByte, special} {
		forms = append(forms, replace(text, style))
	}
	return forms
}

func backslashEach(r rune, char string) (string, bool) {
	return `\` + char, r != '\x01' && r != '\x7f' // these bash has for itself
}

// backslashEachByte is the same where the locale has ASCII alone.
func backslashEachByte(r rune, char string) (string, bool) {
	if r < utf8.RuneSelf {
		return backslashEach(r, char)
	}
	var b strings.Builder
	for i := range len(char) {
		b.WriteString(`\` + char[i:i+1])
	}
	return b.String(), true
}
