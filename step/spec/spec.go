// Package spec is the one-line grammar that says what to issue and how the command receives it:
//
//	SOURCE[?param=value&…]  [as=PRESET]  [NAME=field | NAME='text {field|filter} text' | NAME=@field | NAME=@'{…}']…
//
//	vault:database/creds/readonly as=postgres
//	vault:pki/issue/web?common_name=ci.example.com TLS_CERT=@certificate TLS_KEY=@private_key
//	vault:database/creds/app DATABASE_URL='postgres://{username}:{password|url}@db/app'
//
// # What the package promises
//
//   - Parse(s.String()) equals s for every Spec that Parse returned. No text makes it panic.
//   - It judges syntax alone. Whether a provider, a parameter, a preset or a field exists is for others to say.
//   - An error points at a line and a column, and shows neither a parameter's value (it may be private) nor a word it
//     could not make sense of (it may be the rest of one).
//
// # Words
//
// A text is split into words as a POSIX shell does, and nothing is expanded: '…' is literal, in "…" a backslash guards
// $ ` " \ and a line end, elsewhere it guards any character; a backslash before a line end joins two lines; # at the
// start of a word begins a comment. $ * ~ & | ; and the like are ordinary characters. An unquoted line end ends a
// spec, so a text holds one spec a line. A comma never splits anything.
//
// # The source
//
// PROVIDER is a lower-case name; PATH, one word, is taken as it stands up to the first question mark. Parameters are
// percent-decoded as RFC 3986 has it: + stays a plus, for a query is not a form. A literal & or % in a value is written
// %26 or %25. The = is required, an empty value is allowed, a parameter may be given more than once.
//
// # The bindings
//
// NAME matches [A-Za-z_][A-Za-z0-9_]*. A right side without braces is the name of a field; with braces it is a
// [Template]. A leading @ puts the value in a private file and the variable holds its path; a text that itself begins
// with @ doubles it. The name "as" is taken.
package spec

import (
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// A Spec is one line of the grammar, parsed.
type Spec struct {
	Request  providers.Request
	Preset   string // the name after as=, or ""
	Bindings []Binding
}

// A Binding is one variable and what it holds.
type Binding struct {
	Name     string
	File     bool // the value goes into a private file, and the variable holds its path
	Template Template
	Optional bool // presets only: skipped when the credential lacks one of its fields
}

// Parse reads exactly one spec. A comment after it, or lines of comments around it, are allowed. The error is an *Error.
func Parse(line string) (Spec, error) {
	all, second, err := parse(line)
	if err != nil {
		return Spec{}, err
	}
	switch len(all) {
	case 0:
		return Spec{}, newError(line, 0, "there is no spec here: write PROVIDER:PATH, for example vault:database/creds/readonly")
	case 1:
		return all[0], nil
	}
	return Spec{}, newError(line, second, "a second spec begins here, where only one is expected")
}

// ParseAll reads any number of specs, one a line. The error is an *Error and is the first one found.
func ParseAll(text string) ([]Spec, error) {
	all, _, err := parse(text)
	return all, err
}

// parse also returns the offset at which the second spec begins.
func parse(text string) (all []Spec, second int, err error) {
	lines, err := split(text)
	if err != nil {
		return nil, 0, err
	}
	for i, words := range lines {
		s, err := parseWords(text, words)
		if err != nil {
			return nil, 0, err
		}
		if i == 1 {
			second = words[0].begin
		}
		all = append(all, s)
	}
	return all, second, nil
}

// parseWords makes a spec of the words of one line.
func parseWords(text string, words []word) (Spec, error) {
	request, err := parseSource(text, words[0])
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Request: request}
	for _, w := range words[1:] {
		if name, ok := strings.CutPrefix(w.text, "as="); ok {
			switch {
			case s.Preset != "":
				return Spec{}, newError(text, w.begin, "a second as=: a spec takes one preset; bind what else is needed with NAME=field")
			case !IsPresetName(name):
				return Spec{}, newError(text, w.offset(len("as=")), "a preset's name is lower-case letters, digits, - and _, for example as=postgres")
			}
			s.Preset = name
			continue
		}
		b, err := parseBinding(text, w)
		if err != nil {
			return Spec{}, err
		}
		s.Bindings = append(s.Bindings, b)
	}
	return s, nil
}

// String is the spec in its canonical form, which Parse reads back to the same Spec. It holds the parameters' values,
// which may be private: messages name Request.Source() instead.
func (s Spec) String() string {
	words := []string{quote(formatSource(s.Request))}
	if s.Preset != "" {
		words = append(words, "as="+s.Preset)
	}
	for _, b := range s.Bindings {
		words = append(words, b.String())
	}
	return strings.Join(words, " ")
}

// IsPresetName reports whether name is [a-z0-9][a-z0-9_-]*.
func IsPresetName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case isLower(c), isDigit(c):
		case i > 0 && (c == '-' || c == '_'):
		default:
			return false
		}
	}
	return name != ""
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
