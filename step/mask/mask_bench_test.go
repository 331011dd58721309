package mask

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// The texts are the same in every run, so that figures can be compared: seeded, and no secret of anyone's.
func seeded(n int, r *rand.Rand, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func benchSecrets(n int) []string {
	r := rand.New(rand.NewPCG(1, 1))
	secrets := make([]string, n)
	for i := range secrets {
		switch i % 4 {
		case 0, 1:
			secrets[i] = "A1a-" + seeded(16, r, alphanumeric) // Vault's database passwords
		case 2:
			secrets[i] = seeded(40, r, alphanumeric+"+/") // AWS
		case 3:
			secrets[i] = "hvs.CAES" + seeded(87, r, alphanumeric+"-_") // Vault's tokens
		}
	}
	return secrets
}

// logText is like a build's: paths, words, numbers, hashes, and some base64.
func logText(size int) []byte {
	r := rand.New(rand.NewPCG(2, 2))
	words := []string{"Compiling", "Downloading", "INFO", "WARN", "[INFO]", "error:", "test", "ok", "PASS", "github.com/hashicorp/vault/api", "org.springframework.boot:spring-boot", "src/main/java/com/example/app/Service.java", "node_modules/.bin/webpack", "v1.23.4", "(cached)", "in", "from", "password", "authenticated", "layer", "sha256:", "0.012s", "Step 4/12 :", "RUN", "apt-get", "install", "-y", "--no-install-recommends", "https://registry.npmjs.org/", "warning:", "unused", "variable", "postgres", "connection", "to", "db", "established", "100%"}
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "2026-11-24T%02d:%02d:%02d.%03dZ ", r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000))
		for range 3 + r.IntN(12) {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		switch r.IntN(6) {
		case 0:
			b.WriteString(seeded(64, r, "0123456789abcdef"))
		case 1:
			b.WriteString("\x1b[32m" + seeded(44, r, alphanumeric+"+/") + "\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.Bytes()[:size]
}

func binaryText(size int) []byte {
	r := rand.New(rand.NewPCG(3, 3))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// nearMisses is made of beginnings of forms as long as they can be without a form in them, or of at most length bytes.
func nearMisses(size int, m *Masker, length int) []byte {
	r := rand.New(rand.NewPCG(4, 4))
	set := m.set.Load()
	var b bytes.Buffer
	for b.Len() < size {
		f := set.forms[r.IntN(len(set.forms))]
		n := len(f)
		for state, i := uint32(0), 0; i < len(f); i++ {
			state = set.matcher.automaton.next(state, f[i])
			if set.matcher.longest[state] > 0 {
				n = i
				break
			}
		}
		b.WriteString(f[:min(n, length)])
		b.WriteByte('\x00')
	}
	return b.Bytes()[:size]
}

// hits is made of nothing but secrets, each apart from the next.
func hits(size int, m *Masker) []byte {
	r := rand.New(rand.NewPCG(5, 5))
	forms := m.set.Load().forms
	var b bytes.Buffer
	for b.Len() < size {
		b.WriteString(forms[r.IntN(len(forms))])
		b.WriteByte('\n')
	}
	return b.Bytes()[:size]
}

const textSize = 8 << 20

// discard is io.Discard that counts.
type discard struct{ n int }

func (d *discard) Write(p []byte) (int, error) { d.n += len(p); return len(p), nil }

func benchStream(b *testing.B, m *Masker, text []byte, chunk int) {
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	s := m.Stream(&discard{})
	s.Write(text[:min(len(text), 4*chunk)])
	for b.Loop() {
		for at := 0; at < len(text); at += chunk {
			if _, err := s.Write(text[at:min(at+chunk, len(text))]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchMaskers() []struct {
	name string
	m    *Masker
} {
	var all []struct {
		name string
		m    *Masker
	}
	for _, n := range []int{1, 10, 100, 1000} {
		raw := masker(benchSecrets(n)...)
		forms := New(Options{})
		forms.Add(benchSecrets(n)...)
		for name, m := range map[string]*Masker{"raw": raw, "forms": forms} {
			all = append(all, struct {
				name string
				m    *Masker
			}{fmt.Sprintf("%d-%s", n, name), m})
		}
	}
	return all
}

func BenchmarkStream(b *testing.B) {
	log, binary := logText(textSize), binaryText(textSize)
	for _, c := range benchMaskers() {
		for _, text := range []struct {
			name string
			text []byte
		}{
			{"log", log},
			{"binary", binary},
			{"nearmiss-longest", nearMisses(textSize, c.m, 1<<20)},
			{"nearmiss-9", nearMisses(textSize, c.m, 9)},
			{"nearmiss-5", nearMisses(textSize, c.m, 5)},
			{"hits", hits(textSize, c.m)},
		} {
			b.Run(c.name+"/"+text.name, func(b *testing.B) { benchStream(b, c.m, text.text, 32<<10) })
		}
	}
}

// Many programs write a line at a time, or less.
func BenchmarkSmallWrites(b *testing.B) {
	log := logText(1 << 20)
	m := New(Options{})
	m.Add(benchSecrets(10)...)
	for _, chunk := range []int{1, 16, 80, 1024} {
		b.Run(fmt.Sprint(chunk), func(b *testing.B) { benchStream(b, m, log, chunk) })
	}
}

// Add is on the way of every run's start.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{1, 3, 10, 100, 1000} {
		secrets := benchSecrets(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := New(Options{})
				m.Add(secrets...)
			}
			m := New(Options{})
			m.Add(secrets...)
			s := m.set.Load()
			b.ReportMetric(float64(len(s.forms)), "forms")
			b.ReportMetric(float64(len(s.matcher.step)), "states")
			b.ReportMetric(float64(s.matcher.size()), "bytes")
		})
	}
	b.Run("key", func(b *testing.B) {
		var key string
		for _, s := range samples() {
			if s.kind == lines {
				key = s.value
			}
		}
		for b.Loop() {
			m := New(Options{})
			m.Add(key)
		}
	})
}

func (m *matcher) size() int {
	return len(m.step)*(2+16+4) + len(m.edges)*8 + len(m.rows)*1024 + 1024 +
		len(m.grams.words)*8 + len(m.starts.words)*8 + len(m.enter.doors)*8
}

// What any masker between two buffers pays at the least.
func BenchmarkMemcpy(b *testing.B) {
	log := logText(textSize)
	out := make([]byte, 32<<10)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		for at := 0; at < len(log); at += len(out) {
			copy(out, log[at:])
		}
	}
	io.Discard.Write(out)
}

// What a copy through a pipe pays without any masking.
func BenchmarkPipe(b *testing.B) {
	log := logText(textSize)
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	copied := make(chan error, 1)
	var out discard
	go func() {
		_, err := io.Copy(&out, r)
		copied <- err
	}()
	b.SetBytes(int64(len(log)))
	written := 0
	for b.Loop() {
		n, err := w.Write(log)
		if err != nil {
			b.Fatal(err)
		}
		written += n
	}
	w.Close()
	if err := <-copied; err != nil || out.n != written {
		b.Errorf("%d of %d bytes came through: %v", out.n, written, err)
	}
}

// How long the first byte of a prompt takes, where the text before it ended with what may be the beginning of a secret.
func BenchmarkPrompt(b *testing.B) {
	secrets := benchSecrets(10)
	m := New(Options{})
	m.Add(secrets...)
	var out discard
	s := m.Stream(&out)
	held, prompt := []byte(secrets[0][:12]), []byte("\r\nPassword: ")
	for b.Loop() {
		s.Write(held)
		before := out.n
		s.Write(prompt)
		if out.n < before+len(held)+len(prompt)-1 { // the space may begin a secret
			b.Fatal("it is held back")
		}
	}
}

// Texts made to be slow for secrets made to be slow: each byte begins a form, carries one on and ends in a failure.
func BenchmarkSelfOverlapping(b *testing.B) {
	text := bytes.Repeat([]byte("a"), textSize)
	for _, n := range []int{3, 4, 5, 20, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchStream(b, masker(string(bytes.Repeat([]byte("a"), n))+"bcdefghijklmnop"), text, 32<<10)
		})
	}
	b.Run("64KB", func(b *testing.B) {
		benchStream(b, masker(string(bytes.Repeat([]byte("a"), 64<<10))+"b"), text, 32<<10)
	})
	b.Run("64KB-by-1", func(b *testing.B) {
		benchStream(b, masker(string(bytes.Repeat([]byte("a"), 64<<10))+"b"), text[:1<<20], 1)
	})
}
