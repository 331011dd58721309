package mask

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// oracle masks by the definition: all occurrences of all forms in the whole text, the union of their ranges, one marker
// a range. It shares nothing with the engine but the list of forms and the marker.
func oracle(forms []string, marker, text string) string {
	return render(text, secretBytes(forms, text), marker)
}

func secretBytes(forms []string, text string) []bool {
	secret := make([]bool, len(text))
	for _, f := range forms {
		for at := 0; at+len(f) <= len(text); at++ {
			if text[at:at+len(f)] == f {
				for i := range len(f) {
					secret[at+i] = true
				}
			}
		}
	}
	return secret
}

func render(text string, secret []bool, marker string) string {
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			out.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			out.WriteString(marker)
		}
	}
	return out.String()
}

// masker returns a Masker that looks for exactly these forms.
func masker(forms ...string) *Masker {
	m := New(Options{})
	m.add(longEnough(append([]string(nil), forms...)))
	return m
}

func (m *Masker) oracle(text string) string {
	s := m.set.Load()
	return oracle(s.forms, string(s.marker), text)
}

// mask passes the text through a new stream, cut at the given places.
func (m *Masker) mask(t interface{ Fatal(...any) }, text string, cuts ...int) string {
	var out bytes.Buffer
	s := m.Stream(&out)
	at := 0
	for _, c := range append(cuts, len(text)) {
		if n, err := s.Write([]byte(text[at:c])); n != c-at || err != nil {
			t.Fatal("Write: ", n, err)
		}
		at = c
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// everyByte cuts a text into writes of one byte.
func everyByte(text string) []int {
	cuts := make([]int, len(text))
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

// A few letters and lengths near each other make forms overlap, nest and begin each other all the time.
func drawForms(t *rapid.T, alphabet string) []string {
	letter := rapid.SampledFrom([]byte(alphabet))
	form := rapid.Map(rapid.SliceOfN(letter, MinLength, 14), func(b []byte) string { return string(b) })
	return rapid.SliceOfN(form, 1, 12).Draw(t, "forms")
}

// drawText is made of letters, and of pieces of forms so that long ones occur and nearly occur.
func drawText(t *rapid.T, alphabet string, forms []string) string {
	var text strings.Builder
	for range rapid.IntRange(0, 30).Draw(t, "parts") {
		if rapid.Bool().Draw(t, "of a form") {
			f := rapid.SampledFrom(forms).Draw(t, "form")
			from := rapid.IntRange(0, len(f)).Draw(t, "from")
			text.WriteString(f[from:rapid.IntRange(from, len(f)).Draw(t, "to")])
		} else {
			text.WriteString(rapid.StringOfN(rapid.SampledFrom([]rune(alphabet)), 0, 25, -1).Draw(t, "letters"))
		}
	}
	return text.String()
}

func drawCuts(t *rapid.T, text string) []int {
	var cuts []int
	for at := 0; at < len(text); {
		at = min(at+rapid.IntRange(0, 9).Draw(t, "step")*rapid.SampledFrom([]int{1, 1, 5}).Draw(t, "times"), len(text))
		cuts = append(cuts, at)
	}
	return cuts
}

func TestOutputIsTheOraclesForEveryCutting(t *testing.T) {
	for _, alphabet := range []string{"ab", "abc", "ab*", "a*", "abcdefgh "} {
		t.Run(alphabet, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				forms := drawForms(t, alphabet)
				text := drawText(t, alphabet, forms)
				m := masker(forms...)
				want := m.oracle(text)
				for _, cuts := range [][]int{nil, everyByte(text), drawCuts(t, text)} {
					if got := m.mask(t, text, cuts...); got != want {
						t.Fatalf("forms %q\ntext %q\ncuts %v\ngot  %q\nwant %q", forms, text, cuts, got, want)
					}
				}
			})
		})
	}
}

// What is not held back must be exactly what could become a form, no more and no less.
func TestOnlyBytesThatMayBeginASecretAreHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		forms := drawForms(t, "ab")
		text := drawText(t, "abc", forms)
		m := masker(forms...)
		var out bytes.Buffer
		s := m.Stream(&out)
		for i := range len(text) {
			io.WriteString(s, text[i:i+1])
			so := text[:i+1]
			held := 0
			for _, f := range forms {
				for n := min(len(f), len(so)); n > held; n-- {
					if strings.HasSuffix(so, f[:n]) {
						held = n
					}
				}
			}
			secret := secretBytes(forms, so)
			decided := len(so) - held
			for decided < len(so) && secret[decided] {
				decided++ // masked whatever comes
			}
			want := render(so[:decided], secret, string(m.set.Load().marker))
			if got := out.String(); got != want {
				t.Fatalf("forms %q\ntext %q\nheld %d\ngot  %q\nwant %q", forms, so, held, got, want)
			}
		}
	})
}

