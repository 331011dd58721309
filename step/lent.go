package step

import (
	"slices"

	"github.com/with-creds/with-creds/step/bind"
)

// Lent is what one run lends to another: a command's environment, issued and revoked elsewhere.
type Lent struct {
	Values       []bind.Value
	Secrets      []string
	Providers    []string
	NotInherited []string // see bind.Preset
}

// lent are the values of another run.
func (r *run) lent() []bind.Value {
	if r.Lent == nil {
		return nil
	}
	return slices.Clone(r.Lent.Values)
}

// inUse are the providers that the credentials are from.
func (r *run) inUse() []string {
	var names []string
	if r.Lent != nil {
		for _, name := range r.Lent.Providers {
			if r.Providers[name] != nil {
				names = append(names, name)
			}
		}
	}
	for _, s := range r.Specs {
		if !slices.Contains(names, s.Request.Provider) {
			names = append(names, s.Request.Provider)
		}
	}
	return names
}
