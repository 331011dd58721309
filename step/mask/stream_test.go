package mask

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// How others' maskers leak. Their secrets are lengthened by doubling each letter, which keeps what makes them leak.
func TestLeaksOfOthersDoNotOccurHere(t *testing.T) {
	d := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			b.WriteString(strings.Repeat(string(r), 2))
		}
		return b.String()
	}
	for _, c := range []struct {
		name    string
		secrets []string
		writes  []string
		want    string
	}{
		{"a match restarted without its failure links", []string{d("ababc")}, []string{d("abab"), d("abc")}, d("ab") + "***"},
		{"a secret whose beginning repeats", []string{d("aab")}, []string{d("xaaab")}, "xxaa***"},
		{"a beginning that is begun again", []string{d("abcabd")}, []string{d("abcabcabd")}, d("abc") + "***"},
		{"two secrets that overlap", []string{"abcdef", "defghi"}, []string{"abcdefghi"}, "***"},
		{"a short secret inside a long one, short first", []string{"secret", "my-secret-2026"}, []string{"my-secret-2026 secret"}, "*** ***"},
		{"a short secret inside a long one, long first", []string{"my-secret-2026", "secret"}, []string{"my-secret-2026 secret"}, "*** ***"},
		{"a long one that comes to nothing hides no short one", []string{"my-secret-2026", "secret"}, []string{"my-secret-2025"}, "my-***-2025"},
		{"secrets side by side", []string{"abcdef", "ghijkl"}, []string{"abcdefghijkl"}, "***"},
		{"secrets side by side, in two writes", []string{"abcdef", "ghijkl"}, []string{"abcdef", "ghijkl"}, "***"},
		{"a secret that overlaps itself", []string{"abaaba"}, []string{"abaabaaba"}, "***"},
		{"the same secret twice", []string{"abcdef", "abcdef"}, []string{"abcdef abcdef"}, "*** ***"},
		{"a line never ended", []string{"abcdef"}, []string{"abcde"}, "abcde"},
		{"a secret that ends the text", []string{"abcdef"}, []string{"xabcdef"}, "x***"},
		{"a secret after the marker's own letter", []string{"abcdef"}, []string{"**abcdef**"}, "*******"},
		{"NUL and bytes that are no UTF-8", []string{"\x00\xff\x00\xff\x00\xfe"}, []string{"\x00\xff\x00\xff\x00", "\xff\x00\xff\x00\xfe\xff"}, "\x00\xff\x00\xff***\xff"},
		{"a secret across many writes", []string{"abcdefghijkl"}, []string{"--abc", "d", "", "efghij", "kl--"}, "--***--"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := masker(c.secrets...)
			text := strings.Join(c.writes, "")
			var cuts []int
			at := 0
			for _, w := range c.writes {
				at += len(w)
				cuts = append(cuts, at)
			}
			if got := m.mask(t, text, cuts...); got != c.want {
				t.Errorf("as they wrote it: got %q, want %q", got, c.want)
			}
			if got := m.mask(t, text, everyByte(text)...); got != c.want {
				t.Errorf("a byte at a time: got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMarkerThatHoldsASecretIsReplaced(t *testing.T) {
	m := New(Options{Marker: "<secret-0>"})
	m.Add("secret-0")
	if got := m.mask(t, "it is secret-0!"); got != "it is ***!" {
		t.Errorf("got %q", got)
	}
}

func TestMarkerFormsNoSecretWithTheTextAroundIt(t *testing.T) {
	for _, c := range []struct{ secret, text string }{
		{"abcde*", "abcdeSECRET"},        // the text before, and the beginning of the marker
		{"abcd**", "abcdSECRET"},         //
		{"*bcdef", "SECRETbcdef"},        // the end of the marker, and the text after
		{"**cdef", "SECRETcdef"},         //
		{"ab***cd", "abSECRETcd"},        // the text on both sides
		{"******", "SECRET SECRET"},      // nothing but markers
		{"d]efghi", "SECRET]efghi"},      //
		{"*[efghi]", "*[efghSECRET]***"}, // what would be chosen next conflicts too
	} {
		m := masker(append([]string{"SECRET"}, c.secret)...)
		if out := m.mask(t, c.text); strings.Contains(out, c.secret) {
			t.Errorf("secret %q: %q became %q", c.secret, c.text, out)
		}
	}
}

func TestMarkerIsSettable(t *testing.T) {
	m := New(Options{Marker: "[hidden]"})
	m.Add("secret-0")
	if got := m.mask(t, "it is secret-0!"); got != "it is [hidden]!" {
		t.Errorf("got %q", got)
	}
}

// Lengths around every size the engine knows, in steps around the same: what is held, copied and cut meets everywhere.
func TestEverySizeByEveryStep(t *testing.T) {
	secret := random(40, alphanumeric)
	m := masker(secret, secret[:30]+"x", secret[5:20])
	sizes := []int{0, 1, gram - 1, gram, gram + 1, maxStride - 1, maxStride, maxStride + gram - 1, maxStride + gram, 39, 40, 41, 80, 4095, 4096, 4097, pieceSize - 1, pieceSize, pieceSize + 1, 2*pieceSize + 1}
	for _, size := range sizes {
		// Secrets and beginnings of them, not a whole number of them.
		text := strings.Repeat(secret[:39]+"-"+secret+secret[:7]+"\n", size/80+1)[:size]
		want := m.oracle(text)
		for _, step := range sizes[1:] {
			if size/step > 10_000 {
				continue
			}
			var cuts []int
			for at := step; at < size; at += step {
				cuts = append(cuts, at)
			}
			if got := m.mask(t, text, cuts...); got != want {
				t.Errorf("%d bytes in writes of %d: %d bytes came out, not %d, or others", size, step, len(got), len(want))
			}
		}
	}
}

func TestPromptsLeaveAtOnce(t *testing.T) {
	var out bytes.Buffer
	m := masker("abcdef", "Zbcdef")
	s := m.Stream(&out)
	for _, step := range []struct{ write, want string }{
		{"Continue? [y/N] ", "Continue? [y/N] "},
		{"\r 10%", "\r 10%"},
		{"\r100%\r\n", "\r100%\r\n"},
		{"abc", ""},
		{"def", "***"},
		{"Zb", ""},
		{"?", "Zb?"},
	} {
		out.Reset()
		io.WriteString(s, step.write)
		if got := out.String(); got != step.want {
			t.Errorf("wrote %q: %q left, not %q", step.write, got, step.want)
		}
	}
}

func TestShortValuesAreToldOfAndNotMasked(t *testing.T) {
	m := New(Options{})
	short := random(MinLength-1, alphanumeric)
	warnings := m.Add("", random(20, alphanumeric), short, "  "+short[:3]+"\n\n\n", " \n \n \n")
	var indexes []int
	for _, w := range warnings {
		indexes = append(indexes, w.Index)
		if strings.Contains(w.String(), short[:3]) {
			t.Errorf("the warning shows the value: %s", w)
		}
	}
	if fmt.Sprint(indexes) != "[2 3 4]" {
		t.Errorf("warned of %v", indexes)
	}
	if got := m.mask(t, short); got != short {
		t.Errorf("a short value became %q", got)
	}
	if got := m.mask(t, " \n \n \n"); got != " \n \n \n" {
		t.Errorf("spaces became %q", got)
	}
}

func TestNothingToMaskPassesEverything(t *testing.T) {
	m := New(Options{})
	m.Add("")
	if !m.Empty() {
		t.Error("not empty")
	}
	if got := m.mask(t, "any thing\n"); got != "any thing\n" {
		t.Errorf("got %q", got)
	}
}

func TestSecretAddedWhileItsBeginningIsHeld(t *testing.T) {
	var out bytes.Buffer
	m := masker("abcdefXX")
	s := m.Stream(&out)
	io.WriteString(s, "--abcdef") // held for the sake of the old secret
	m.add([]string{"bcdefgh", "cdefYY"})
	io.WriteString(s, "gh--")
	io.WriteString(s, "abcdefXX--cdefYY")
	s.Close()
	if got, want := out.String(), "--a***--***--***"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSecretAddedWhileItIsHeldWhole(t *testing.T) {
	var out bytes.Buffer
	m := masker("abcdefghijXX")
	s := m.Stream(&out)
	io.WriteString(s, "--abcdefghij")
	m.add([]string{"bcdefg"})
	s.Close()
	if got, want := out.String(), "--a***hij"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A form may begin in bytes that left as a marker; a new set must not lose sight of it.
func TestLongerSecretIsFollowedAcrossAnAdd(t *testing.T) {
	var out bytes.Buffer
	m := masker("abcdef", "abcdefghijkl")
	s := m.Stream(&out)
	io.WriteString(s, "abcdefghi")
	m.add([]string{"unrelated"})
	io.WriteString(s, "jkl!")
	s.Close()
	if got, want := out.String(), "***!"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The race detector reads along. A value is masked in every write that begins after its Add, on every stream.
func TestAddWhileStreamsWrite(t *testing.T) {
	m := New(Options{})
	first := random(20, alphanumeric)
	m.Add(first)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			var out bytes.Buffer
			s := m.Stream(&out)
			written := 0
			for {
				select {
				case <-stop:
					s.Close()
					if want := strings.Repeat("***\n", written); out.String() != want {
						t.Errorf("%d lines came out as %d bytes", written, out.Len())
					}
					return
				default:
					io.WriteString(s, first[:7])
					io.WriteString(s, first[7:]+"\n")
					written++
				}
			}
		})
	}
	for range 50 {
		value := random(24, alphanumeric)
		m.Add(value)
		if got := m.mask(t, value); got != "***" {
			t.Errorf("right after its Add a value came out as %d bytes", len(got))
		}
	}
	close(stop)
	wg.Wait()
}

type failing struct {
	after int // bytes it takes
	err   error
	calls int
}

func (f *failing) Write(p []byte) (int, error) {
	f.calls++
	if len(p) > f.after {
		n := f.after
		f.after = 0
		return n, f.err
	}
	f.after -= len(p)
	return len(p), nil
}

func TestErrorOfTheDestinationEndsTheStream(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, m := range []*Masker{New(Options{}), masker("abcdef")} {
		dst := &failing{after: 10, err: broken}
		s := m.Stream(dst)
		if n, err := io.WriteString(s, "12345678"); n != 8 || err != nil {
			t.Error(n, err)
		}
		if _, err := io.WriteString(s, "12345678"); err != broken {
			t.Errorf("Write: %v", err)
		}
		calls := dst.calls
		if _, err := io.WriteString(s, "1"); err != broken {
			t.Errorf("Write after an error: %v", err)
		}
		if err := s.Close(); err != broken {
			t.Errorf("Close after an error: %v", err)
		}
		if dst.calls != calls {
			t.Error("it was written to again")
		}
	}
}

func TestDestinationThatTakesLessIsAnError(t *testing.T) {
	s := masker("abcdef").Stream(&failing{after: 3})
	if _, err := io.WriteString(s, "12345678"); err != io.ErrShortWrite {
		t.Error(err)
	}
}

func TestCloseWritesWhatIsHeldOnce(t *testing.T) {
	var out bytes.Buffer
	s := masker("abcdef").Stream(&out)
	io.WriteString(s, "abcde")
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if out.String() != "abcde" {
		t.Errorf("got %q", out.String())
	}
	if _, err := io.WriteString(s, "f"); err == nil {
		t.Error("a closed stream takes more")
	}
}

func TestCopyMasksAReader(t *testing.T) {
	m := masker("abcdef")
	text := strings.Repeat("12abcdef34\n", 20_000) + "abcde"
	for _, src := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		var out bytes.Buffer
		if err := m.Copy(&out, src); err != nil {
			t.Fatal(err)
		}
		if want := strings.Repeat("12***34\n", 20_000) + "abcde"; out.String() != want {
			t.Errorf("%d bytes came out, not %d, or others", out.Len(), len(want))
		}
	}
	lost := errors.New("connection lost")
	var out bytes.Buffer
	err := m.Copy(&out, io.MultiReader(strings.NewReader("12abc"), iotest.ErrReader(lost)))
	if err != lost || out.String() != "12abc" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if err := m.Copy(&failing{err: lost}, strings.NewReader("12")); err != lost {
		t.Error(err)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	m := New(Options{})
	secrets := benchSecrets(10)
	m.Add(secrets...)
	s := m.Stream(&discard{})
	text := append(logText(40<<10), strings.Repeat(secrets[0]+" "+secrets[1]+secrets[2][:20]+"\n", 100)...)
	s.Write(text)
	if n := testing.AllocsPerRun(50, func() {
		for at := 0; at < len(text); at += 1000 {
			s.Write(text[at:min(at+1000, len(text))])
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One gigabyte without a line's end, under a thousand secrets and one of 64 KB, all of it beginnings of secrets.
func TestMemoryDoesNotDependOnTheText(t *testing.T) {
	size := 1 << 30
	if testing.Short() {
		size = 1 << 26
	}
	long := strings.Repeat("a", 64<<10) + "b"
	m := masker(append(benchSecrets(1000), long)...)
	s := m.Stream(&discard{})
	chunk := bytes.Repeat([]byte("a"), 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range size / len(chunk) {
		if _, err := s.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
	if n := len(s.held.bytes()); n != 64<<10 {
		t.Errorf("%d bytes are held, not the longest beginning", n)
	}
}

func TestSecretOf64KBIsMaskedInItsForms(t *testing.T) {
	key := random(64<<10, alphanumeric)
	m := New(Options{})
	m.Add(key)
	if got := m.mask(t, "<"+key+">"); got != "<***>" {
		t.Errorf("%d bytes came out", len(got))
	}
	t.Logf("%d bytes of tables", m.set.Load().matcher.size())
}

func TestMaskedCountsMarkers(t *testing.T) {
	m := New(Options{})
	m.Add("s3cret-value")
	s := m.Stream(io.Discard)
	io.WriteString(s, "s3cret-value and s3cret-")
	io.WriteString(s, "values3cret-value, s3cret-")
	if s.Masked() != 2 {
		t.Errorf("%d; two that touch are one marker, and what is held back is none", s.Masked())
	}
}
