//go:build !windows

package bench_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkMaskedOutput is what masking costs a command that does nothing but write: `with-creds … -- cat big`, with ten secrets in all
// their forms, beside a second cat in its place. The two take turns, and the fastest run of each counts, as does the least time of
// processors that all their processes had: where others keep these busy, that is what can be relied on. Ten rounds or more: -benchtime 10x.
func BenchmarkMaskedOutput(b *testing.B) {
	dir := maskingPlace(b)
	size := writeLog(b, filepath.Join(dir, "big"))

	const masked = wrapped + " cat big"
	for _, c := range []struct{ name, masked, copied string }{
		{"to-null", masked + " > /dev/null", "cat big | cat > /dev/null"},
		{"to-pipe", masked + " | cat > /dev/null", "cat big | cat | cat > /dev/null"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var with, without taken
			for b.Loop() {
				with.run(b, dir, c.masked)
				without.run(b, dir, c.copied)
			}
			rate := func(t taken) float64 { return float64(size) / 1e6 / slices.Min(t.whole).Seconds() }
			b.ReportMetric(rate(with), "MB/s")
			b.ReportMetric(rate(without), "MB/s-cat")
			b.ReportMetric(rate(with)/rate(without), "of-cat")
			b.ReportMetric(slices.Min(without.busy).Seconds()/slices.Min(with.busy).Seconds(), "of-cat-by-cpu")
			b.ReportMetric(0, "ns/op")
		})
	}

	out := exec.Command("sh", "-c", masked+" | cmp - big")
	out.Dir = dir
	if said, err := out.CombinedOutput(); err != nil {
		b.Errorf("what came through is not what was written: %v\n%s", err, said)
	}
}

// BenchmarkMaskedPrompt is how long a few bytes without a line's end take through cat and back, with a run's masking between and without.
func BenchmarkMaskedPrompt(b *testing.B) {
	dir := maskingPlace(b)
	for _, c := range []struct{ name, script string }{{"masked", "exec " + wrapped + " cat"}, {"cat", "exec cat"}} {
		b.Run(c.name, func(b *testing.B) {
			cmd := exec.Command("sh", "-c", c.script)
			cmd.Dir, cmd.Stderr = dir, os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			prompt := []byte("\rname? ") // no beginning of a secret at its end
			got := make([]byte, len(prompt))
			ask := func() time.Duration {
				began := time.Now()
				if _, err := in.Write(prompt); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(out, got); err != nil {
					b.Fatal(err)
				}
				return time.Since(began)
			}
			least := ask() // and everything is started
			for b.Loop() {
				least = min(least, ask())
			}
			b.ReportMetric(float64(least.Microseconds()), "µs-at-least")
			in.Close()
			if err := cmd.Wait(); err != nil {
				b.Error(err)
			}
		})
	}
}

// wrapped is the beginning of a command line, in maskingPlace.
const wrapped = "./with-creds --quiet -c command:./mint --"

// maskingPlace is a directory with the program and a source of ten secrets.
func maskingPlace(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", dir, "./cmd/with-creds")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building with-creds: %v\n%s", err, out)
	}
	writeMint(b, filepath.Join(dir, "mint"))
	return dir
}

// taken is what the runs of a script took.
type taken struct {
	whole []time.Duration
	busy  []time.Duration // of processors, all its processes together
}

func (t *taken) run(b *testing.B, dir, script string) {
	b.Helper()
	c := exec.Command("bash", "-euo", "pipefail", "-c", script)
	c.Dir = dir
	began := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", script, err, out)
	}
	t.whole = append(t.whole, time.Since(began))
	t.busy = append(t.busy, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
}

// writeMint makes a source of ten secrets.
func writeMint(b *testing.B, path string) {
	b.Helper()
	fields := map[string]string{}
	for i := range 10 {
		fields[fmt.Sprintf("token_%d", i)] = rand.Text()
	}
	answer, err := json.Marshal(map[string]any{"version": 1, "fields": fields})
	if err != nil {
		b.Fatal(err)
	}
	script := "#!/bin/sh\ncase $1 in\nissue) echo '" + string(answer) + "' ;;\n*) echo '{\"version\": 1, \"proof\": \"proven\"}' ;;\nesac\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		b.Fatal(err)
	}
}

// writeLog writes a gigabyte of a build's log and returns its size.
func writeLog(b *testing.B, path string) int64 {
	b.Helper()
	var text strings.Builder
	for i := 0; text.Len() < 1<<20; i++ {
		fmt.Fprintf(&text, "2026-11-24T10:%02d:%02dZ INFO compiling src/main/java/com/example/app/Service%d.java (cached) %s\n", i/60%60, i%60, i, rand.Text())
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for range 1 << 10 {
		if _, err := f.WriteString(text.String()); err != nil {
			b.Fatal(err)
		}
	}
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}
