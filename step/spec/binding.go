package spec

import (
	"strings"
	"unicode"
)

// IsName reports whether name can be an environment variable's: [A-Za-z_][A-Za-z0-9_]* (POSIX.1-2017, XBD 8.1 and 3.235,
// with lower case allowed since curl's http_proxy and npm's variables need it).
func IsName(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && !isLower(c) && !isUpper(c) && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return name != ""
}

// ParsePreset reads the bindings of a preset: the grammar of a spec's bindings, over as many lines as one likes, where a
// right side that ends in ? is optional, and one that begins with = is fixed text (NAME==text), for the variables without
// which a client does not look at the others. The text of a preset's template can therefore not end in a question mark of
// its own. The error is an *Error.
func ParsePreset(text string) ([]Binding, error) {
	lines, err := split(text)
	if err != nil {
		return nil, err
	}
	var all []Binding
	for _, words := range lines {
		for _, w := range words {
			body, optional := strings.CutSuffix(w.text, "?")
			// Only the text is cut: the offsets behind it are never asked for.
			w := word{text: body, offsets: w.offsets, begin: w.begin, end: w.end}
			b, fixed := parseFixed(w)
			var err error
			if !fixed {
				b, err = parseBinding(text, w)
			}
			if err != nil {
				return nil, err
			}
			b.Optional = optional
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		return nil, newError(text, 0, "a preset binds at least one variable: write NAME=field")
	}
	return all, nil
}

// parseFixed reads NAME==text.
func parseFixed(w word) (Binding, bool) {
	name, literal, found := strings.Cut(w.text, "==")
	return Binding{Name: name, Template: FixedTemplate(literal)}, found && IsName(name)
}

// parseBinding reads NAME=field, NAME='text {field|filter}' and both with @.
func parseBinding(text string, w word) (Binding, error) {
	name, value, found := strings.Cut(w.text, "=")
	if !found {
		// The word is not repeated: it may be the rest of a value with a space in it.
		return Binding{}, newError(text, w.begin, "expected NAME=field or as=PRESET (a source or a text with spaces is quoted as in a shell)")
	}
	if !IsName(name) {
		return Binding{}, newError(text, w.begin, "a variable's name is letters, digits and _, and does not begin with a digit")
	}
	bad := func(i int, format string, args ...any) (Binding, error) {
		return Binding{}, newError(text, w.offset(len(name)+1+i), name+": "+format, args...)
	}
	rest := strings.TrimLeft(value, "@")
	signs := len(value) - len(rest)
	b := Binding{Name: name, File: signs%2 == 1}
	literal := strings.Repeat("@", signs/2)
	switch {
	case rest == "":
		return bad(signs, "nothing is bound: write %s=field or %s='text {field}'", name, name)
	case !strings.ContainsAny(rest, "{}") && literal == "":
		switch {
		case strings.Contains(rest, "|"):
			return bad(strings.IndexByte(rest, '|')+signs, "a filter needs braces: write %s='{field|filter}'", name)
		case strings.HasSuffix(rest, "?"):
			return bad(signs+len(rest)-1, "only a preset's binding can be optional; write '{field?}' for a field of that very name")
		case !isBareField(rest):
			return bad(signs, "a right side without braces is a field's name: write '{field}' for one with spaces, 'text {field}' for text")
		}
		b.Template = Template{parts: []part{{field: rest}}}
		return b, nil
	}
	t, i, msg := parseTemplate(rest)
	if msg != "" {
		return bad(signs+i, "%s", msg)
	}
	b.Template = t.prefixed(literal)
	return b, nil
}

// String is the binding as the grammar has it, with the ? of an optional one and the == of a fixed one, which only
// ParsePreset reads back.
func (b Binding) String() string {
	if literal, fixed := b.Template.Fixed(); fixed {
		body := "=" + literal
		if b.Optional {
			body += "?"
		}
		return b.Name + "=" + quote(body)
	}
	body := b.Template.bindingText()
	body = strings.Repeat("@", len(body)-len(strings.TrimLeft(body, "@"))) + body
	if b.File {
		body = "@" + body
	}
	if b.Optional {
		body += "?"
	}
	return b.Name + "=" + quote(body)
}

// isBareField reports whether a field's name can be written without braces.
func isBareField(name string) bool {
	return isField(name) && name[0] != '@' && name[0] != '=' && !strings.HasSuffix(name, "?") && !strings.ContainsFunc(name, unicode.IsSpace)
}

// isField reports whether a field can be named at all: providers join what they will by dots, and an engine's keys are its
// own, so all that is refused is what the grammar of a template needs and what would garble a message.
func isField(name string) bool {
	return name != "" && strings.TrimSpace(name) == name && !strings.ContainsAny(name, "{}|") && !strings.ContainsFunc(name, unicode.IsControl)
}
