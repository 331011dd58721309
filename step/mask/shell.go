package mask

import (
	"strings"
	"unicode/utf8"
)

// appendShell adds a text as shells print it when they trace commands (set -x), list variables (set, export -p,
// declare -p) or quote on request (printf %q, ${v@Q}, jq's @sh, Python's shlex.quote), and as programs quote what a shell
// shall read. The quotes around it are left out; $'…' is among the literals.
func appendShell(forms []string, text string) []string {
	within := []string{
		strings.ReplaceAll(text, `'`, `'\''`),  // bash, jq, PHP
		strings.ReplaceAll(text, `'`, `'"'"'`), // Python
		quotesTogether(text, `'"`, `'`, `"'`),  // dash
		quotesTogether(text, `'`, `\'`, `'`),   // zsh, mksh
		gitQuoted.Replace(text),
		unprintableApart(text, isInvalid),
		unprintableApart(text, notASCII),
	}
	for _, quoted := range within {
		// Some leave out quotes with nothing between them, as beside a quote that the text begins or ends with.
		if strings.HasPrefix(text, `'`) {
			quoted = strings.TrimPrefix(quoted, `'`)
		}
		if strings.HasSuffix(text, `'`) {
			quoted = strings.TrimSuffix(quoted, `'`)
		}
		forms = append(forms, quoted)
	}
	forms = append(forms, doubleQuoted.Replace(text))
	for _, c := range doubled {
		forms = append(forms, strings.ReplaceAll(text, c, c+c))
	}
	return forms
}

var (
	gitQuoted    = strings.NewReplacer(`'`, `'\''`, `!`, `'\!'`)
	doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`") // bash: declare -p, export -p
)

// doubled are what SQL and YAML write twice, CSV, make and docker compose config, and Python's configparser and cron.
var doubled = []string{`'`, `"`, `$`, `%`}

// quotesTogether writes each run of single quotes at once: its quotes within those of open and shut.
func quotesTogether(text, open, quote, shut string) string {
	var b strings.Builder
	for text != "" {
		n := strings.IndexByte(text, '\'')
		if n < 0 {
			n = len(text)
		}
		b.WriteString(text[:n])
		text = text[n:]
		rest := strings.TrimLeft(text, "'")
		if run := len(text) - len(rest); run > 0 {
			b.WriteString(open + strings.Repeat(quote, run) + shut)
		}
		text = rest
	}
	return b.String()
}

// unprintableApart ends the single quotes for what cannot be printed and puts that in $'…', as ls and the other coreutils do.
func unprintableApart(text string, also func(r rune, char string) bool) string {
	unprintable := func(r rune, char string) bool { return isControl(r, char) || also(r, char) }
	escape := oneOf(named("\aa\bb\ff\nn\rr\tt\vv"), bytesOf(unprintable, `\%03o`))
	var b strings.Builder
	within := false // $'…'
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		char := text[:n]
		escaped, apart := escape(r, char)
		switch {
		case apart && !within:
			b.WriteString(`'$'`)
		case within && !apart && char != `'`:
			b.WriteString(`''`)
		}
		switch within = apart; {
		case apart:
			b.WriteString(escaped)
		case char == `'`:
			b.WriteString(`'\''`)
		default:
			b.WriteString(char)
		}
		text = text[n:]
	}
	return b.String()
}

// appendBackslashed adds a text with a backslash before each of the characters that would mean something to a shell, in a
// pattern or in a regular expression; or before all.
func appendBackslashed(forms []string, text string) []string {
	for _, style := range backslashedStyles {
		forms = append(forms, replace(text, style))
	}
	return append(forms, backslashed(text))
}

var backslashedStyles = []replacement{
	backslashEach,                            // bash -x: [[ x == "$V" ]]
	backslashEachByte,                        // and where the locale has ASCII alone
	backslashNotWord,                         // Perl: quotemeta
	before(`\.[{*^$()+?|`),                   // bash -x: [[ x =~ "$V" ]]
	before(` \*?[]()|<>#~^$`),                // zsh -x: [[ x == "$V" ]]
	before(" \\*?[]()|<>#^$'\"`;&{}"),        // zsh: ${(q)V}
	before(` \*?[]()|<>#~$'";&{}%`),          // fish
	before(" \\.[]{}*^$()+?|&#~-\t\n\v\f\r"), // Python: re.escape
}

func backslashEach(r rune, char string) (string, bool) {
	return `\` + char, r != '\x01' && r != '\x7f' // these bash has for itself
}

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

func backslashNotWord(r rune, char string) (string, bool) {
	if char == "_" || isAlphanumeric(char[0]) {
		return "", false
	}
	if r < utf8.RuneSelf {
		return `\` + char, true
	}
	return backslashEachByte(r, char)
}

// backslashed quotes what bash's sh_backslash_quote does, for printf %q. At the beginning of a word bash quotes # and ~ too;
// there the form is found without that backslash.
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
