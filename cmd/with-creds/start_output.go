package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/with-creds/with-creds/pipelines"
)

// destination is where start writes; it is judged, and opened, before anything is issued.
type destination struct {
	io.Writer
	file *os.File
}

func (d destination) close() {
	if d.file != nil {
		d.file.Close()
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
		info, err := w.stdout.Stat()
		switch {
		case err == nil && info.Mode()&os.ModeCharDevice != 0 && !isNull(info):
			return destination{}, fmt.Errorf("start would show the credentials on the terminal: eval \"$(with-creds start …)\", or name a file with --output")
		case err == nil && info.Mode().IsRegular():
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

func isNull(info fs.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

// whenFailed lets `eval "$(with-creds start)"` fail, which otherwise succeeds on the empty text of a failure.
func (w *world) whenFailed(s starting) {
	if s.format == "shell" && s.output == "" {
		fmt.Fprintf(w.stdout, "(exit %d)\n", failed)
	}
	if s.output != "" {
		os.Remove(s.output)
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
