package step

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/spec"
	"github.com/with-creds/with-creds/step/spec/nearest"
)

// Plan judges specs by all that is known without the network, and says what a run would bind. A run begins with it.
func Plan(specs []spec.Spec, known map[string]providers.Provider, o bind.Options) ([]bind.Planned, error) {
	if len(specs) == 0 {
		return nil, errors.New("no credentials were asked for: -c 'vault:database/creds/readonly as=postgres', or WITH_CREDS")
	}
	for _, s := range specs {
		p, ok := known[s.Request.Provider]
		if !ok {
			return nil, UnknownProvider(s.Request.Provider, known)
		}
		if err := p.Check(s.Request); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
		}
	}
	o.Fields = func(r providers.Request) (always, sometimes []string) {
		if p, ok := known[r.Provider].(providers.Foreseer); ok {
			return p.Fields(r)
		}
		return nil, nil
	}
	return bind.Plan(specs, o)
}

// Judge judges the settings of the providers in use by all that is known without the network. No login need be among them.
func Judge(specs []spec.Spec, known map[string]providers.Provider, lookup func(name string) (string, bool)) error {
	judged := map[string]bool{}
	for _, s := range specs {
		name := s.Request.Provider
		if p, ok := known[name].(providers.Judger); ok && !judged[name] {
			judged[name] = true
			if err := p.Judge(providers.Settings{Lookup: lookup}); err != nil {
				return err
			}
		}
	}
	return nil
}

// binds reports whether a variable is among those that are planned.
func binds(planned []bind.Planned, name string) bool {
	return slices.ContainsFunc(planned, func(p bind.Planned) bool {
		return slices.ContainsFunc(p.Variables, func(v bind.PlannedVariable) bool { return v.Name == name })
	})
}

// UnknownProvider is the error of a name that no provider has: it lists those that there are.
func UnknownProvider(name string, known map[string]providers.Provider) error {
	names := slices.Sorted(maps.Keys(known))
	return fmt.Errorf("there is no provider %q%s (there are: %s)", name, NearProvider(name, known), strings.Join(names, ", "))
}

// NearProvider is ` (did you mean "…"?)` for a provider that there is not; "" where none is near.
func NearProvider(name string, known map[string]providers.Provider) string {
	for meant, p := range known {
		if called, ok := p.(providers.Called); ok && slices.Contains(called.Called(), name) {
			return nearest.DidYouMean(meant, []string{meant})
		}
	}
	return nearest.DidYouMean(name, slices.Sorted(maps.Keys(known)))
}
