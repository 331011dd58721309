//go:build !windows

package bench_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the tables into README.md")

// contenders are measured on loopback, and far from Vault; Vault Agent besides.
var contenders = []way{
	withCreds("**with-creds**", 1, byAppRole).within(2),
	byScript("curl, jq: the same requests", "by-curl"),
	byScript("vault, jq: the shell way", "by-vault-cli"),
}

// faraway are measured only there.
var faraway = []way{
	withCreds("with-creds, ten credentials", 10, byAppRole).within(2),
	withCreds("with-creds, a token at hand", 1, byToken).within(1),
	withCreds("with-creds, a token at hand, ten credentials", 10, byToken).within(1),
}

const (
	rounds    = 31 // of all ways, one after another; odd, so that the median is one of them
	roundTrip = 20 * time.Millisecond

	// Goals for the whole process, by the minimum, which is what noise disturbs least.
	mostOfCurl = 1.5
	leastOfCLI = 6
)

// A series is the measurements of one way.
type series struct {
	whole  []time.Duration // of the process
	before []time.Duration // from its start to the command's
	trips  []int           // round trips one after another until then; of a distant Vault
}

func TestOverhead(t *testing.T) {
	if os.Getenv("WITH_CREDS_BENCH") != "1" {
		t.Skip("not asked for (make bench)")
	}
	w := newWorld(t)
	near := append(slices.Clone(contenders), byAgent)
	far := append(slices.Clone(near), faraway...)
	measured := w.measure(near, w.vault.Addr, nil)
	away := w.measure(far, "", newDistance(t, strings.TrimPrefix(w.vault.Addr, "http://"), roundTrip))

	var out strings.Builder
	fmt.Fprintf(&out, "| Vault on the same machine, ms | minimum | median | to with-creds | the command starts after |\n|---|---:|---:|---:|---:|\n")
	for i, way := range near {
		s := measured[i]
		fmt.Fprintf(&out, "| %s | %s | %s | %.1f × | %s |\n", way.title(), ms(slices.Min(s.whole)), ms(median(s.whole)), ratio(s, measured[0]), ms(median(s.before)))
	}
	fmt.Fprintf(&out, "\n| Vault %d ms away, ms | minimum | median | to with-creds | the command starts after | and round trips in series |\n|---|---:|---:|---:|---:|---:|\n",
		roundTrip.Milliseconds())
	for i, way := range far {
		s := away[i]
		fmt.Fprintf(&out, "| %s | %s | %s | %.1f × | %s | %d |\n", way.title(), ms(slices.Min(s.whole)), ms(median(s.whole)), ratio(s, away[0]), ms(median(s.before)),
			slices.Min(s.trips))
	}
	fmt.Fprintf(&out, "\n%s\n", machine(t))
	fmt.Printf("\n%s\n", out.String())
	intoReadme(t, out.String())

	if r := ratio(measured[0], measured[1]); r > mostOfCurl {
		t.Errorf("with-creds takes %.2f times as long as curl; the goal is at most %.1f", r, mostOfCurl)
	}
	if r := ratio(measured[2], measured[0]); r < leastOfCLI {
		t.Errorf("the shell way takes %.1f times as long as with-creds; the goal is at least %d", r, leastOfCLI)
	}
	for i, way := range far {
		if trips := slices.Min(away[i].trips); way.trips > 0 && trips != way.trips {
			t.Errorf("%s: %d round trips in series before the command, want %d", way.name, trips, way.trips)
		}
	}
}

func (w way) title() string {
	if w.keeps {
		return w.name + " (revokes nothing)"
	}
	return w.name
}

func ratio(a, b series) float64 { return float64(slices.Min(a.whole)) / float64(slices.Min(b.whole)) }

// measure runs the ways in turn, so that what slows the machine for a while slows all of them. Each round begins with another. The
// command is date, which tells when it was started.
func (w *world) measure(ways []way, vault string, away *distance) []series {
	w.t.Helper()
	if away != nil {
		vault = "http://" + away.address
	}
	all := make([]series, len(ways))
	for round := range rounds + 1 { // the first is not counted: files come into memory
		for i := range ways {
			i = (i + round) % len(ways)
			if away != nil {
				away.reset()
			}
			began := time.Now()
			out, took := w.run(ways[i], vault, "date", "+%s.%N")
			started := instant(w.t, out)
			if ways[i].keeps {
				w.clear()
			}
			if round == 0 {
				continue
			}
			s := &all[i]
			s.whole, s.before = append(s.whole, took), append(s.before, started.Sub(began))
			if away != nil {
				s.trips = append(s.trips, away.tripsUntil(started))
			}
		}
		fmt.Fprintf(os.Stderr, "bench: round %d of %d, of %d ways\n", round, rounds, len(ways))
	}
	return all
}

// instant is what date printed.
func instant(t testing.TB, text string) time.Time {
	t.Helper()
	whole, part, ok := strings.Cut(text, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	ns, err2 := strconv.ParseInt(part, 10, 64)
	if !ok || err != nil || err2 != nil {
		t.Fatalf("the command printed %q and not the time", text)
	}
	return time.Unix(s, ns)
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }

// machine is where this was measured.
func machine(t *testing.T) string {
	cpu := "of an unknown make"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); m != nil {
			cpu = string(m[1])
		}
	}
	vault, err := exec.Command("../servers/install", "--path", "vault").Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("On %d processors (%s) and Linux %s, with Vault %s, PostgreSQL %s and curl %s; %d runs each, in turn.", runtime.NumCPU(), cpu,
		version(t, "uname", "-r"), version(t, strings.TrimSpace(string(vault)), "version"), version(t, "psql", "--version"), version(t, "curl", "--version"), rounds)
}

// version is the first number that a program says of itself.
func version(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(regexp.MustCompile(`\d+(\.\d+)+`).Find(out))
}

const (
	begins = "<!-- the output of `make bench`; written by: make bench UPDATE=1 -->\n"
	ends   = "<!-- end -->\n"
)

func intoReadme(t *testing.T, tables string) {
	t.Helper()
	const readme = "../../README.md"
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		t.Fatalf("%s has no place for the tables: %q to %q", readme, begins, ends)
	}
	if !*update {
		return
	}
	if err := os.WriteFile(readme, []byte(before+begins+tables+ends+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
