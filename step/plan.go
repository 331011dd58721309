package step

import (
	"errors"
	"fmt"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/spec"
)

// Plan judges specs by all that is known without the network, and says what a run would bind. A run begins with it.
func Plan(specs []spec.Spec, known map[string]providers.Provider, o bind.Options) ([]bind.Planned, error) {
	if len(specs) == 0 {
		return nil, errors.New("no credentials were asked for: -c 'vault:database/creds/readonly as=postgres', or WITH_CREDS")
	}
	for _, s := range specs {
		p, ok := known[s.Request.Provider]
		if !ok {
			return nil, unknownProvider(s.Request.Provider, known)
		}
		if err := p.Check(s.Request); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Request.Source(), err)
		}
	}
	return bind.Plan(specs, o)
}
