package mask

import "strings"

// chooseMarker returns a marker that forms no secret in the output: want, if that is one.
//
// A form in the output that was not in the text has a part of a marker in it. So it holds a whole marker, or lies within
// one, or begins with the end of one, or ends with the beginning of one. A marker for which no form does any of these is safe.
//
// There is no such marker where the forms between them end with every byte there is, or begin with every byte. That takes
// hundreds of binary secrets; then want is returned all the same.
func chooseMarker(want string, forms []string) string {
	for _, m := range []string{want, DefaultMarker, "[masked]", "<masked>"} {
		if markerIsSafe(m, forms) {
			return m
		}
	}
	var first, last [256]bool
	for _, f := range forms {
		first[f[0]] = true
		last[f[len(f)-1]] = true
	}
	// One that begins with a byte no form ends with, and ends with one that no form begins with. Printable ones before others.
	for b := range 256 {
		begin := byte(' ' + 1 + b)
		if last[begin] {
			continue
		}
		for e := range 256 {
			end := byte(' ' + 1 + e)
			if first[end] {
				continue
			}
			for _, m := range []string{string([]byte{begin, end}), string([]byte{begin, begin, end, end})} {
				if markerIsSafe(m, forms) {
					return m
				}
			}
		}
	}
	return want
}

func markerIsSafe(marker string, forms []string) bool {
	for _, f := range forms {
		if strings.Contains(f, marker) || strings.Contains(marker, f) {
			return false
		}
		for n := 1; n < len(marker) && n < len(f); n++ {
			if strings.HasSuffix(f, marker[:n]) || strings.HasPrefix(f, marker[len(marker)-n:]) {
				return false
			}
		}
	}
	return true
}
