package step

import (
	"fmt"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/guard"
)

// bind turns what was issued into what the command receives: variables, private files, and the set of what to mask.
func (r *run) bind() error {
	for _, c := range r.issued {
		if err := r.serve(c); err != nil {
			return fmt.Errorf("%s: %w", c.spec.Request.Source(), err)
		}
		values, err := bind.Bind(c.spec, c.withServed(), r.Bind) // its error names the source
		if err != nil {
			return err
		}
		c.values = values
	}
	if err := bind.Together(r.values()); err != nil {
		return err
	}
	r.maskSecrets()
	if err := r.placeFiles(); err != nil {
		return err
	}
	if r.Lent == nil {
		r.sayIssued()
	}
	return nil
}

// values is everything bound, in the order of the specs.
func (r *run) values() []bind.Value { return r.valuesWith(nil, nil) }

// valuesWith is that with others in the place of one credential's.
func (r *run) valuesWith(instead *issued, others []bind.Value) []bind.Value {
	all := r.lent()
	for _, c := range r.issued {
		if c == instead {
			all = append(all, others...)
		} else {
			all = append(all, c.values...)
		}
	}
	return all
}

// environ is the command's environment.
func (r *run) environ() []string {
	values, gone := r.values(), r.notInherited()
	if r.envFile != "" {
		for _, v := range values { // the parent's would be another login than the file's
			gone = append(gone, v.Name)
		}
		values = []bind.Value{{Name: "WITH_CREDS_ENV_FILE", Value: r.envFile}}
	}
	env := bind.Environ(r.Env, r.drops(gone), values)
	if r.guard != nil && r.Lent == nil {
		env = append(env, guard.RunVariable+"="+r.id)
	}
	return env
}

// drops reports whether the command must not inherit a variable: with-creds' own, and what would make clients somebody else than who it was issued for, which is
// gone.
func (r *run) drops(gone []string) func(name string) bool {
	names := slices.Concat(r.DropEnv, gone)
	for _, provider := range r.inUse() {
		names = append(names, r.Providers[provider].SecretEnv()...)
	}
	return func(name string) bool {
		own := name == "WITH_CREDS" || strings.HasPrefix(name, "WITH_CREDS_")
		return (own || slices.Contains(names, name)) && !slices.Contains(r.PassEnv, name)
	}
}

// notInherited are the variables that the presets in use keep from the command.
func (r *run) notInherited() []string {
	if r.Lent != nil {
		return r.Lent.NotInherited
	}
	return bind.NotInherited(r.Specs, r.Bind)
}

// findNamed warns of variables that are named and are not there: a misspelt name would leave a secret in the output.
func (r *run) findNamed() {
	for _, name := range r.MaskEnv {
		if value, _ := r.lookupEnv(name); value == "" && r.Mask {
			r.Log.Warn("--mask-env %s: there is no such variable, or it is empty: nothing of it is masked", name)
		}
	}
	for _, name := range r.PassEnv {
		if _, found := r.lookupEnv(name); !found {
			r.Log.Warn("--pass-env %s: there is no such variable in the environment: nothing of it is passed on", name)
		}
	}
}

// lookupEnv reads this process's environment as it was given.
func (r *run) lookupEnv(name string) (string, bool) {
	for _, nv := range r.Env {
		if value, ok := strings.CutPrefix(nv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
