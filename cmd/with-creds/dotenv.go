package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/joho/godotenv"
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
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = errors.New("it is longer than 1 MiB, which no file of settings is")
	}
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
	if !named && errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it is a link; name it with --config if you trust it")
	}
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

// parseDotenv is godotenv without its traps: its errors quote the file, which may hold a secret; it reads a bare spec line, `vault:database/creds/readonly`, as the
// variable "vault"; the last of two lines of one name counts; and a $ in a password, with what follows it, becomes nothing.
func parseDotenv(text string) (map[string]string, error) {
	text = strings.TrimPrefix(text, "\ufeff") // the mark that Windows editors put first
	bad := func(line int) error {
		return fmt.Errorf("line %d is not NAME=value (dotenv syntax; specs go into WITH_CREDS=\"…\", one a line)", line)
	}
	last := 1
	defined := map[string]int{} // in which line
	for _, a := range assignments(text) {
		last = a.line
		one, err := godotenv.Unmarshal(a.text)
		if _, nameless := one[""]; err != nil || nameless || len(one) != 1 {
			return nil, bad(a.line)
		}
		for name, value := range one {
			switch first, twice := defined[name]; {
			case twice && name == "WITH_CREDS":
				return nil, fmt.Errorf("line %d: WITH_CREDS is in line %d already; it takes several specs, one a line, between two double quotes", a.line, first)
			case twice:
				return nil, fmt.Errorf("line %d: %s is in line %d already", a.line, name, first)
			case a.expands(name, value, defined):
				return nil, fmt.Errorf("line %d: the value of %s has a $ that stands for a variable, which no line before defines: put the value into single quotes, or write \\$", a.line, name)
			}
			defined[name] = a.line
		}
	}
	values, err := godotenv.Unmarshal(text)
	if err != nil {
		return nil, bad(last)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case name != strings.ToUpper(name):
			return nil, fmt.Errorf("%q is not a setting; if it begins a spec, put the spec into WITH_CREDS=\"…\", one a line", name)
		case strings.HasPrefix(name, "WITH_CREDS") && !isSetting(name):
			return nil, notASetting(name)
		case name == "WITH_CREDS_CONFIG":
			return nil, errors.New("WITH_CREDS_CONFIG cannot be set in the file it names")
		}
	}
	return values, nil
}

// An assignment is one NAME=value of a dotenv text, or what stands in the place of one.
type assignment struct {
	line int // in which it begins, counted from 1
	text string
}

// assignments cuts a text where godotenv does: at line ends, but those between two quotes.
func assignments(text string) []assignment {
	var all []assignment
	line := 1
	for rest := strings.ReplaceAll(text, "\r\n", "\n"); ; {
		begin := strings.TrimLeftFunc(rest, unicode.IsSpace)
		line += strings.Count(rest[:len(rest)-len(begin)], "\n")
		if begin == "" {
			return all
		}
		end := lengthOfOne(begin)
		if begin[0] != '#' {
			all = append(all, assignment{line, begin[:end]})
		}
		line += strings.Count(begin[:end], "\n")
		rest = begin[end:]
	}
}

// lengthOfOne is how long the assignment, or comment, is that a text begins with.
func lengthOfOne(text string) int {
	end := len(text)
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		end = i
	}
	sign := strings.IndexAny(text[:end], "=:")
	if text[0] == '#' || sign < 0 {
		return end
	}
	quoted := strings.TrimLeft(text[sign+1:], " \t\v\f")
	if quoted == "" || quoted[0] != '"' && quoted[0] != '\'' {
		return end
	}
	for i := 1; i < len(quoted); i++ {
		if quoted[i] == quoted[0] && quoted[i-1] != '\\' {
			return len(text) - len(quoted) + i + 1
		}
	}
	return len(text)
}

var namesAfterDollar = regexp.MustCompile(`\$\(?\{?([A-Z0-9_]+)`)

// expands reports whether the value would be another if the variables were defined that it may name and no line before defines. Where a $ names one, what with
// quotes, backslashes and comments, is godotenv's to say.
func (a assignment) expands(name, value string, defined map[string]int) bool {
	var others strings.Builder
	for _, match := range namesAfterDollar.FindAllStringSubmatch(a.text, -1) {
		if _, found := defined[match[1]]; !found {
			others.WriteString(match[1] + "=x\n")
		}
	}
	if others.Len() == 0 {
		return false
	}
	values, err := godotenv.Unmarshal(others.String() + a.text)
	return err != nil || values[name] != value
}
