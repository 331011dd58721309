package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/mask"
	"github.com/with-creds/with-creds/step/session"
)

// sessionVariable tells a job's later commands which session there is.
const sessionVariable = "WITH_CREDS_SESSION"

// write passes a session on to the job. The CI's own log filter is told first.
//
// What the job must not use any longer (bind.NotInherited) is unset where the format has a way to say so. GitHub's has none: there the value becomes empty, which
// most clients take for unset, and others refuse aloud. A dotenv file has neither, since docker would add the empty variable to a container that had none.
func (w *world) write(s starting, to destination, grant session.Grant) error {
	values := append(slices.Clone(grant.Values), session.Value{Name: sessionVariable, Value: grant.Session})
	env := environment(w.env)
	gone := slices.DeleteFunc(slices.Clone(grant.NotInherited), func(name string) bool {
		return slices.Contains(s.PassEnv, name) || slices.ContainsFunc(values, func(v session.Value) bool { return v.Name == name })
	})
	inTheWay := slices.DeleteFunc(slices.Clone(gone), func(name string) bool { return env[name] == "" })
	if s.tellsCI() {
		// On stdout the commands of a CI would be part of what is evaluated, or parsed; GitHub reads those on stderr too.
		commands := w.stderr
		if s.format == "github" {
			commands = w.stdout
		}
		if s.format == "github" || step.ReadByCI(commands) {
			if err := s.tellCI(commands, grant.Secrets); err != nil {
				return fmt.Errorf("telling the CI's log filter of the secrets: %w", err)
			}
		} else {
			s.log.Warn("the CI's log filter is not told of the secrets: stderr, where it would be, leads into a file or to a terminal")
		}
	}
	var text string
	var err error
	switch s.format {
	case "github":
		for _, name := range inTheWay {
			values = append(values, session.Value{Name: name})
		}
		return writeGitHub(env, values)
	case "shell":
		text, err = untraced(grant.Session, shellText(values, gone))
	case "dotenv":
		if len(inTheWay) > 0 {
			s.log.Warn("--format dotenv cannot unset %s: where the file is read into an environment that has it, clients may log in with that instead", strings.Join(inTheWay, ", "))
		}
		text, err = dotenvText(values)
	case "json":
		text, err = jsonText(values, gone, grant.Session)
	case "session":
		text = grant.Session + "\n"
	}
	if err != nil {
		return err
	}
	if _, err := io.WriteString(to, text); err != nil {
		return fmt.Errorf("writing the variables: %w", err)
	}
	return nil
}

// checkFormat refuses, before anything is issued, what the specs alone show that the format cannot carry.
func (s starting) checkFormat() error {
	var err error
	switch s.format {
	case "shell":
		err = bind.CheckShell(s.specs, s.bindOptions())
	case "dotenv":
		err = bind.CheckEnvFile(s.specs, s.bindOptions())
	}
	if err != nil {
		return fmt.Errorf("--format %s: %w", s.format, err)
	}
	return nil
}

// mostForms bounds the encoded forms that a CI's log filter is told of: it searches each line of the job for each.
const mostForms = 1000

// tellCI makes the CI's own log filter mask secrets: each line of each, and the forms that a tool may print it in. None is left out for holding another,
// for the filter masks where texts overlap.
func (s starting) tellCI(to io.Writer, secrets []string) error {
	var lines, forms []string
	for _, secret := range secrets {
		lines = append(lines, mask.Lines(secret)...)
	}
	for i, secret := range secrets {
		if forms = append(forms, mask.LineForms(secret)...); len(forms) > mostForms {
			forms = forms[:mostForms]
			s.log.Warn("the CI's log filter knows every secret as it is, and not every encoded form of %d of %d: there are more than %d", len(secrets)-i, len(secrets), mostForms)
			break
		}
	}
	var text strings.Builder
	told := map[string]bool{}
	for _, t := range append(lines, forms...) {
		if told[t] {
			continue
		}
		told[t] = true
		line, _ := s.ci.Masking(t)
		text.WriteString(line + "\n")
	}
	_, err := io.WriteString(to, text.String())
	return err
}

