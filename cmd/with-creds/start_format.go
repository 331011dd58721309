package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/mask"
	"github.com/with-creds/with-creds/step/session"
)

// sessionVariable tells a job's later commands which session there is.
const sessionVariable = "WITH_CREDS_SESSION"

// write passes a session on to the job. The CI's own log filter is told first.
func (w *world) write(s starting, to destination, grant session.Grant) error {
	values := append(slices.Clone(grant.Values), session.Value{Name: sessionVariable, Value: grant.Session})
	// On stdout the commands of a CI would be part of what is evaluated, or parsed; GitHub reads those on stderr too.
	commands := io.Writer(w.stderr)
	if s.format == "github" {
		commands = w.stdout
	}
	if s.Mask == "on" {
		for _, text := range maskable(grant.Secrets) {
			if line, ok := s.ci.Masking(text); ok {
				fmt.Fprintln(commands, line)
			}
		}
	}
	var text string
	var err error
	switch s.format {
	case "github":
		return writeGitHub(environment(w.env), values)
	case "shell":
		text = shellText(values)
	case "dotenv":
		text, err = dotenvText(values)
	case "json":
		text, err = jsonText(values, grant.Session)
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

// maskable are the texts to mask for secrets: each line of each, in every form that a tool may print it in, less those that hold another of them and so
// are masked with it. A CI masks line by line.
func maskable(secrets []string) []string {
	var all []string
	for _, secret := range secrets {
		for _, form := range mask.Forms(secret) {
			for line := range strings.FieldsFuncSeq(form, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 }) {
				if line = strings.TrimSpace(line); len(line) >= mask.MinLength && !strings.HasPrefix(line, "-----") {
					all = append(all, line)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	all = slices.Compact(all)
	var kept []string
	for _, text := range all {
		if !slices.ContainsFunc(kept, func(shorter string) bool { return strings.Contains(text, shorter) }) {
			kept = append(kept, text)
		}
	}
	return kept
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

func appendTo(path, text string) error {
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

// shellText is for a POSIX shell's eval: in single quotes nothing means anything but the quote.
func shellText(values []session.Value) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "export %s='%s'\n", v.Name, strings.ReplaceAll(v.Value, "'", `'\''`))
	}
	return b.String()
}

func dotenvText(values []session.Value) (string, error) {
	var all []bind.Value
	for _, v := range values {
		all = append(all, bind.Value{Name: v.Name, Value: v.Value})
	}
	text, err := bind.EnvFile(all)
	if err != nil {
		return "", fmt.Errorf("--format dotenv: %w", err)
	}
	return text, nil
}

// jsonText is an object for a program: {"session": "…", "environment": {"NAME": "…"}}.
func jsonText(values []session.Value, name string) (string, error) {
	environment := map[string]string{}
	for _, v := range values {
		environment[v.Name] = v.Value
	}
	text, err := json.MarshalIndent(map[string]any{"session": name, "environment": environment}, "", "  ")
	if err != nil {
		return "", errors.New("--format json: a value is no text")
	}
	return string(text) + "\n", nil
}
