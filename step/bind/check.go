package bind

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/serve"
	"github.com/with-creds/with-creds/step/spec"
	"github.com/with-creds/with-creds/step/spec/nearest"
)

// A binding is a spec's binding and who chose its name, which decides what it may be.
type binding struct {
	spec.Binding
	origin origin
	preset bool // it comes from a preset, a built-in one or a person's own
	ending string
}

type origin int

const (
	written     origin = iota // by a person, in a spec or in a preset of their own
	fromBuiltIn               // by a preset of this package
	fromDefault               // by the path and the server's field names
)

// Check refuses, before anything is issued, all that the specs alone show to be wrong: an unknown preset, a name that
// cannot be bound, a name bound twice. It reports every fault, not only the first.
func Check(specs []spec.Spec, o Options) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(o.Presets)) {
		if !spec.IsPresetName(name) {
			errs = append(errs, fmt.Errorf("preset %s: a preset's name is lower-case letters, digits, - and _", plain(name)))
		}
		if _, err := spec.ParsePreset(o.Presets[name]); err != nil {
			errs = append(errs, fmt.Errorf("preset %s: %w", name, err))
		}
	}
	if errs != nil {
		return errors.Join(errs...)
	}
	by := map[string]string{} // name → the source that binds it
	for _, s := range specs {
		bindings, err := o.foresee(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(bindings) == 0 { // whatever names its fields will have, the same request has the same
			if all := s.String(); by[all] != "" {
				errs = append(errs, fmt.Errorf("%s: is asked for twice, and both would be bound to %s…; bind the fields of one of the two by name (NAME=field)", s.Request.Source(), DefaultPrefix(s.Request)))
			} else {
				by[all] = s.Request.Source()
			}
		}
		twice := map[string][]string{} // names by the source that has bound them already
		for _, b := range bindings {
			if err := o.refuse(b); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.Request.Source(), err))
				continue
			}
			if err := o.known(s, b); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", s.Request.Source(), b.Name, err))
				continue
			}
			if b.Optional {
				continue // whether it will be bound, and so twice, is known only from the credential's fields
			}
			if other, taken := by[fold(b.Name)]; taken {
				twice[other] = append(twice[other], b.Name)
				continue
			}
			by[fold(b.Name)] = s.Request.Source()
		}
		p, _, _ := o.preset(s.Preset)
		for _, other := range slices.Sorted(maps.Keys(twice)) {
			are := "is"
			if len(twice[other]) > 1 {
				are = "are"
			}
			errs = append(errs, fmt.Errorf("%s: %s %s already bound by %s; %s", s.Request.Source(), strings.Join(twice[other], ", "), are, other,
				cmp.Or(p.Once, "give one of the two another name (NAME=field)")))
		}
	}
	return errors.Join(errs...)
}

// known refuses the name of a field that there cannot be: one that with-creds itself would have to add and does not know, or one that the credential will not have, where
// that is known.
func (o Options) known(s spec.Spec, b binding) error {
	foreseen := o.foreseen(s.Request)
	for _, name := range b.Template.Fields() {
		what, all := "there is no field", foreseen
		if serve.Adds(name) {
			what, all = "nothing is called", serve.Names()
		} else if b.Optional {
			continue
		}
		if len(all) > 0 && !slices.Contains(all, name) {
			return fmt.Errorf("%s %s%s; there are %s", what, plain(name), nearest.DidYouMean(name, all), strings.Join(all, ", "))
		}
	}
	return nil
}

// foreseen are all fields that the credential for a request can have; none: that is not known.
func (o Options) foreseen(r providers.Request) []string {
	if o.Fields == nil {
		return nil
	}
	always, sometimes := o.Fields(r)
	return slices.Concat(always, sometimes)
}

// foresee is resolve, with the bindings of the default form too where the fields are known.
func (o Options) foresee(s spec.Spec) ([]binding, error) {
	if !isDefault(s) || o.Fields == nil {
		return o.resolve(s)
	}
	always, sometimes := o.Fields(s.Request)
	var all []binding
	for _, name := range always {
		all = append(all, defaultOf(s, name))
	}
	for _, name := range sometimes {
		b := defaultOf(s, name)
		b.Optional = true
		all = append(all, b)
	}
	return all, nil
}

// Added lists the fields that with-creds itself has to add to a spec's credential (see package serve); most need none.
func Added(s spec.Spec, o Options) ([]string, error) {
	bindings, err := o.resolve(s)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(fieldsOf(bindings), func(name string) bool { return !serve.Adds(name) }), nil
}

// fieldsOf are the names of the fields that bindings need, each once.
func fieldsOf(bindings []binding) []string {
	var names []string
	for _, b := range bindings {
		for _, name := range b.Template.Fields() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// resolve returns the bindings of a spec's preset and its own; none for the default form.
func (o Options) resolve(s spec.Spec) ([]binding, error) {
	var all []binding
	if s.Preset != "" {
		p, by, found := o.preset(s.Preset)
		if !found {
			names := o.presetNames()
			return nil, fmt.Errorf("%s: there is no preset %q%s; there are %s", s.Request.Source(), s.Preset,
				nearest.DidYouMean(s.Preset, names), strings.Join(names, ", "))
		}
		bindings, err := spec.ParsePreset(p.Bindings)
		if err != nil {
			return nil, fmt.Errorf("preset %s: %w", s.Preset, err)
		}
		for _, b := range p.behind(o.Parent, bindings) {
			all = append(all, binding{Binding: b, origin: by, preset: true, ending: p.Files[b.Name]})
		}
	}
	for _, b := range s.Bindings {
		all = append(all, binding{Binding: b, origin: written})
	}
	return all, nil
}

// presetNames are all presets there are, sorted.
func (o Options) presetNames() []string {
	names := slices.Collect(maps.Keys(o.Presets))
	for _, p := range BuiltIns() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refuse judges a name.
func (o Options) refuse(b binding) error {
	allowed := slices.ContainsFunc(o.AllowEnv, func(name string) bool { return fold(name) == fold(b.Name) })
	switch {
	case !spec.IsName(b.Name):
		return fmt.Errorf("%s cannot name a variable: letters, digits and _ can, and not a digit first", plain(b.Name))
	case reserved(b.Name):
		return fmt.Errorf("%s cannot be bound: names that begin with WITH_CREDS are with-creds' own", b.Name)
	case b.origin == fromBuiltIn:
		return nil
	case b.origin == fromDefault:
		// --allow-env is an answer to a name that a person wrote. This one a server can choose.
		if why, found := changesCode(b.Name); found {
			return fmt.Errorf("a field would be bound to %s, which %s; bind the fields you need by name (NAME=field)", b.Name, why)
		}
		if why, found := steers(b.Name); found {
			return fmt.Errorf("a field would be bound to %s, which %s; bind the fields you need by name (NAME=field)", b.Name, why)
		}
	case !allowed:
		if why, found := changesCode(b.Name); found {
			return fmt.Errorf("%s is not bound because it %s; --allow-env %s admits it", b.Name, why, b.Name)
		}
	}
	return nil
}