// writeGitHub appends to the files that GitHub's runner reads after the step, each value between delimiters that nobody can have foreseen
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings). The values are the environment of later
// steps, and no output of this one: an output can leave the job.
func writeGitHub(env map[string]string, values []session.Value) error {
	var variables strings.Builder
	for _, v := range values {
		if name := strings.ToUpper(v.Name); strings.HasPrefix(name, "GITHUB_") || strings.HasPrefix(name, "RUNNER_") || name == "NODE_OPTIONS" {
			return fmt.Errorf("%s: GitHub lets no step set a variable of that name for the job", v.Name)
		}
		variables.WriteString(heredoc(v.Name, v.Value))
	}
	if err := appendTo(env["GITHUB_ENV"], variables.String()); err != nil {
		return fmt.Errorf("writing to GITHUB_ENV: %w", err)
	}
	i := slices.IndexFunc(values, func(v session.Value) bool { return v.Name == sessionVariable })
	if err := appendTo(env["GITHUB_OUTPUT"], heredoc("session", values[i].Value)); err != nil {
		return fmt.Errorf("writing to GITHUB_OUTPUT: %w", err)
	}
	return nil
}

func heredoc(name, value string) string {
	delimiter := "with-creds-" + rand.Text()
	return name + "<<" + delimiter + "\n" + value + "\n" + delimiter + "\n"
}

// appendTo begins a line of its own, whatever is there already: what a step has written by printf, a heredoc's head must not be a part of.
func appendTo(path, text string) error {
	if !endsALine(path) {
		text = "\n" + text
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// endsALine reports whether what is appended to a file begins a line.
func endsALine(path string) bool {
	info, err := os.Stat(path) //nolint:gosec // the file that the runner names
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return true
	}
	f, err := os.Open(path) //nolint:gosec // likewise
	if err != nil {
		return true
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err != nil || last[0] == '\n'
}

// shellText is for a POSIX shell: in single quotes nothing means anything but the quote.
func shellText(values []session.Value, gone []string) string {
	var b strings.Builder
	if len(gone) > 0 {
		fmt.Fprintf(&b, "unset %s\n", strings.Join(gone, " "))
	}
	for _, v := range values {
		fmt.Fprintf(&b, "export %s=%s\n", v.Name, shellQuoted(v.Value))
	}
	return b.String()
}

func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// untraced puts a shell's commands into a private file of the session's, and returns the line that reads it. What is evaluated itself stands in the log
// where a shell traces its commands, as Jenkins has them do (sh -xe), or shows its input (sh -v); the file turns both off for itself.
func untraced(session, commands string) (string, error) {
	path := filepath.Join(session, shellFile)
	err := bind.WritePrivate(path, "{ WITH_CREDS_SHELL=$-; set +xv; } 2>/dev/null\n"+commands+`case $WITH_CREDS_SHELL in
*x*v* | *v*x*) unset WITH_CREDS_SHELL; set -xv ;;
*x*) unset WITH_CREDS_SHELL; set -x ;;
*v*) unset WITH_CREDS_SHELL; set -v ;;
*) unset WITH_CREDS_SHELL ;;
esac
`)
	return ". " + shellQuoted(path) + "\n", err
}

// shellFile is no variable's name, so that no private file has it.
const shellFile = "with-creds.sh"

func dotenvText(values []session.Value) (string, error) {
	var all []bind.Value
	for _, v := range values {
		all = append(all, bind.Value{Name: v.Name, Value: v.Value, Lasts: v.Lasts})
	}
	text, err := bind.EnvFile(all)
	if err != nil {
		return "", fmt.Errorf("--format dotenv: %w", err)
	}
	return text, nil
}

// jsonText is an object for a program: {"session": "…", "environment": {"NAME": "…"}, "unset": ["NAME"]}.
func jsonText(values []session.Value, gone []string, name string) (string, error) {
	environment := map[string]string{}
	for _, v := range values {
		environment[v.Name] = v.Value
	}
	text, err := json.MarshalIndent(map[string]any{"session": name, "environment": environment, "unset": append([]string{}, gone...)}, "", "  ")
	if err != nil {
		return "", errors.New("--format json: a value is no text")
	}
	return string(text) + "\n", nil
}
