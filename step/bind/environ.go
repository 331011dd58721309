package bind

import "strings"

// Environ is the command's environment: the parent's in its order, less what drop names and what values bind, and then the
// values in theirs.
//
// A name that the parent has twice is kept once, with its first value: that is the one getenv(3), and so nearly every
// program, has been reading, while os/exec would keep the last. Entries that are no NAME=value are passed on untouched.
func Environ(parent []string, drop func(name string) bool, values []Value) []string {
	skip := map[string]bool{}
	for _, v := range values {
		skip[fold(v.Name)] = true
	}
	env := make([]string, 0, len(parent)+len(values))
	for _, entry := range parent {
		name, _, found := strings.Cut(entry, "=")
		if !found || name == "" { // Windows keeps its drives' directories as "=C:=…"
			env = append(env, entry)
			continue
		}
		if skip[fold(name)] || drop != nil && drop(name) {
			continue
		}
		skip[fold(name)] = true
		env = append(env, entry)
	}
	for _, v := range values {
		env = append(env, v.Name+"="+v.Variable())
	}
	return env
}