// What was released is shown as it was decided then; everything else is the oracle's.
func TestWhatIsReleasedIsShownAndTheRestOfASecretIsMasked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		forms := drawForms(t, "ab")
		text := drawText(t, "abc", forms)
		m := masker(forms...)
		var out bytes.Buffer
		s := m.Stream(&out)
		secret := secretBytes(forms, text)
		at := 0
		for _, c := range append(drawCuts(t, text), len(text)) {
			io.WriteString(s, text[at:c])
			at = c
			if !rapid.Bool().Draw(t, "release") {
				continue
			}
			s.Release()
			for i, found := range secretBytes(forms, text[:at]) {
				if !found {
					secret[i] = false // shown
				}
			}
			if got, want := out.String(), render(text[:at], secret[:at], string(m.set.Load().marker)); got != want {
				t.Fatalf("forms %q\ntext %q, of which %d released\ngot  %q\nwant %q", forms, text, at, got, want)
			}
		}
		s.Close()
		if got, want := out.String(), render(text, secret, string(m.set.Load().marker)); got != want {
			t.Fatalf("forms %q\ntext %q\ngot  %q\nwant %q", forms, text, got, want)
		}
	})
}

func TestWhatWasReleasedIsNotMarkedAgainAfterAnAdd(t *testing.T) {
	var out bytes.Buffer
	m := masker("abcdef", "xabcdefYZ")
	s := m.Stream(&out)
	io.WriteString(s, "xabcdef")
	s.Release()
	io.WriteString(s, "Y")
	s.Release()
	m.add([]string{"another"}) // what is held is searched anew, abcdef is in it
	io.WriteString(s, ".")
	s.Close()
	if got := out.String(); got != "x***Y." {
		t.Errorf("%q", got)
	}
}

func TestMarkerNeverFormsASecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]string{"a*", "ab*", "*[]<>masked"}).Draw(t, "alphabet")
		forms := drawForms(t, alphabet)
		text := drawText(t, alphabet, forms)
		out := masker(forms...).mask(t, text)
		for _, f := range forms {
			if strings.Contains(out, f) {
				t.Fatalf("forms %q\ntext %q\nout  %q holds %q", forms, text, out, f)
			}
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("ababababc\x00ababab"), []byte("abababababcabababab"), []byte{3, 1})
	f.Add([]byte("aaaaaab\x00abaaaa\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), []byte("aaaaaaaaaaaaabaaaabaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), []byte{1})
	f.Add([]byte("***abc\x00abc***"), []byte("abc***abc***abc"), []byte{7, 2})
	f.Add([]byte("abcdefghijkl\x00defghi\x00ijklmnop"), []byte("xxabcdefghijkabcdefghijklmnopqqqqqqqqqqqqqqqqqqqqqqqqqqqqdefghidefghi"), []byte{40})
	f.Fuzz(func(t *testing.T, forms, text, steps []byte) {
		if len(forms) > 4096 || len(text) > 1<<14 {
			return
		}
		m := masker(strings.Split(string(forms), "\x00")...)
		want := m.oracle(string(text))
		var cuts []int
		for at, i := 0, 0; len(steps) > 0 && at < len(text); i++ {
			at = min(at+max(int(steps[i%len(steps)]), 1), len(text))
			cuts = append(cuts, at)
		}
		for _, c := range [][]int{nil, everyByte(string(text)), cuts} {
			if got := m.mask(t, string(text), c...); got != want {
				t.Fatalf("forms %q\ntext %q\ncuts %v\ngot  %q\nwant %q", forms, text, c, got, want)
			}
		}
	})
}

// Any value at all, in all its forms, in a text made of those forms' pieces and the fuzzer's bytes.
func FuzzAdd(f *testing.F) {
	f.Add("hunter2-hunter2", []byte("\x00\x10\x05 text"), []byte{1, 7})
	f.Add("-----BEGIN KEY-----\nabcdefgh\r\n  ijkl mnop\n-----END KEY-----\n", []byte("\x03\x10\x07\x20"), []byte{64})
	f.Add("\xff\xfe'\"\\\x00$`é😀<&>", []byte("\x01\x02\x03\x04\x05"), []byte{3})
	f.Add("'it's!\r\n\"$a%b\"\r\n\x01é/+'", []byte("\x7f\x10\x7e\x22\x05"), []byte{2, 9})
	f.Add("****** ***", []byte("*******\x00***"), []byte{2})
	f.Fuzz(func(t *testing.T, value string, bytes, steps []byte) {
		if len(value) > 200 || len(bytes) > 300 {
			return
		}
		m := New(Options{})
		m.Add(value)
		forms := m.set.Load().forms
		var b strings.Builder
		for i, c := range bytes {
			if len(forms) == 0 || c >= 0x80 {
				b.WriteByte(c)
				continue
			}
			f := forms[(int(c)*31+i)%len(forms)]
			b.WriteString(f[:len(f)*int(c)/0x7f])
		}
		b.WriteString(value)
		text := b.String()
		var cuts []int
		for at, i := 0, 0; len(steps) > 0 && at < len(text); i++ {
			at = min(at+max(int(steps[i%len(steps)]), 1), len(text))
			cuts = append(cuts, at)
		}
		want := m.oracle(text)
		if got := m.mask(t, text, cuts...); got != want {
			t.Fatalf("value %q\ntext %q\ncuts %v\ngot  %q\nwant %q", value, text, cuts, got, want)
		}
		if got := m.mask(t, text); got != want {
			t.Fatalf("value %q\ntext %q in one write\ngot  %q\nwant %q", value, text, got, want)
		}
	})
}
