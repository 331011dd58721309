// Package bind turns specs and credentials into what the command receives: environment variables and private files.
//
// # What the package promises
//
//   - Check refuses before anything is issued all that can be known by then. What only the credential's fields can tell,
//     Bind and Together refuse afterwards. Both judge by the same rules (see refuse.go), whoever chose the name: a hostile
//     server that names a field cannot make a variable that loads code.
//   - An error names variables and fields, never a value. A Value prints as its name.
//   - A private file has mode 0600 in a directory of mode 0700, both ours, whatever the umask; nothing is ever written
//     through a link or into a file that was there before; what could not be written whole is not there at all, and leaves what was to be replaced with it.
//   - Environ and EnvFile carry every value byte for byte, or refuse it.
package bind

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/serve"
	"github.com/with-creds/with-creds/step/spec"
	"github.com/with-creds/with-creds/step/spec/nearest"
)

// Options are what a person may set about bindings.
type Options struct {
	Presets  map[string]string // presets of one's own, by name, in the grammar of spec.ParsePreset; one named like a built-in takes its place
	AllowEnv []string          // names that a written binding may use although they change how programs load code
	// Parent is the environment that the command's is made of, for what is added to a list in it; nil: there is none.
	Parent func(name string) (string, bool)
	// Fields names the fields that the credential for a request will have, and those that it may have; none where that is known only once it is
	// issued. Nil: of no request it is known.
	Fields func(providers.Request) (always, sometimes []string)
}

// A Value is one variable of the command, made from a credential.
type Value struct {
	Name   string
	Value  string // of the variable, or the content of the file
	File   bool   // Value goes into a private file and the variable holds its path
	Path   string // what the variable holds of that file, once Dir.Place has set it
	Ending string // of the file's name; see Preset.Files
	Secret bool   // a secret field is in it
	Lasts  bool   // it stays good when the credential is replaced: a fixed text, or where the credential is served
	// Secrets are the secret fields in it, each as it stands there: as its filters left it.
	Secrets []string
}

// String keeps the value out of logs.
func (v Value) String() string {
	if v.File {
		return v.Name + "=@"
	}
	return v.Name
}

// GoString is String, so that %#v prints no value either.
func (v Value) GoString() string { return v.String() }

// Variable is what the variable holds: the value, or the file's path. For a file that has no place yet it is empty: the
// content of a file never gets into an environment.
func (v Value) Variable() string {
	if v.File {
		return v.Path
	}
	return v.Value
}

// maxVariable is the longest NAME=value that Linux lets a program be started with: MAX_ARG_STRLEN, 32 pages of 4 KiB, less
// the final NUL (execve(2)).
const maxVariable = 128<<10 - 1

// Bind makes the values that a spec asks of the credential issued for it, in the order of the preset and then of the spec. Where a preset
// has several optional bindings of one name, the first that the credential has the fields for is bound.
// With neither, every field is bound to its default name. Safe for concurrent use.
func Bind(s spec.Spec, c providers.Credential, o Options) ([]Value, error) {
	bindings, err := o.resolve(s)
	if err != nil {
		return nil, err
	}
	if isDefault(s) {
		if bindings, err = defaults(s, c); err != nil {
			return nil, err
		}
	}
	if c, err = serve.Made(fieldsOf(bindings), c); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
	}
	located := serve.Located(c)
	var values []Value
	var errs []error
	byPreset := map[string]bool{}
	for _, b := range bindings {
		if err := o.refuse(b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Request.Source(), err))
			continue
		}
		if b.preset && b.Optional && byPreset[fold(b.Name)] {
			continue // an alternative to one that the credential had the fields for
		}
		c := c
		if b.origin == fromBuiltIn {
			c = located // a person is given host and port as they were written
		}
		missing, secret, lasts := "", false, true
		for _, name := range b.Template.Fields() {
			f, ok := c.Field(name)
			if !ok && missing == "" {
				missing = name
			}
			secret = secret || f.Secret
			lasts = lasts && serve.Lasts(name)
		}
		if missing != "" {
			if !b.Optional {
				errs = append(errs, fmt.Errorf("%s: binding %s: there is no field %s%s; %s", s.Request.Source(), b.Name,
					plain(missing), nearest.DidYouMean(missing, c.FieldNames()), fieldList(c)))
			}
			continue
		}
		var secrets []string
		text, err := b.Template.Execute(func(name string) (string, bool) {
			f, ok := c.Field(name)
			return f.Value, ok
		}, func(name, text string) {
			if f, _ := c.Field(name); f.Secret && text != "" {
				secrets = append(secrets, text)
			}
		})
		if err == nil && !b.File {
			err = carried(b.Name, text)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: binding %s: %w", s.Request.Source(), b.Name, err))
			continue
		}
		values = append(values, Value{Name: b.Name, Value: text, File: b.File, Ending: b.ending, Secret: secret, Secrets: secrets, Lasts: lasts})
		byPreset[fold(b.Name)] = b.preset
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%s: nothing is bound: the credential lacks every field that the preset could bind; %s", s.Request.Source(), fieldList(c))
	}
	return values, Together(values)
}

