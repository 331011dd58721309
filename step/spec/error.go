package spec

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// An Error says what is wrong with a text and where.
type Error struct {
	Line   int // 1-based
	Column int // 1-based, in characters
	Msg    string

	shown string // the line, with what may be private left out
	caret int    // how many characters of shown come before the place
}

// Error names the place and the fault, and nothing of the text beyond names.
func (e *Error) Error() string {
	if e.Line == 1 {
		return fmt.Sprintf("spec, column %d: %s", e.Column, e.Msg)
	}
	return fmt.Sprintf("spec, line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// Caret is the line at fault with a caret under the place, for a person at a terminal: two lines, without a final line
// end. A parameter's value, and a word that is no binding, are shown as "…".
func (e *Error) Caret() string {
	return e.shown + "\n" + strings.Repeat(" ", e.caret) + "^"
}

// newError points at a byte offset of text.
func newError(text string, offset int, format string, args ...any) *Error {
	lineStart := strings.LastIndexByte(text[:offset], '\n') + 1
	lineEnd := len(text)
	if i := strings.IndexByte(text[offset:], '\n'); i >= 0 {
		lineEnd = offset + i
	}
	shown, caret := redact(text, lineStart, lineEnd, offset)
	return &Error{
		Line:   strings.Count(text[:lineStart], "\n") + 1,
		Column: utf8.RuneCountInString(text[lineStart:offset]) + 1,
		Msg:    fmt.Sprintf(format, args...),
		shown:  shown,
		caret:  caret,
	}
}

// redact returns text[from:to] with every private stretch replaced by one "…", and how many characters of that come
// before offset. A tab becomes a space and a control character a "?", so that the caret stands where it should and
// nothing steers the terminal.
func redact(text string, from, to, offset int) (shown string, caret int) {
	private := privateBytes(text)
	var b strings.Builder
	width, inPrivate := 0, false
	for i := from; i < to; {
		r, size := utf8.DecodeRuneInString(text[i:])
		begins := !private[i] || !inPrivate
		if i <= offset {
			caret = width
			if !begins {
				caret-- // under the "…" itself
			}
		}
		if begins {
			width++
		}
		switch {
		case !begins:
		case private[i]:
			b.WriteRune('…')
		case r == '\t':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
		inPrivate = private[i]
		i += size
	}
	if offset >= to {
		caret = width
	}
	return b.String(), caret
}

// privateBytes marks the bytes of text that no message may show: the values of parameters, and every word that is neither
// PROVIDER:… nor NAME=…, for it may be the rest of a value that was not quoted. What could not be split into words is read
// as far as it goes.
func privateBytes(text string) []bool {
	private := make([]bool, len(text))
	mark := func(from, to int) {
		for i := from; i < to; i++ {
			private[i] = true
		}
	}
	l := lexer{text: text}
	err := l.run()
	for _, words := range l.lines {
		for i, w := range words {
			name, _, found := strings.Cut(w.text, "=")
			binds := found && IsName(name)
			if source := i == 0 && strings.Contains(w.text, ":"); !binds && !source {
				mark(w.begin, w.end)
			}
		}
		source := words[0]
		path, query, _ := strings.Cut(source.text, "?")
		at := len(path) + 1
		for _, pair := range strings.Split(query, "&") {
			key, _, found := strings.Cut(pair, "=")
			private := at + len(key) + 1
			if !found {
				private = at // the second half of a value with a bare & in it, perhaps
			}
			for i := private; i < at+len(pair); i++ {
				mark(source.offset(i), source.offset(i+1))
			}
			at += len(pair) + 1
		}
	}
	if err != nil {
		// The stretch from the fault on was never made into a word: it may be any part of one.
		mark(min(err.offset, len(text)), len(text))
	}
	return private
}
