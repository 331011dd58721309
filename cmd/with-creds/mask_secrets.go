package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/step/mask"
)

// secretsOf are the secrets in a file's content: the whole, and of JSON each string, of other text each block of PEM, each line that is in none,
// and what a line assigns. Whoever names the file says that all of it is secret; what is a name is not told apart.
func secretsOf(content string) []string {
	whole := strings.TrimSpace(content)
	secrets, ok := mask.Strings(whole)
	if !ok {
		secrets = secretsOfLines(content)
	}
	if whole != "" && !slices.Contains(secrets, whole) {
		secrets = append(secrets, whole)
	}
	return secrets
}

// secretsOfLines leaves a line of PEM by itself out: it is looked for as part of its block.
func secretsOfLines(content string) []string {
	var secrets, block []string
	for line := range strings.SplitSeq(content, "\n") {
		line = strings.TrimSuffix(line, "\r")
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "-----BEGIN "):
			block = []string{line}
		case strings.HasPrefix(text, "-----END ") && block != nil:
			secrets = append(secrets, strings.Join(append(block, line), "\n"))
			block = nil
		case block != nil:
			block = append(block, line)
		case text != "":
			secrets = append(secrets, line)
			secrets = append(secrets, assigned(line)...)
		}
	}
	for _, line := range block { // never ended, so it was none
		if strings.TrimSpace(line) != "" {
			secrets = append(secrets, line)
		}
	}
	return secrets
}

// assigning is NAME=value as a shell, a dotenv file or an ini file has it. A value that begins with = is the padding of base64.
var assigning = regexp.MustCompile(`^\s*(?:export\s+)?[A-Za-z_][\w.-]*\s*=\s*([^=\s].*?)\s*$`)

// assigned are the values that readers of a line NAME=value may take it for: they do not agree on escapes and comments.
func assigned(line string) []string {
	m := assigning.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	value := m[1]
	if quote := value[:1]; quote == `"` || quote == `'` {
		end := strings.LastIndex(value, quote)
		if end == 0 {
			return nil // it goes on in the next line, which is a secret by itself
		}
		value = value[1:end]
		if quote == `'` {
			return []string{value}
		}
		return distinct(value, shellUnescaped.Replace(value), dotenvUnescaped.Replace(value))
	}
	beforeComment, _, _ := strings.Cut(value, " #")
	return distinct(value, strings.TrimRight(beforeComment, " \t"))
}

var (
	shellUnescaped  = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`")
	dotenvUnescaped = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`", `\n`, "\n", `\r`, "\r", `\t`, "\t")
)

// distinct is each of some once.
func distinct(some ...string) []string {
	slices.Sort(some)
	return slices.Compact(some)
}
