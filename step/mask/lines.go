package mask

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
)

// Lines are what a filter that works line by line, such as a CI's own, has to know of a value: the value, or of one that has several lines each that is
// worth masking where it stands alone, the spaces around it left out; and those of the secrets within it. None of them is left out for holding another: such a filter masks where texts overlap.
func Lines(value string) []string {
	some := ownLines(value)
	for _, secret := range Within(value) {
		some = append(some, ownLines(secret)...)
	}
	return some
}

func ownLines(value string) []string {
	lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 })
	worth := isWorthMasking
	if len(lines) == 1 {
		worth = func(line string) bool { return len(line) >= MinLength }
	}
	var some []string
	for _, l := range lines {
		if l = strings.TrimSpace(l); worth(l) {
			some = append(some, l)
		}
	}
	return some
}

// LineForms are the forms of a value that tools print on one line in place of Lines, shortest first for each line: escaped, in base64 wherever in the
// encoded text it stands, in hexadecimal, and the lines of the whole value's base64 as base64(1) and openssl wrap it. What holds the line itself is masked
// with it, and is not among them; nor is what holds another form of the same line. They are less than Forms by far, which is for a search that
// does not care how many there are.
func LineForms(value string) []string {
	var forms []string
	for _, line := range Lines(value) {
		forms = append(forms, apart(line, appendHex(appendBase64(appendEscapes(nil, line), line), line))...)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(value))
	for _, columns := range []int{64, 76} {
		if len(encoded) <= columns {
			continue
		}
		for l := range strings.SplitSeq(wrap(encoded, columns, "\n"), "\n") {
			if len(l) >= pieceLength {
				forms = append(forms, l)
			}
		}
	}
	return forms
}

// apart are those of a line's forms that are one line themselves, and hold neither it nor another of them.
func apart(line string, forms []string) []string {
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	kept := []string{line}
	for _, f := range longEnough(forms) {
		if !strings.Contains(f, "\n") && !slices.ContainsFunc(kept, func(shorter string) bool { return strings.Contains(f, shorter) }) {
			kept = append(kept, f)
		}
	}
	return kept[1:]
}
