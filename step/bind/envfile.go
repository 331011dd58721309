package bind

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/with-creds/with-creds/step/serve"
	"github.com/with-creds/with-creds/step/spec"
)

// EnvFile is the values as dotenv text, one NAME=value a line, that `docker run --env-file`, `source` in bash and POSIX
// shells, systemd's EnvironmentFile= and godotenv each read back to the same bytes.
//
// The rule that makes this possible: a value stands as it is, and never quoted. Docker takes a line literally, quotes and
// backslashes included (docker/cli, pkg/kvfile), where the other three would take them away. So a value that any of them
// would need quotes for cannot be carried to all, and is refused: one with a line end or other white space, a quote, a
// backslash, $ ` ; & | < > ( ), a ~ where a shell expands it, a control character, bytes that are not UTF-8, or a line of
// 64 KiB or more, at which docker stops reading. The error names the variables and the two ways around: a private file,
// or the filter base64. A variable that shells keep for themselves is refused, too.
func EnvFile(values []Value) (string, error) {
	var b strings.Builder
	var errs []error
	for _, v := range values {
		if err := portable(v); err != nil {
			errs = append(errs, err)
		}
		b.WriteString(v.Name + "=" + v.Variable() + "\n")
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return b.String(), nil
}

// portable says why a variable cannot stand in an env file, and what to do.
func portable(v Value) error {
	why := unportable(v.Variable())
	switch {
	case shellsOwn(v.Name):
		return notForShells(v.Name)
	case why != "" && (v.File || v.Lasts):
		return fmt.Errorf("%s cannot stand in an env file: it is a path in the run's private directory, and %s; name another place in XDG_RUNTIME_DIR", v.Name, why)
	case why != "":
		return fmt.Errorf("%s cannot stand in an env file: %s; bind it as a file (%s=@field) or as {field|base64}", v.Name, why, v.Name)
	case len(v.Name)+1+len(v.Variable()) > longestEnvLine:
		return fmt.Errorf("%s cannot stand in an env file: it is longer than docker reads (%d bytes a line); bind it as a file (%s=@field)", v.Name, longestEnvLine, v.Name)
	}
	return nil
}

// CheckEnvFile refuses, before anything is issued, what the specs alone show that no env file can carry.
func CheckEnvFile(specs []spec.Spec, o Options) error {
	return checkBindings(specs, o, func(b binding) error {
		if shellsOwn(b.Name) {
			return notForShells(b.Name)
		}
		if slices.ContainsFunc(b.Template.Fields(), serve.IsShell) {
			return fmt.Errorf("%s cannot stand in an env file: what git is given is a line of shell; it is for the environment alone", b.Name)
		}
		// Whatever the fields will be, the text around them is known. A filter that does not take this one may take the field.
		text, err := b.Template.Execute(func(string) (string, bool) { return "x", true }, nil)
		if why := unportable(text); err == nil && !b.File && why != "" {
			return fmt.Errorf("%s cannot stand in an env file: beside its fields %s; bind it as a file (%s=@'…')", b.Name, why, b.Name)
		}
		return nil
	})
}

// CheckShell refuses names that no shell's export can set, before anything is issued.
func CheckShell(specs []spec.Spec, o Options) error {
	return checkBindings(specs, o, func(b binding) error {
		if shellsOwn(b.Name) {
			return notForShells(b.Name)
		}
		return nil
	})
}

// checkBindings judges what will be bound in any case.
func checkBindings(specs []spec.Spec, o Options, judge func(b binding) error) error {
	var errs []error
	for _, s := range specs {
		bindings, err := o.resolve(s)
		if err != nil {
			return err
		}
		for _, b := range bindings {
			if err := judge(b); err != nil && !b.Optional {
				errs = append(errs, fmt.Errorf("%s: %w", s.Request.Source(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// shellsOwn reports whether a variable is one that a shell keeps for itself: assigned to, it fails the shell or holds something else (bash(1), "Shell Variables").
func shellsOwn(name string) bool {
	return slices.Contains(strings.Fields(`
		UID EUID PPID GROUPS RANDOM SRANDOM SECONDS LINENO HISTCMD DIRSTACK FUNCNAME PIPESTATUS EPOCHSECONDS EPOCHREALTIME
		BASHPID BASH_MONOSECONDS BASHOPTS SHELLOPTS BASH_VERSINFO BASH_SUBSHELL BASH_ARGV0 BASH_LINENO BASH_SOURCE BASH_ARGC BASH_ARGV BASH_ALIASES BASH_CMDS
		COMP_WORDBREAKS OPTIND SHLVL _`), name)
}

func notForShells(name string) error {
	return fmt.Errorf("%s cannot be set in a shell, which keeps that variable for itself; bind it by another name", name)
}

// longestEnvLine is bufio.MaxScanTokenSize, docker's bound, less the line end and one.
const longestEnvLine = 64<<10 - 2

// unportable says why a value cannot be carried to every reader, or "". It tells several lines from the rest, since that is
// what a person must know and is no secret of a key; beyond that it does not say which character a secret holds.
func unportable(s string) string {
	if strings.ContainsAny(s, "\n\r") {
		return "it has several lines"
	}
	const others = `it holds a character (white space, a quote, a backslash, one of $ ~ ; & | < > ( ) or a backquote, or bytes that are not UTF-8 text) that its readers take differently`
	if !utf8.ValidString(s) {
		return others
	}
	previous := '='
	for _, r := range s {
		switch {
		case strings.ContainsRune("'\"\\$`;&|<>()", r), unicode.IsSpace(r), !unicode.IsPrint(r), r == '\ufeff':
			return others
		case r == '~' && (previous == '=' || previous == ':'):
			return others
		}
		previous = r
	}
	return ""
}
