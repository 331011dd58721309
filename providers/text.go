package providers

import (
	"strings"
	"unicode"
)

// OneLine is somebody else's text, a server's or a program's, as it may stand in a message: one line of printable characters, of which there are at most so
// many (0: as many as there are). A terminal finds no command in it, and a CI no line of its own. It hides no secret.
func OneLine(text string, most int) string {
	var line strings.Builder
	n, gap := 0, false
	for _, r := range text {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			gap = n > 0
			continue
		}
		if gap && r != ' ' {
			line.WriteByte(' ')
			n++
		}
		gap = false
		if most > 0 && n >= most {
			return strings.TrimRight(line.String(), " ") + "…"
		}
		line.WriteRune(r)
		n++
	}
	return strings.TrimRight(line.String(), " ")
}
