package mysql

import "strings"

// The statements that make users take no parameters, so what goes into them is quoted here. Every connection has
// sql_mode=NO_BACKSLASH_ESCAPES and the character set utf8mb4, which these functions rely on.

// literal quotes a string.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// ident quotes a name.
func ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
