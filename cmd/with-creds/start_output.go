package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/with-creds/with-creds/pipelines"
)

// destination is where start writes; it is judged, and opened, before anything is issued.
type destination struct {
	io.Writer
	file *os.File
}

// end closes it, and removes the file of a start that failed.
func (d destination) end(keep bool) {
	if d.file == nil {
		return
	}
	d.file.Close()
	if !keep {
		os.Remove(d.file.Name())
	}
}

func (w *world) destination(s starting) (destination, error) {
	env := environment(w.env)
	if s.format == "github" {
		if s.output != "" {
			return destination{}, errors.New("--output: --format github writes to the files that GITHUB_ENV and GITHUB_OUTPUT name")
		}
		if info, err := w.stdout.Stat(); s.tellsCI() && (err != nil || info.Mode().IsRegular() || isNull(w.stdout)) {
			return destination{}, errors.New("--format github: stdout must be the step's own, for the runner reads there which secrets to mask; it is closed, or leads into a file")
		}
		return destination{Writer: w.stdout}, nil
	}
	path := s.output
	if path == "" && isNull(w.stdout) {
		return destination{}, errors.New("nobody would know of the session: stdout is closed, or leads to " + os.DevNull)
	}
	if path == "" && s.format != "session" {
		if onTerminal(w.stdout) {
			return destination{}, errors.New("what start writes is not for a person: eval \"$(with-creds start …)\", or name a file with --output")
		}
		if info, err := w.stdout.Stat(); err == nil && info.Mode().IsRegular() {
			path, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", w.stdout.Fd())) // where there is no /proc there is no GitLab runner's shell either
		}
	}
	if err := pipelines.RefuseArtifact(path, func(name string) string { return env[name] }); err != nil {
		return destination{}, err
	}
	if s.output == "" {
		return destination{Writer: w.stdout}, nil
	}
	f, err := os.OpenFile(s.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return destination{}, fmt.Errorf("--output: %w", err)
	}
	return destination{f, f}, nil
}

// tellsCI reports whether the CI's own log filter is to be told of secrets.
func (s starting) tellsCI() bool {
	_, can := s.ci.Masking("")
	return can && s.Mask == "on"
}

// onTerminal reports whether a person sees what is written to a file.
func onTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// isNull reports whether what is written to a file is lost. A standard stream that is closed is such a one: Go opens it so (runtime, checkfds).
func isNull(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return true
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

// failEval lets `eval "$(with-creds start)"` fail, which otherwise succeeds on the empty text of a failure.
func (w *world) failEval(c *cli.Context, s starting) {
	format := s.format
	if format == "" { // it failed before that was settled
		format, _ = s.chooseFormat(c.String("format"), environment(w.env))
	}
	if format == "shell" && c.String("output") == "" && !onTerminal(w.stdout) {
		fmt.Fprintf(w.stdout, "(exit %d)\n", failed)
	}
}

// chooseFormat is what was said, or what the CI at hand reads.
func (s starting) chooseFormat(said string, env map[string]string) (string, error) {
	onGitHub := s.ci != nil && s.ci.System == "github" && env["GITHUB_ENV"] != ""
	switch said {
	case "":
		if onGitHub && s.output == "" {
			return "github", nil
		}
		return "shell", nil
	case "github":
		if env["GITHUB_ENV"] == "" || env["GITHUB_OUTPUT"] == "" {
			return "", errors.New("--format github: GITHUB_ENV and GITHUB_OUTPUT are not set: is this a step of a GitHub job?")
		}
		return said, nil
	case "shell", "dotenv", "json", "session":
		return said, nil
	}
	return "", fmt.Errorf("--format: %q is not one of %s", said, strings.Join([]string{"github", "shell", "dotenv", "json", "session"}, ", "))
}
