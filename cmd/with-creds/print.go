package main

import (
	"encoding/json"
	"io"
	"strings"
	"unicode"
)

// printJSON is what --json prints.
func printJSON(to io.Writer, v any) error {
	out := json.NewEncoder(to)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// oneLine is harmless, without the ends of lines.
func oneLine(text string) string { return harmless(strings.ReplaceAll(text, "\n", "; ")) }

// harmless is a text that may have names of a server's in it, without what a terminal would take for commands, or a CI for the end of a line.
func harmless(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.ReplaceAll(text, "\n::", "\n ::") // at the beginning of a line, where GitHub's runner looks for commands
}

// plural is the ending of a word of which there are n.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
