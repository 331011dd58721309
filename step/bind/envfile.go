package bind

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EnvFile is the values as dotenv text, one NAME=value a line, that `docker run --env-file`, `source` in bash and POSIX
// shells, systemd's EnvironmentFile= and godotenv each read back to the same bytes.
//
// The rule that makes this possible: a value stands as it is, and never quoted. Docker takes a line literally, quotes and
// backslashes included (docker/cli, pkg/kvfile), where the other three would take them away. So a value that any of them
// would need quotes for cannot be carried to all, and is refused: one with a line end or other white space, a quote, a
// backslash, $ ` ; & | < > ( ), a ~ where a shell expands it, a control character, bytes that are not UTF-8, or a line of
// 64 KiB or more, at which docker stops reading. The error names the variables and the two ways around: a private file,
// or the filter base64.
func EnvFile(values []Value) (string, error) {
	var b strings.Builder
	var errs []error
	for _, v := range values {
		line := v.Name + "=" + v.Variable()
		if why := unportable(v.Variable()); why != "" {
			errs = append(errs, fmt.Errorf("%s cannot stand in an env file: %s; bind it as a file (%s=@field) or as {field|base64}", v.Name, why, v.Name))
		} else if len(line) > longestEnvLine {
			errs = append(errs, fmt.Errorf("%s cannot stand in an env file: it is longer than docker reads (%d bytes a line); bind it as a file (%s=@field)", v.Name, longestEnvLine, v.Name))
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return b.String(), nil
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
