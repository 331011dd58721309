package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"github.com/with-creds/with-creds/step/spec/nearest"
)

// configName is the file read on its own, from the working directory, outside CI.
const configName = ".with-creds.env"

// dotenvLayer reads the dotenv file: the named one, else ./.with-creds.env where that may be trusted. Its values are settings
// and specs; they never reach the command. The second result says why a file that is there was not read.
func dotenvLayer(named, dir string, inCI bool) (map[string]string, string, error) {
	path := named
	if path == "" {
		path = filepath.Join(dir, configName)
	}
	f, err := openConfig(path, named != "")
	switch {
	case named == "" && errors.Is(err, os.ErrNotExist):
		return nil, "", nil
	case err != nil && named == "":
		return nil, fmt.Sprintf("not reading %s: %v", path, err), nil
	case err != nil:
		return nil, "", fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	if named == "" && inCI {
		return nil, fmt.Sprintf("not reading %s: in CI a file is read only when named with --config", path), nil
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", path, err)
	}
	values, err := parseDotenv(string(text))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return values, "", nil
}

// openConfig opens a settings file. One that was not asked for by name must be a plain file of the user's own which nobody
// else can write: whoever can write it decides what this user's credentials are issued for.
func openConfig(path string, named bool) (*os.File, error) {
	flags := os.O_RDONLY
	if !named {
		flags |= noFollow
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil || named {
		return f, err
	}
	info, err := f.Stat()
	if err == nil {
		err = notMine(info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// parseDotenv is godotenv without its traps: its errors quote the file, which may hold a secret, and it reads a bare spec line,
// `vault:database/creds/readonly`, as the variable "vault".
func parseDotenv(text string) (map[string]string, error) {
	values, err := godotenv.Unmarshal(text)
	if err != nil {
		return nil, fmt.Errorf("line %d is not NAME=value (dotenv syntax; specs go into WITH_CREDS=\"…\", one a line)", firstBadLine(text))
	}
	known := map[string]bool{}
	for _, f := range fields() {
		known[f.env] = true
	}
	for _, name := range withoutFlag {
		known[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case name != strings.ToUpper(name):
			return nil, fmt.Errorf("%q is not a setting; if it begins a spec, put the spec into WITH_CREDS=\"…\", one a line", name)
		case strings.HasPrefix(name, "WITH_CREDS") && !known[name] && !strings.HasPrefix(name, "WITH_CREDS_PRESET_") && !strings.HasPrefix(name, "WITH_CREDS_COMMAND_ENV_"):
			return nil, fmt.Errorf("%s is not a setting%s", name, nearest.DidYouMean(name, slices.Collect(maps.Keys(known))))
		case name == "WITH_CREDS_CONFIG":
			return nil, errors.New("WITH_CREDS_CONFIG cannot be set in the file it names")
		}
	}
	return values, nil
}

// firstBadLine finds the line after which the text can no longer be read, counting from 1.
func firstBadLine(text string) int {
	lines := strings.SplitAfter(text, "\n")
	last := 1
	for i := range lines {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:i+1], "")); err == nil {
			last = i + 2
		}
	}
	return min(last, len(lines))
}
