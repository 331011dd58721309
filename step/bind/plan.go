package bind

import "github.com/with-creds/with-creds/step/spec"

// A Planned is what one spec will bind, as far as it is known before anything is issued. It holds no value of any kind.
type Planned struct {
	Source    string            `json:"source"` // without parameters
	Preset    string            `json:"preset,omitempty"`
	Variables []PlannedVariable `json:"variables,omitempty"`
	// EveryField is set for a spec without bindings whose fields are not known yet: each that the credential turns out to have is
	// bound to DefaultPrefix followed by its name. Variables is empty then.
	EveryField    bool   `json:"every_field,omitempty"`
	DefaultPrefix string `json:"default_prefix,omitempty"`
	// NotInherited are variables that the command is not given as its parent had them; see Preset.NotInherited.
	NotInherited []string `json:"not_inherited,omitempty"`
}

// A PlannedVariable is one variable of a plan.
type PlannedVariable struct {
	Name     string   `json:"name"`
	File     bool     `json:"file,omitempty"`     // it holds the path of a private file
	Fields   []string `json:"fields"`             // none: a fixed text
	Optional bool     `json:"optional,omitempty"` // bound only where the credential has all of Fields
}

// Plan says what Bind will bind, in the same order. It refuses what Check refuses.
func Plan(specs []spec.Spec, o Options) ([]Planned, error) {
	if err := Check(specs, o); err != nil {
		return nil, err
	}
	var all []Planned
	for _, s := range specs {
		p := Planned{Source: s.Request.Source(), Preset: s.Preset, NotInherited: NotInherited([]spec.Spec{s}, o)}
		bindings, err := o.foresee(s)
		if err != nil {
			return nil, err
		}
		if len(bindings) == 0 {
			p.EveryField, p.DefaultPrefix = true, DefaultPrefix(s.Request)
		}
		for _, b := range bindings {
			p.Variables = append(p.Variables, PlannedVariable{Name: b.Name, File: b.File, Fields: b.Template.Fields(), Optional: b.Optional})
		}
		all = append(all, p)
	}
	return all, nil
}
