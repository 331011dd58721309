package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers/registry"
)

// Suggestions are what may stand where the cursor is, whatever was typed of it already.
type suggestions struct {
	candidates []suggestion
	files      bool // so may the name of a file
	nospace    bool // the word goes on behind a candidate
}

type suggestion struct{ text, about string }

// suggest completes the word after those of a command line.
func (w *world) suggest(words []string, current string) suggestions {
	if slices.Contains(words, "--") {
		return suggestions{files: true} // of a command that is not with-creds' own
	}
	app := w.app()
	at := cli.Command{Flags: app.Flags, Subcommands: app.Commands}
	var path []string // of commands
	var args []string
	for i := 0; i < len(words); i++ {
		switch command := slices.IndexFunc(at.Subcommands, func(c *cli.Command) bool { return c.HasName(words[i]) }); {
		case isFlag(words[i]):
			if takesNext(at.Flags, words[i]) {
				if i++; i == len(words) {
					return w.values(at.Flags, nameOf(at.Flags, words[i-1]), current)
				}
			}
		case command >= 0 && len(args) == 0:
			at = *at.Subcommands[command]
			path = append(path, at.Name)
		default:
			args = append(args, words[i])
		}
	}
	if name, value, found := strings.Cut(current, "="); found && isFlag(name) {
		s := w.values(at.Flags, nameOf(at.Flags, name), value)
		for i := range s.candidates {
			s.candidates[i].text = name + "=" + s.candidates[i].text
		}
		return s
	}
	if strings.HasPrefix(current, "-") {
		return suggestions{candidates: flagNames(at.Flags)}
	}
	s := w.arguments(path)
	for _, c := range at.Subcommands {
		if len(args) == 0 && !c.Hidden && c.Name != "help" {
			s.candidates = append(s.candidates, suggestion{c.Name, c.Usage})
		}
	}
	return s
}

func flagNames(all []cli.Flag) []suggestion {
	var names []suggestion
	for _, f := range all {
		about := ""
		if documented, ok := f.(cli.DocGenerationFlag); ok {
			about = strings.ReplaceAll(documented.GetUsage(), "`", "")
		}
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, suggestion{"--" + name, about})
			}
		}
	}
	return append(names, suggestion{"--help", "what there is"})
}

// nameOf is the first name of a flag, by any of its names; "" for none.
func nameOf(all []cli.Flag, arg string) string {
	name := strings.TrimLeft(arg, "-")
	for _, f := range all {
		if slices.Contains(f.Names(), name) {
			return f.Names()[0]
		}
	}
	return ""
}

// arguments are what a command takes besides flags.
func (w *world) arguments(path []string) suggestions {
	switch strings.Join(path, " ") {
	case "doctor", "sweep":
		return suggestions{candidates: providerNames("")}
	case "presets":
		return suggestions{candidates: w.presetNames("")}
	case "copy":
		return suggestions{files: true}
	case "completion":
		return suggestions{candidates: []suggestion{{"bash", ""}, {"zsh", ""}, {"fish", ""}}}
	case "lease list", "lease lookup", "lease renew", "lease revoke":
		return suggestions{candidates: providerNames(":"), nospace: true}
	}
	return suggestions{}
}

// values are what a flag may be set to.
func (w *world) values(all []cli.Flag, flag, current string) suggestions {
	var words []string
	switch flag {
	case "credential":
		return w.specs(current)
	case "config", "receipt", "secret-file", "env-file":
		return suggestions{files: true}
	case "vault-auth":
		words = []string{"token", "approle", "jwt", "kubernetes", "auto"}
	case "on-rotate":
		words = []string{"HUP", "USR1", "USR2", "TERM", "INT"}
	case "mask-env", "pass-env", "allow-env":
		words = slices.Sorted(maps.Keys(environment(w.env)))
	default:
		words = alternatives(all, flag)
	}
	var s suggestions
	for _, word := range words {
		s.candidates = append(s.candidates, suggestion{word, ""})
	}
	return s
}

// alternatives are the words that a flag's usage says are all there are: "`on|off`".
func alternatives(all []cli.Flag, name string) []string {
	for _, f := range all {
		documented, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] != name {
			continue
		}
		_, rest, _ := strings.Cut(documented.GetUsage(), "`")
		if one, _, _ := strings.Cut(rest, "`"); strings.Contains(one, "|") {
			return strings.Split(one, "|")
		}
	}
	return nil
}

// specs completes the provider at the beginning of a spec, and the preset of as=.
func (w *world) specs(current string) suggestions {
	const preset = "as="
	begin := strings.LastIndexByte(current, ' ') + 1
	before, word := current[:begin], current[begin:]
	switch {
	case begin == 0 && !strings.Contains(current, ":"):
		return suggestions{candidates: providerNames(":"), nospace: true}
	case begin > 0 && strings.HasPrefix(word, preset):
		return suggestions{candidates: w.presetNames(before + preset)}
	case begin > 0 && strings.HasPrefix(preset, word):
		return suggestions{candidates: []suggestion{{before + preset, "a preset"}}, nospace: true}
	}
	return suggestions{}
}

func providerNames(suffix string) []suggestion {
	var all []suggestion
	for _, name := range slices.Sorted(maps.Keys(registry.All())) {
		all = append(all, suggestion{name + suffix, "provider"})
	}
	return all
}

// presetNames are the presets there are, those of the environment included.
func (w *world) presetNames(prefix string) []suggestion {
	var all []suggestion
	for _, p := range (judged{layers: layers{environment(w.env)}}).bindOptions().All() {
		all = append(all, suggestion{prefix + p.Name, p.About})
	}
	return all
}
