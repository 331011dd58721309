package step

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/spec"
)

// A holding is a run that holds credentials bound to files, until it is ended.
type holding struct {
	t     *testing.T
	until chan string
	ended chan Result
	dir   string

	mu   sync.Mutex
	said string
}

// heldFrom begins a run with a credential for each path, bound to a file.
func heldFrom(t *testing.T, s *source, paths ...string) *holding {
	t.Helper()
	var specs []string
	for i, path := range paths {
		specs = append(specs, fmt.Sprintf("fake:%s TOKEN_%d=@token", path, i))
	}
	return heldAs(t, s, specs...)
}

// heldAs begins a run with these specs.
func heldAs(t *testing.T, s *source, specs ...string) *holding {
	t.Helper()
	h := &holding{t: t, until: make(chan string, 1), ended: make(chan Result, 1)}
	say := func(format string, args ...any) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.said += fmt.Sprintf(format, args...) + "\n"
	}
	o := Options{
		Providers: map[string]providers.Provider{"fake": s}, Env: []string{"XDG_RUNTIME_DIR=" + t.TempDir()}, Mask: true,
		Leash: time.Minute, RevokeTimeout: 10 * time.Second, Log: Log{Say: say, Warn: say},
	}
	for _, text := range specs {
		parsed, err := spec.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Specs = append(o.Specs, parsed)
	}
	ready := make(chan string, 1)
	o.Hold = &Hold{Until: h.until, Ready: func(held Held) error {
		ready <- held.Dir
		return nil
	}}
	go func() { h.ended <- Run(o) }()
	select {
	case h.dir = <-ready:
	case r := <-h.ended:
		t.Fatalf("it ended with %d; it said\n%s", r.Code, h.words())
	}
	t.Cleanup(func() { h.end() })
	return h
}

func (h *holding) words() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said
}

// end ends the run and returns how that went; a second time it does nothing.
func (h *holding) end() (r Result) {
	if h.until == nil {
		return r
	}
	h.until <- "the test is over"
	h.until = nil
	select {
	case r = <-h.ended:
	case <-time.After(time.Minute):
		h.t.Errorf("it does not end; it said\n%s", h.words())
	}
	return r
}

// sees waits until something is so.
func (h *holding) sees(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not within a minute: %s; it said\n%s", what, h.words())
		}
	}
}

// shortAtFirst is the life of what must be replaced once.
func shortAtFirst(n int) time.Duration {
	if n == 1 {
		return 3 * time.Second
	}
	return time.Hour
}

func TestACredentialThatCannotBeReplacedHasNotTheOthersReplacedAgainAndAgain(t *testing.T) {
	t.Parallel()
	s := &source{login: shortAtFirst}
	s.issue = func(path string) error {
		if logins, asked, _ := s.count(path); path == "bad" && logins > 1 && asked < 4 {
			return errors.New("not now")
		}
		return nil
	}
	h := heldFrom(t, s, "good", "bad")
	h.sees("the bad one is replaced", func() bool { return strings.Contains(h.words(), "replaced fake:bad") })
	if r := h.end(); r.Code != 0 {
		t.Errorf("exit code %d", r.Code)
	}
	logins, good, live := s.count("good")
	if logins != 2 || good != 2 || live != 0 {
		t.Errorf("%d logins and %d good credentials, want 2 of each; %d leases are left; it said\n%s", logins, good, live, h.words())
	}
}

// TestWhatCannotBePutInItsPlaceIsNotIssuedAgainAndAgain has something where the file is to be, as a full disk would.
func TestWhatCannotBePutInItsPlaceIsNotIssuedAgainAndAgain(t *testing.T) {
	t.Parallel()
	s := &source{life: shortAtFirst}
	h := heldFrom(t, s, "it")
	file := filepath.Join(h.dir, "TOKEN_0")
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	h.sees("three attempts", func() bool { return strings.Count(h.words(), "trying again") >= 3 })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	h.sees("the file has its new content", func() bool {
		info, err := os.Lstat(file)
		return err == nil && info.Mode().IsRegular()
	})
	if r := h.end(); r.Code != 0 {
		t.Errorf("exit code %d", r.Code)
	}
	if _, asked, live := s.count("it"); asked != 2 || live != 0 {
		t.Errorf("%d were issued, want 2; %d leases are left; it said\n%s", asked, live, h.words())
	}
}

func TestAReplacedCredentialThatIsNotProvenToBeGoneIsNoSuccess(t *testing.T) {
	t.Parallel()
	var tried atomic.Int32
	s := &source{login: shortAtFirst}
	s.cannotRevoke = func(l providers.Lease) bool {
		if l.ID == "it-1" {
			tried.Add(1)
			return true
		}
		return false
	}
	h := heldFrom(t, s, "it")
	h.sees("the old one is tried to be revoked", func() bool { return tried.Load() > 0 })
	time.Sleep(100 * time.Millisecond) // for what it does then, which must make no difference
	if r := h.end(); r.Code != 125 {
		t.Errorf("exit code %d, want 125; it said\n%s", r.Code, h.words())
	}
}

// TestAVariableKeepsWhatItHoldsUntilTheEndThatWasTold has one credential in a file and another in a variable hang on a login that ends after an hour.
func TestAVariableKeepsWhatItHoldsUntilTheEndThatWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		revoked := make(chan time.Duration, 10)
		s := &source{login: func(n int) time.Duration { return time.Duration(n*n) * time.Hour }}
		s.cannotRevoke = func(l providers.Lease) bool {
			if l.ID == "variable-1" {
				revoked <- time.Since(began)
			}
			return false
		}
		h := heldAs(t, s, "fake:file TOKEN=@token", "fake:variable OTHER=token")
		const ends = time.Hour - 5*time.Second
		time.Sleep(ends - time.Second)
		if !strings.Contains(h.words(), "what OTHER holds ends at "+began.Add(ends).Format(time.TimeOnly)) || !strings.Contains(h.words(), "replaced fake:file") {
			t.Errorf("it said\n%s", h.words())
		}
		if at := <-revoked; at != ends {
			t.Errorf("what the variable holds was revoked after %v, want %v", at, ends)
		}
		if r := h.end(); r.Code != 0 {
			t.Errorf("exit code %d; it said\n%s", r.Code, h.words())
		}
	})
}

// TestADayOfReplacementsPilesNothingUp holds for 24 hours what ends within an hour, by its login, by itself, or by both.
func TestADayOfReplacementsPilesNothingUp(t *testing.T) {
	hour := func(int) time.Duration { return time.Hour }
	for name, s := range map[string]*source{"login": {login: hour}, "lease": {life: hour}, "both": {login: hour, life: hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := heldFrom(t, s, "a", "b")
				time.Sleep(time.Hour)
				synctest.Wait()
				goroutines := runtime.NumGoroutine()
				for range 24 {
					time.Sleep(time.Hour)
					synctest.Wait()
					if _, _, live := s.count(""); live > 4 {
						t.Fatalf("%d credentials live, of two; it said\n%s", live, h.words())
					}
				}
				if n := runtime.NumGoroutine(); n > goroutines+3 {
					t.Errorf("%d goroutines, and %d a day before", n, goroutines)
				}
				r := h.end()
				if logins, a, live := s.count("a"); r.Code != 0 || live != 0 || a < 35 || a > 80 || s.login != nil && (logins < 35 || logins > 40) {
					t.Errorf("exit code %d, %d logins, %d credentials, %d left; it said\n%s", r.Code, logins, a, live, h.words())
				}
			})
		})
	}
}
