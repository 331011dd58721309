package main

import "strings"

// undefined is the name of the flag that the flag parser of the standard library says it does not know. It has no error type for it.
func undefined(err error) (string, bool) {
	return strings.CutPrefix(err.Error(), "flag provided but not defined: -")
}
