//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/guard"
)

// TestTheWaitingGuardIsSmall looks at the guard of the program as it is released, which is smaller than this test's: under 15 MB resident.
func TestTheWaitingGuardIsSmall(t *testing.T) {
	const limit = 15 << 10 // kB
	binary := released(t)
	for _, s := range servers(t) {
		tr := newTrial(t, s.direct(t, 2), nil, "sh", "-c", untilFinish)
		if err := os.Remove(tr.exe); err != nil {
			t.Fatal(err)
		}
		if err := linkOrCopy(binary, tr.exe); err != nil {
			t.Fatal(err)
		}
		tr.start()
		tr.file("login")
		time.Sleep(200 * time.Millisecond) // it has been told all by now
		resident := residentKB(t, tr.guard())
		t.Logf("%s: %d kB", s.name, resident)
		if resident > limit {
			t.Errorf("%s: the waiting guard holds %d kB, want at most %d", s.name, resident, limit)
		}
		tr.finish(0)
		if code := tr.wait(); code != 0 {
			t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
		}
		tr.endedClean()
	}
}

// TestWhatTheGuardCostsAtTheStartIsTold measures and does not judge: times are the machine's. The goal is 5 ms on the critical path.
func TestWhatTheGuardCostsAtTheStartIsTold(t *testing.T) {
	binary := released(t)
	var started, ready []time.Duration
	for range 20 {
		began := time.Now()
		g, err := guard.Start(guard.Options{Run: "figures", Exe: binary, Journal: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, time.Since(began))
		l := providers.Lease{Provider: "postgres", ID: "none"}
		g.Lease(l)
		if !g.Flush(time.Minute) {
			t.Error("the guard has not answered after a minute")
		}
		ready = append(ready, time.Since(began))
		g.Done()
	}
	slices.Sort(started)
	slices.Sort(ready)
	t.Logf("the run goes on after %v (median of %d; the least %v); the first intent is in the journal %v after the beginning (the least %v)",
		started[len(started)/2].Round(10*time.Microsecond), len(started), started[0].Round(10*time.Microsecond),
		ready[len(ready)/2].Round(10*time.Microsecond), ready[0].Round(10*time.Microsecond))
}

// released builds the program as `make build` does.
func released(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "with-creds")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return path
}

// residentKB is VmRSS of a process.
func residentKB(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kB, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return kB
}
