//go:build linux

package child

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/mask"
)

// masking runs a command with the real mask, with ten secrets in all their forms.
func masking(argv []string) int {
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, Signals()...)
	m := mask.New(mask.Options{})
	for range 10 {
		m.Add(rand.Text())
	}
	c, err := Start(Options{
		Argv: argv, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Grace: time.Second,
		Mask: func(dst io.Writer) io.WriteCloser { return m.Stream(dst) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitCode(err)
	}
	return c.Wait(signals).Code
}

// What the whole process costs, beside another that does nothing but copy. The two take turns, and the best of each counts: on a machine with
// other work only that ratio means something, and only after ten rounds or more (-benchtime 10x).
func BenchmarkWholeProcess(b *testing.B) {
	big := filepath.Join(b.TempDir(), "big")
	const size = 1 << 30
	writeLog(b, big, size)
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, masked, copied string }{
		{"to-null", `"$0" role:mask cat "$1" > /dev/null`, `cat "$1" | cat > /dev/null`},
		{"to-pipe", `"$0" role:mask cat "$1" | cat > /dev/null`, `cat "$1" | cat | cat > /dev/null`},
	} {
		b.Run(c.name, func(b *testing.B) {
			var masked, copied []time.Duration
			for b.Loop() {
				masked = append(masked, timed(b, c.masked, exe, big))
				copied = append(copied, timed(b, c.copied, exe, big))
			}
			x, y := slices.Min(masked), slices.Min(copied)
			b.ReportMetric(size/1e6/x.Seconds(), "MB/s")
			b.ReportMetric(size/1e6/y.Seconds(), "MB/s-cat")
			b.ReportMetric(y.Seconds()/x.Seconds(), "of-cat")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func writeLog(b *testing.B, path string, size int) {
	var text []byte
	for i := 0; len(text) < 1<<20; i++ {
		text = fmt.Appendf(text, "2026-11-24T10:%02d:%02dZ INFO compiling src/main/java/com/example/app/Service%d.java (cached) %s\n", i/60%60, i%60, i, rand.Text())
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for range size / (1 << 20) {
		if _, err := f.Write(text[:1<<20]); err != nil {
			b.Fatal(err)
		}
	}
}

func timed(b *testing.B, script string, args ...string) time.Duration {
	b.Helper()
	start := time.Now()
	if out, err := exec.Command("sh", append([]string{"-c", script}, args...)...).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(start)
}
