package postgres

import "strings"

// Utility statements (CREATE ROLE, DO, REASSIGN OWNED …) take no parameters, so what goes into them is quoted here. Connections are
// made with client_encoding UTF8 and every name has passed checkName, which these functions rely on.

// ident quotes an identifier.
func ident(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// literal quotes a string constant, whether standard_conforming_strings is on or off (as libpq's PQescapeLiteral does).
func literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
