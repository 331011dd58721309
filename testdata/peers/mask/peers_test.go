// Package peers measures step/mask beside other ways to find or replace many strings, over the same text in one run.
// It is a module of its own, so that what it compares with is no dependency of with-creds.
//
//	go test -bench . -benchtime 300ms
//
// The peers get whole chunks and forget them: a secret cut by a chunk's end passes them by. The Aho-Corasick libraries
// only look; they write nothing. Only mask does the whole work.
package peers

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	bobusumisu "github.com/BobuSumisu/aho-corasick"
	cloudflare "github.com/cloudflare/ahocorasick"
	dambovaliev "github.com/petar-dambovaliev/aho-corasick"

	"github.com/with-creds/with-creds/step/mask"
)

const (
	chunk    = 32 << 10
	textSize = 1 << 20
	letters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

func seeded(n int, r *rand.Rand, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func secrets(n int) []string {
	r := rand.New(rand.NewPCG(1, 1))
	all := make([]string, n)
	for i := range all {
		switch i % 4 {
		case 0, 1:
			all[i] = "A1a-" + seeded(16, r, letters)
		case 2:
			all[i] = seeded(40, r, letters+"+/")
		case 3:
			all[i] = "hvs.CAES" + seeded(87, r, letters+"-_")
		}
	}
	return all
}

// logText is like a build's: paths, words, numbers, hashes, and some base64.
func logText() []byte {
	r := rand.New(rand.NewPCG(2, 2))
	words := strings.Fields("Compiling Downloading INFO WARN [INFO] error: test ok PASS github.com/hashicorp/vault/api org.springframework.boot:spring-boot src/main/java/com/example/app/Service.java node_modules/.bin/webpack v1.23.4 (cached) in from password authenticated layer sha256: 0.012s Step 4/12 : RUN apt-get install -y --no-install-recommends https://registry.npmjs.org/ warning: unused variable postgres connection to db established 100%")
	var b bytes.Buffer
	for b.Len() < textSize {
		fmt.Fprintf(&b, "2026-11-24T%02d:%02d:%02d.%03dZ ", r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000))
		for range 3 + r.IntN(12) {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		switch r.IntN(6) {
		case 0:
			b.WriteString(seeded(64, r, "0123456789abcdef"))
		case 1:
			b.WriteString("\x1b[32m" + seeded(44, r, letters+"+/") + "\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.Bytes()[:textSize]
}

// An engine returns what it does with one chunk; nil where it is not to be tried with so many strings.
type engine struct {
	name string
	most int // strings it is tried with
	make func(values, forms []string, plain bool) func(p []byte)
}

var engines = []engine{
	{"mask", 1 << 20, func(values, _ []string, plain bool) func([]byte) {
		m := mask.New(mask.Options{Plain: plain})
		m.Add(values...)
		s := m.Stream(struct{ io.Writer }{io.Discard})
		return func(p []byte) { s.Write(p) }
	}},
	{"bytes.ReplaceAll", 2000, func(_, forms []string, _ bool) func([]byte) {
		return func(p []byte) {
			for _, f := range forms {
				p = bytes.ReplaceAll(p, []byte(f), []byte("***"))
			}
		}
	}},
	{"strings.Replacer", 20000, func(_, forms []string, _ bool) func([]byte) {
		var pairs []string
		for _, f := range forms {
			pairs = append(pairs, f, "***")
		}
		r := strings.NewReplacer(pairs...)
		return func(p []byte) { r.WriteString(io.Discard, string(p)) }
	}},
	{"regexp", 200, func(_, forms []string, _ bool) func([]byte) {
		var quoted []string
		for _, f := range forms {
			quoted = append(quoted, regexp.QuoteMeta(f))
		}
		r := regexp.MustCompile(strings.Join(quoted, "|"))
		return func(p []byte) { r.ReplaceAllLiteral(p, []byte("***")) }
	}},
	{"cloudflare-ahocorasick", 2000, func(_, forms []string, _ bool) func([]byte) {
		m := cloudflare.NewStringMatcher(forms)
		return func(p []byte) { m.Match(p) }
	}},
	{"dambovaliev-aho-corasick", 20000, func(_, forms []string, _ bool) func([]byte) {
		builder := dambovaliev.NewAhoCorasickBuilder(dambovaliev.Opts{MatchKind: dambovaliev.LeftMostLongestMatch, DFA: true})
		a := builder.Build(forms)
		return func(p []byte) { a.FindAll(string(p)) }
	}},
	{"bobusumisu-aho-corasick", 20000, func(_, forms []string, _ bool) func([]byte) {
		t := bobusumisu.NewTrieBuilder().AddStrings(forms).Build()
		return func(p []byte) { t.Match(p) }
	}},
}

func BenchmarkLogText(b *testing.B) {
	text := logText()
	for _, n := range []int{1, 10, 100, 1000} {
		for _, plain := range []bool{true, false} {
			values, kind := secrets(n), "plain"
			forms := values
			if !plain {
				kind, forms = "forms", nil
				for _, v := range values {
					forms = append(forms, mask.Forms(v)...)
				}
			}
			for _, e := range engines {
				if len(forms) > e.most {
					continue
				}
				b.Run(fmt.Sprintf("%d-%s/%s", n, kind, e.name), func(b *testing.B) {
					do := e.make(values, forms, plain)
					b.SetBytes(int64(len(text)))
					for b.Loop() {
						for at := 0; at < len(text); at += chunk {
							do(text[at:min(at+chunk, len(text))])
						}
					}
				})
			}
		}
	}
}
