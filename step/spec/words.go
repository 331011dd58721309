package spec

import (
	"strings"
	"unicode/utf8"
)

// A word is what is left of a stretch of text once its quotes are gone, and where each byte of it came from.
type word struct {
	text    string
	offsets []int // of each byte of text
	end     int   // the offset behind the word
	begin   int   // the offset of its first character, which may be a quote
}

// offset is where byte i of the word came from; for i behind the last byte, where the word ends.
func (w word) offset(i int) int {
	if i < len(w.offsets) {
		return w.offsets[i]
	}
	return w.end
}

// split cuts a text into lines of words. No line is empty; no word's text is.
func split(text string) ([][]word, error) {
	if i := firstIllegal(text); i >= 0 {
		return nil, newError(text, i, "a control character, or bytes that are not UTF-8: a parameter takes them percent-encoded, %%1B for an escape")
	}
	l := lexer{text: text}
	if fault := l.run(); fault != nil {
		return nil, newError(text, fault.offset, "%s", fault.msg)
	}
	return l.lines, nil
}

// A lexer splits a text. What it found before a fault stays in lines.
type lexer struct {
	text    string
	pos     int
	lines   [][]word
	current []word
}

// A fault is a lexer's error, before it knows its line and column.
type fault struct {
	offset int
	msg    string
}

func (l *lexer) run() *fault {
	defer l.endLine()
	l.pos = len(l.text) - len(strings.TrimPrefix(l.text, "\ufeff")) // the mark that Windows editors put first
	for l.pos < len(l.text) {
		switch rest := l.text[l.pos:]; {
		case rest[0] == '\n':
			l.endLine()
			l.pos++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			l.pos++
		case strings.HasPrefix(rest, "\\\n"):
			l.pos += len("\\\n")
		case strings.HasPrefix(rest, "\\\r\n"):
			l.pos += len("\\\r\n")
		case rest[0] == '#':
			l.pos += len(rest)
			if i := strings.IndexByte(rest, '\n'); i >= 0 {
				l.pos += i - len(rest)
			}
		default:
			if f := l.word(); f != nil {
				return f
			}
		}
	}
	return nil
}

func (l *lexer) endLine() {
	if len(l.current) > 0 {
		l.lines = append(l.lines, l.current)
		l.current = nil
	}
}

// word reads one word. Where it ends in a fault, what was read of it counts as a word for privateBytes' sake.
func (l *lexer) word() *fault {
	w := word{begin: l.pos}
	var text []byte
	take := func() {
		text = append(text, l.text[l.pos])
		w.offsets = append(w.offsets, l.pos)
		l.pos++
	}
	var f *fault
read:
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; c {
		case ' ', '\t', '\r', '\n':
			break read
		case '\\':
			if l.pos++; l.pos == len(l.text) {
				f = &fault{l.pos - 1, `nothing follows the backslash: write \\ for a backslash`}
				break read
			}
			if n := lineEnd(l.text[l.pos:]); n > 0 {
				l.pos += n
			} else {
				take()
			}
		case '\'', '"':
			open := l.pos
			for l.pos++; l.pos < len(l.text) && l.text[l.pos] != c; {
				if c == '"' && l.text[l.pos] == '\\' && l.pos+1 < len(l.text) {
					if n := lineEnd(l.text[l.pos+1:]); n > 0 {
						l.pos += 1 + n
						continue
					}
					if strings.IndexByte("$`\"\\", l.text[l.pos+1]) >= 0 {
						l.pos++
					}
				}
				take()
			}
			if l.pos == len(l.text) {
				f = &fault{open, "this quote is never closed"}
				break read
			}
			l.pos++
		default:
			take()
		}
	}
	w.text, w.end = string(text), l.pos
	if w.text != "" {
		l.current = append(l.current, w)
	} else if f == nil && w.end > w.begin {
		f = &fault{w.begin, "an empty word"}
	}
	return f
}

// lineEnd returns the length of the line end that s begins with, or 0.
func lineEnd(s string) int {
	switch {
	case strings.HasPrefix(s, "\n"):
		return 1
	case strings.HasPrefix(s, "\r\n"):
		return 2
	}
	return 0
}

// firstIllegal returns the offset of the first byte that no text may hold, or -1.
func firstIllegal(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f {
			return i
		}
	}
	return -1
}

// quote writes s so that it is read back as one word, or as the rest of one.
func quote(s string) string {
	if s != "" && strings.IndexFunc(s, needsQuote) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// needsQuote is stricter than this grammar needs, so that a printed spec means the same on a shell's command line as far
// as its words are concerned.
func needsQuote(r rune) bool {
	return r >= utf8.RuneSelf || !isLower(byte(r)) && !isUpper(byte(r)) && !isDigit(byte(r)) && !strings.ContainsRune("_-./:=@%+,?&", r)
}
