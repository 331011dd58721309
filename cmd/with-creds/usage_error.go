package main

import (
	"fmt"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers/registry"
	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/spec/nearest"
)

// undefined is the name of the flag that the flag parser of the standard library says it does not know. It has no error type for it.
func undefined(err error) (string, bool) {
	return strings.CutPrefix(err.Error(), "flag provided but not defined: -")
}

// usageError keeps the library from printing its whole help, to stdout, for one misspelt flag.
func usageError(c *cli.Context, err error, _ bool) error {
	called := c.Command.HelpName
	said, ok := undefined(err)
	if !ok {
		return fmt.Errorf("%s; %s --help lists the flags", wrongValue(err, c.Command.Flags), called)
	}
	if said == "version" || said == "v" || said == "V" {
		return fmt.Errorf("there is no flag %s: with-creds version prints it", dashed(said))
	}
	var names []string
	for _, f := range c.Command.Flags {
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, dashed(name))
			}
		}
	}
	return fmt.Errorf("there is no flag %s%s; %s --help lists them", dashed(said), nearest.DidYouMean(dashed(said), names), called)
}

// wrongValue is an error of the flag parser's in one's own words.
func wrongValue(err error, all []cli.Flag) string {
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		return dashed(strings.TrimLeft(name, "-")) + " needs a value after it"
	}
	wrongly := regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^ :]+):`) // as the standard library says of a value that it cannot read
	found := wrongly.FindStringSubmatch(err.Error())
	if found == nil {
		return err.Error()
	}
	needs := "what it takes"
	for _, f := range all {
		if !slices.Contains(f.Names(), found[2]) {
			continue
		}
		switch f.(type) {
		case *cli.BoolFlag:
			needs = kind(reflect.TypeFor[bool]())
		case *cli.DurationFlag:
			needs = kind(reflect.TypeFor[time.Duration]())
		}
	}
	return fmt.Sprintf("%s: %q is not %s", dashed(found[2]), found[1], needs)
}

// typeset is an error for a line that was pasted from a text whose dashes or quotes are not a keyboard's.
func typeset(words []string) error {
	for _, word := range words {
		first, _ := utf8.DecodeRuneInString(word)
		switch {
		case strings.ContainsRune("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", first):
			return fmt.Errorf("%c is no dash of a keyboard's, which flags begin with: the line was pasted from a text; type its dashes and quotes anew", first)
		case strings.ContainsRune("\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb", first):
			return fmt.Errorf("%c is no quote that a shell knows: the line was pasted from a text; type its dashes and quotes anew", first)
		}
	}
	return nil
}

// dashed is a flag as one writes it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// oneOf is what a command does that has commands of its own, and was called without one that there is.
func oneOf(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	var names []string
	for _, sub := range c.Command.Subcommands {
		if sub.Name != "help" {
			names = append(names, sub.Name)
		}
	}
	said := c.Args().First()
	return fmt.Errorf("there is no command %s %s%s (there are: %s)", c.Command.Name, said, nearest.DidYouMean(said, names), strings.Join(names, ", "))
}

// misplaced explains words that stand where flags and then -- are expected, of which there is at least one: most of them are a command whose -- was forgotten, a spec
// without its -c or without quotes, or a command of with-creds' own that is misspelt. Nothing that may be private is repeated: of the wrapped command there is its
// name alone, and of a spec no value.
func misplaced(c *cli.Context, words, command []string) error {
	first := words[0]
	var spec []string // as it should have been written
	if given := c.StringSlice("credential"); len(given) > 0 && binding(first) {
		spec = append(spec, private(given[len(given)-1]))
	}
	begun, rest := len(spec) > 0, words
	for len(rest) > 0 && (len(spec) == 0 && sourced(rest[0]) || len(spec) > 0 && binding(rest[0])) {
		spec, rest = append(spec, private(rest[0])), rest[1:]
	}
	program := "COMMAND"
	switch {
	case len(rest) > 0:
		program = private(rest[0])
	case len(command) > 0:
		program = command[0]
	}
	if len(rest)+len(command) > 1 {
		program += " …"
	}
	near := nearest.DidYouMean(first, commandNames(c))
	if _, err := exec.LookPath(first); err == nil {
		near = "" // that program was meant
	}
	switch {
	case first == "help" && len(words) > 1:
		return fmt.Errorf("there is no command %q%s; with-creds --help lists them", words[1], nearest.DidYouMean(words[1], commandNames(c)))
	case begun:
		return fmt.Errorf("%s belongs to the spec before it: write quotes around the whole of it: with-creds -c '%s' -- %s", private(first), strings.Join(spec, " "), program)
	case len(spec) > 0:
		return fmt.Errorf("%s is a spec: write -c before it, and quotes around the whole of it: with-creds -c '%s' -- %s", private(first), strings.Join(spec, " "), program)
	case near != "" && command == nil:
		return fmt.Errorf("there is no command %q%s; a program of that name goes after --: with-creds [flags] -- %s", first, near, program)
	case command == nil:
		return fmt.Errorf("put -- before the command: with-creds [flags] -- %s", program)
	}
	return fmt.Errorf("%q stands before the --: flags go there, the command after it%s", first, near)
}

func commandNames(c *cli.Context) []string {
	var names []string
	for _, command := range c.App.Commands {
		names = append(names, command.Name)
	}
	slices.Sort(names)
	return names
}

// sourced reports whether a word looks like the beginning of a spec, that of a misspelt provider included.
func sourced(word string) bool {
	provider, _, found := strings.Cut(word, ":")
	known := registry.All()
	return found && (known[provider] != nil || step.NearProvider(provider, known) != "")
}

var aBinding = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// binding reports whether a word looks like one of a spec: as=PRESET, NAME=field.
func binding(word string) bool { return aBinding.MatchString(word) }

// private is a word, or some, of a spec without what may be private in it: the values of parameters, and the texts that are bound.
func private(spec string) string {
	words := strings.Fields(spec)
	for i, word := range words {
		switch name, _, found := strings.Cut(word, "="); {
		case strings.HasPrefix(word, "as="):
		case found && binding(word):
			words[i] = name + "=…"
		default:
			if source, _, found := strings.Cut(word, "?"); found {
				words[i] = source + "?…"
			}
		}
	}
	return strings.Join(words, " ")
}
