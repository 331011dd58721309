package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

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
		return destination{Writer: w.stdout}, nil
	}
	path := s.output
	if path == "" && s.format != "session" {
		if onTerminal(w.stdout) {
			return destination{}, fmt.Errorf("start would show the credentials on the terminal: eval \"$(with-creds start …)\", or name a file with --output")
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

// onTerminal reports whether a person sees what is written to a file.
func onTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
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
