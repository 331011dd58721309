package mask

import (
	"encoding/base64"
	"strings"
)

// appendBase64 adds what of a secret's bytes shows in the base64 (RFC 4648, both alphabets) of a text it is part of.
//
// Three bytes make four characters, so there are three ways to stand in that text: r = 0, 1 or 2 bytes after a group's
// start. The first ceil(8r/6) characters are mixed with what stands before, and the last one, where the bits do not come
// out even, with what stands after; all between are the secret's alone. Where the encoded text ends with the secret, or
// with it and the line feed of echo, the last characters are known too.
func appendBase64(forms []string, text string) []string {
	for r := range 3 {
		forms = appendAlphabets(forms, inner(text, r))
		forms = appendAlphabets(forms, atEnd(text, r)...)
	}
	return forms
}

// atEnd is what shows where the encoded text ends with the secret, with and without padding.
func atEnd(text string, r int) (shown []string) {
	for _, end := range []string{"", "\n"} {
		encoded := base64.StdEncoding.EncodeToString([]byte("\x00\x00"[:r] + text + end))[lead(r):]
		shown = append(shown, encoded, strings.TrimRight(encoded, "="))
	}
	return shown
}

// lead is how many characters the r bytes before a secret have a share in.
func lead(r int) int { return (8*r + 5) / 6 }

// inner is the characters that are the secret's alone.
func inner(text string, r int) string {
	encoded := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:r] + text))
	return encoded[lead(r) : 8*(r+len(text))/6]
}

// Wrapped base64 is masked by pieces of pieceLength characters. Lines are a multiple of four long (64, PEM and openssl;
// 76, MIME and base64), so a piece begins at every fourth character.
const pieceLength = 12

// appendWrappedBase64 adds forms that mask a secret in base64 whose lines end anywhere within it, whatever their length and
// whatever stands between them: every piece of it, and at both its ends, where what a line's end leaves is shorter than a
// piece, that rest together with the line's end and the piece beyond. Only a rest there, and only where lines are indented,
// is not masked.
func appendWrappedBase64(forms []string, text string) []string {
	for r := range 3 {
		in := inner(text, r)
		first := (4 - lead(r)) % 4 // where in in a group of four begins
		if len(in) > pieceLength+first {
			// The ends, which are no whole groups.
			last := len(in) - pieceLength
			forms = appendAlphabets(forms, in[:pieceLength+first], in[last:])
			for _, shown := range atEnd(text, r) {
				forms = appendAlphabets(forms, shown[last:])
			}
		}
		for at := first; at < len(in); at += 4 {
			if at+pieceLength <= len(in) {
				forms = appendAlphabets(forms, in[at:at+pieceLength])
			}
			if at == 0 || at >= pieceLength && len(in)-at >= pieceLength {
				continue
			}
			before, after := in[max(0, at-pieceLength):at], in[at:min(len(in), at+pieceLength)]
			forms = appendAlphabets(forms, before+"\n"+after, before+"\r\n"+after)
			if len(in)-at < pieceLength {
				for _, shown := range atEnd(text, r) {
					forms = appendAlphabets(forms, before+"\n"+shown[at:], before+"\r\n"+shown[at:])
				}
			}
		}
	}
	return forms
}

// appendAlphabets adds text in standard base64, and the same in the alphabet for URLs.
func appendAlphabets(forms []string, text ...string) []string {
	for _, t := range text {
		forms = append(forms, t)
		if strings.ContainsAny(t, "+/") {
			forms = append(forms, strings.NewReplacer("+", "-", "/", "_").Replace(t))
		}
	}
	return forms
}

// appendBasic adds the forms of HTTP's basic authorization value, which begins its own base64.
func appendBasic(forms []string, user, secret string) []string {
	encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	return appendAlphabets(forms, encoded, strings.TrimRight(encoded, "="))
}
