package spec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// A Filter rewrites a field's value so that it can stand in text of some syntax.
type Filter struct {
	Name  string
	Yield string // what it yields, for documentation
	apply func(string) (string, error)
}

// Filters lists the filters there are, in the order to show them.
func Filters() []Filter {
	return []Filter{
		{"url", "percent-encoding of every byte but A-Z a-z 0-9 - . _ ~ (RFC 3986, 2.3): safe in a URL's user, password, path segment and query", filterURL},
		{"json", "the inside of a JSON string (RFC 8259, 7), without the quotes around it; a value that is not UTF-8 is refused, for JSON cannot carry it", filterJSON},
		{"base64", "standard base64 with padding on one line (RFC 4648, 4)", filterBase64},
		{"shell", "one single-quoted word of a POSIX shell, quotes included", filterShell},
		{"mycnf", `the inside of a double-quoted value in a MySQL or MariaDB option file: password="{password|mycnf}"`, filterMyCnf},
		{"pgpass", "one field of a PostgreSQL password file, with \\ before : and \\", filterPgpass},
		{"line", "the value as it is, for files of NAME = value lines that know no quotes; refused where a line could not hold it", filterLine},
		{"dquote", `the inside of double quotes where nothing escapes one, as in SQL*Plus; refused where the value holds one`, filterDquote},
		{"unbase64", "what standard base64 stands for, as Google's key files come", filterUnbase64},
	}
}

// FilterNames are the names of Filters.
func FilterNames() []string {
	var names []string
	for _, f := range Filters() {
		names = append(names, f.Name)
	}
	return names
}

var filters = func() map[string]Filter {
	byName := map[string]Filter{}
	for _, f := range Filters() {
		byName[f.Name] = f
	}
	return byName
}()

func filterURL(s string) (string, error) { return percentEncode(s, ""), nil }

func filterJSON(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("the value is not UTF-8, which JSON cannot carry; use base64")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // < > & are ordinary in JSON; escaped they would only be harder to recognise
	if err := e.Encode(s); err != nil {
		return "", errors.New("the value cannot be written as JSON")
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1], nil
}

func filterBase64(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }

func filterShell(s string) (string, error) {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

// filterMyCnf follows search_default_file_with_ext and remove_end_comment in MySQL's and MariaDB's mysys/my_default
// (manual: "Using Option Files"): \b \t \n \r \\ \s \" \' are the escapes, and a quoted value keeps # and outer spaces. A
// line there is read into 4096 bytes; a longer one would be cut silently, so a value that could not fit is refused.
func filterMyCnf(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errors.New("the value holds a NUL, which an option file cannot carry")
	}
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`).Replace(s)
	if len(escaped) > 4000 {
		return "", errors.New("the value is longer than a line of an option file may be (about 4000 bytes)")
	}
	return escaped, nil
}

// filterPgpass follows PostgreSQL's manual, "34.16. The Password File"; libpq (passwordFromFile in fe-connect.c) reads a line at a time.
func filterPgpass(s string) (string, error) {
	if strings.ContainsAny(s, "\n\r\x00") {
		return "", errors.New("the value has several lines, or a NUL, which a password file cannot carry")
	}
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(s), nil
}

// filterLine is for readers like Python's configparser, which cqlsh uses: a line's outer white space is dropped.
func filterLine(s string) (string, error) {
	if s != strings.TrimSpace(s) || strings.ContainsAny(s, "\n\r\v\f\x00\u0085\u2028\u2029") {
		return "", errors.New("the value begins or ends with white space or has several lines, which this kind of file cannot carry")
	}
	return s, nil
}

func filterDquote(s string) (string, error) {
	if strings.ContainsAny(s, "\"\n\r\x00") {
		return "", errors.New("the value holds a double quote or has several lines, which cannot be quoted here")
	}
	return s, nil
}

func filterUnbase64(s string) (string, error) {
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil {
		return "", errors.New("the value is not base64")
	}
	return string(text), nil
}