// carried refuses a value that no environment can carry.
func carried(name, text string) error {
	switch {
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("the value holds a NUL, which an environment variable cannot; bind it as a file (%s=@field) or as {field|base64}", name)
	case len(name)+1+len(text) > maxVariable:
		return fmt.Errorf("the value is longer than a program can be started with (%d bytes); bind it as a file (%s=@field)", maxVariable, name)
	}
	return nil
}

// Together refuses a name that is bound twice among the values of all specs. What Check could know it has refused; this is
// for default names and for the optional ones of presets.
func Together(all ...[]Value) error {
	seen := map[string]bool{}
	var errs []error
	for _, values := range all {
		for _, v := range values {
			if seen[fold(v.Name)] {
				errs = append(errs, fmt.Errorf("%s is bound twice; give one of the two another name (NAME=field)", v.Name))
			}
			seen[fold(v.Name)] = true
		}
	}
	return errors.Join(errs...)
}

// isDefault reports whether a spec says nothing about names.
func isDefault(s spec.Spec) bool { return s.Preset == "" && len(s.Bindings) == 0 }

// defaults binds every field to <LAST PATH ELEMENT>_<FIELD>.
func defaults(s spec.Spec, c providers.Credential) ([]binding, error) {
	if len(c.Fields) == 0 {
		return nil, fmt.Errorf("%s: the credential has no fields to bind", s.Request.Source())
	}
	from := map[string]string{}
	var all []binding
	for _, f := range c.Fields {
		b := defaultOf(s, f.Name)
		if other, taken := from[b.Name]; taken {
			return nil, fmt.Errorf("%s: the fields %s and %s would both be named %s; bind them by name (NAME=field)", s.Request.Source(), plain(other), plain(f.Name), b.Name)
		}
		from[b.Name] = f.Name
		all = append(all, b)
	}
	return all, nil
}

// defaultOf binds a field to its default name.
func defaultOf(s spec.Spec, field string) binding {
	return binding{Binding: spec.Binding{Name: DefaultPrefix(s.Request) + sanitise(field), Template: spec.FieldTemplate(field)}, origin: fromDefault}
}

// DefaultPrefix is what the names of a spec without bindings begin with: the last element of the path (of a command: of
// its first word), upper case, with _ for everything that a name cannot have, and a final _.
func DefaultPrefix(r providers.Request) string {
	last := r.Path
	if words := strings.Fields(r.Path); len(words) > 0 {
		last = path.Base(words[0])
	}
	name := sanitise(last)
	if strings.Trim(name, "_") == "" {
		name = sanitise(r.Provider)
	}
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name + "_"
}

// sanitise makes upper-case letters, digits and _ of any text: one _ for each character that is none of them.
func sanitise(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, s)
}

// fold makes names comparable: on Windows their case does not count.
func fold(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

// fieldList says which fields a credential has, for a message. A server chose the names, so they are bounded and plain.
func fieldList(c providers.Credential) string {
	const most = 20
	var names []string
	for _, name := range c.FieldNames() {
		names = append(names, plain(name))
	}
	switch more := len(names) - most; {
	case len(names) == 0:
		return "the credential has none"
	case more > 0:
		return fmt.Sprintf("the credential has %s and %d more", strings.Join(names[:most], ", "), more)
	}
	return "the credential has " + strings.Join(names, ", ")
}

// plain is a field's name as a message may show it.
func plain(name string) string {
	if runes := []rune(name); len(runes) > 60 {
		name = string(runes[:60]) + "…"
	}
	if slices.ContainsFunc([]rune(name), func(r rune) bool { return !strconv.IsPrint(r) || r == '"' || r == '\ufffd' }) || strings.Contains(name, " ") || name == "" {
		return strconv.QuoteToASCII(name)
	}
	return name
}
