package main

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// printJSON is what --json prints.
func printJSON(to io.Writer, v any) error {
	out := json.NewEncoder(to)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// oneLine is a text that may have a server's words in it; the errors that were joined in it are told apart.
func oneLine(text string) string { return providers.OneLine(strings.ReplaceAll(text, "\n", "; "), 0) }

// lines is oneLine for a text that has several, as an explanation with an example has.
func lines(text string) string {
	all := strings.Split(text, "\n")
	for i, line := range all {
		line = providers.OneLine(line, 0)
		if strings.HasPrefix(line, "::") {
			line = " " + line // GitHub's runner takes it for a command
		}
		all[i] = line
	}
	return strings.Join(all, "\n")
}

// row is a line of a table.
func row(cells ...string) string {
	for i := range cells {
		cells[i] = oneLine(cells[i])
	}
	return strings.Join(cells, "\t")
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
