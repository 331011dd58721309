package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/step/spec/nearest"
)

// A Template is text with fields in it: "postgres://{username}:{password|url}@db/app". A field is written {name}, or
// {name|filter|filter}, filters applied from left to right (see [Filters]). A literal brace is doubled: {{ and }}. Every
// template but a preset's fixed text names at least one field. The zero Template is empty text.
type Template struct{ parts []part }

// A part is either literal text or a field.
type part struct {
	literal string
	field   string // "" for a literal
	filters []string
}

// parseTemplate returns a message and the offset it belongs to when the text is not a template.
func parseTemplate(s string) (t Template, at int, msg string) {
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t.parts = append(t.parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	fields := 0
	for i := 0; i < len(s); {
		switch rest := s[i:]; {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal.WriteByte(rest[0])
			i += 2
		case rest[0] == '}':
			return t, i, "this } closes nothing: write }} for a literal brace"
		case rest[0] == '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return t, i, "this { is never closed: write {{ for a literal brace"
			}
			flush()
			p, at, msg := parseField(rest[1:end])
			if msg != "" {
				return t, i + 1 + at, msg
			}
			t.parts = append(t.parts, p)
			fields++
			i += end + 1
		default:
			literal.WriteByte(rest[0])
			i++
		}
	}
	flush()
	if fields == 0 {
		return t, 0, "the text names no {field}: a variable with a fixed value needs no credential"
	}
	return t, 0, ""
}

// parseField reads what stands between braces.
func parseField(s string) (p part, at int, msg string) {
	names := strings.Split(s, "|")
	p.field = strings.TrimSpace(names[0])
	if !isField(p.field) {
		return p, 0, "a field's name is expected between the braces: write {field} or {field|filter}"
	}
	at = len(names[0]) + 1
	for _, name := range names[1:] {
		filter := strings.TrimSpace(name)
		if _, ok := filters[filter]; !ok {
			return p, at, unknownFilter(filter)
		}
		p.filters = append(p.filters, filter)
		at += len(name) + 1
	}
	return p, 0, ""
}

func unknownFilter(name string) string {
	return fmt.Sprintf("there is no filter %q%s; the filters are %s", name, nearest.DidYouMean(name, FilterNames()), strings.Join(FilterNames(), ", "))
}

// prefixed is the template with literal text put before it.
func (t Template) prefixed(literal string) Template {
	switch {
	case literal == "":
	case t.parts[0].field == "":
		t.parts[0].literal = literal + t.parts[0].literal
	default:
		t.parts = slices.Insert(t.parts, 0, part{literal: literal})
	}
	return t
}

// Fields are the names of the fields the template needs, each once, in order of appearance.
func (t Template) Fields() []string {
	var names []string
	for _, p := range t.parts {
		if p.field != "" && !slices.Contains(names, p.field) {
			names = append(names, p.field)
		}
	}
	return names
}

// Fixed returns the text of a template that is nothing else.
func (t Template) Fixed() (text string, fixed bool) {
	if len(t.parts) != 1 || t.parts[0].field != "" {
		return "", false
	}
	return t.parts[0].literal, true
}

// Execute puts the fields in, and tells filled, if set, of each as its filters left it. An error names a field that lookup does not have, or one whose value a filter
// cannot carry; it never holds a value.
func (t Template) Execute(lookup func(field string) (value string, ok bool), filled func(field, text string)) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.field == "" {
			b.WriteString(p.literal)
			continue
		}
		value, ok := lookup(p.field)
		if !ok {
			return "", fmt.Errorf("there is no field %q", p.field)
		}
		for _, name := range p.filters {
			var err error
			if value, err = filters[name].apply(value); err != nil {
				return "", fmt.Errorf("field %q, filter %s: %w", p.field, name, err)
			}
		}
		if filled != nil {
			filled(p.field, value)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// String is the template's text, with braces around every field.
func (t Template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.field == "" {
			b.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.literal))
			continue
		}
		b.WriteString("{" + strings.Join(append([]string{p.field}, p.filters...), "|") + "}")
	}
	return b.String()
}

// bindingText is String, but a field alone goes without braces where it can.
func (t Template) bindingText() string {
	if len(t.parts) == 1 && len(t.parts[0].filters) == 0 && isBareField(t.parts[0].field) {
		return t.parts[0].field
	}
	return t.String()
}

// FixedTemplate is the template that is text alone.
func FixedTemplate(text string) Template { return Template{parts: []part{{literal: text}}} }

// FieldTemplate is the template that holds one field as it is, whatever the field's name.
func FieldTemplate(name string) Template { return Template{parts: []part{{field: name}}} }
