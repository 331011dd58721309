package providers

import (
	"crypto/rand"
	"strings"
)

// LowerName keeps of a name what may stand without quotes wherever a provider names what it makes, such as an SQL user (a–z, 0–9, _), up to limit bytes.
func LowerName(name string, limit int) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, name)
	return kept[:min(limit, len(kept))]
}

// LowerText is n characters of a–z and 2–7 at random, five bits each; at most 26.
func LowerText(n int) string { return strings.ToLower(rand.Text()[:n]) }
