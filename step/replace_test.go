package step

import (
	"crypto/rand"
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
	"github.com/with-creds/with-creds/step/receipt"
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
	return heldWith(t, s, func(*Options) {}, specs...)
}

// heldWith begins one with other options.
func heldWith(t *testing.T, s *source, set func(*Options), specs ...string) *holding {
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
	set(&o)
	for _, text := range specs {
		parsed, err := spec.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Specs = append(o.Specs, parsed)
	}
	ready := make(chan string, 1)
	o.Hold = &Hold{Until: h.until, Ending: func(string) {}, Ready: func(held Held) error {
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

// TestWhatCannotBeBoundIsRevokedAndAnotherAskedFor has a second token that no env file can carry, bound to a file as well.
func TestWhatCannotBeBoundIsRevokedAndAnotherAskedFor(t *testing.T) {
	t.Parallel()
	first, third := rand.Text(), rand.Text()
	s := &source{life: shortAtFirst, token: func(n int) string { return []string{first, "it's " + rand.Text(), third}[min(n, 3)-1] }}
	var mu sync.Mutex
	revoked := map[string]bool{}
	s.cannotRevoke = func(l providers.Lease) bool {
		mu.Lock()
		defer mu.Unlock()
		revoked[l.ID] = true
		return false
	}
	h := heldWith(t, s, func(o *Options) { o.EnvFile = "auto" }, "fake:it FILE=@token PLAIN=token")
	content := func(name string) string {
		text, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	h.sees("it is tried", func() bool { return strings.Contains(h.words(), "trying again") })
	if file := content("FILE"); file != first && file != third {
		t.Errorf("the file has %q, which the env file cannot have", file)
	}
	h.sees("another is there", func() bool { return content("FILE") == third && strings.Contains(content(envFileName), "PLAIN="+third) })
	mu.Lock()
	if !revoked["it-2"] {
		t.Error("what could not be bound is not revoked")
	}
	mu.Unlock()
	if r := h.end(); r.Code != 0 {
		t.Errorf("exit code %d; it said\n%s", r.Code, h.words())
	}
	if _, asked, live := s.count("it"); asked != 3 || live != 0 {
		t.Errorf("%d were issued, want 3; %d leases are left; it said\n%s", asked, live, h.words())
	}
}

// TestFilesOfOneCredentialAreReplacedTogether has something where the second of two files is to be.
func TestFilesOfOneCredentialAreReplacedTogether(t *testing.T) {
	t.Parallel()
	s := &source{life: shortAtFirst}
	h := heldAs(t, s, "fake:it CERT=@token KEY=@token")
	cert, key := filepath.Join(h.dir, "CERT"), filepath.Join(h.dir, "KEY")
	old, err := os.ReadFile(cert)
	if err := errors.Join(err, os.Remove(key), os.Mkdir(key, 0o700)); err != nil {
		t.Fatal(err)
	}
	h.sees("three attempts", func() bool { return strings.Count(h.words(), "trying again") >= 3 })
	if now, err := os.ReadFile(cert); err != nil || string(now) != string(old) {
		t.Errorf("the certificate is replaced and its key is not (%v)", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	h.sees("both are new", func() bool {
		now, err := os.ReadFile(key)
		other, otherErr := os.ReadFile(cert)
		return err == nil && otherErr == nil && string(now) == string(other) && string(now) != string(old)
	})
	if entries, err := os.ReadDir(h.dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestARotationThatIsDueIsFollowed has a server that says nothing is left, and is late.
func TestARotationThatIsDueIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := []string{rand.Text(), rand.Text()}
		rotated := func(n int) int { return min(n/4, 1) }
		s := &source{
			token:   func(n int) string { return tokens[rotated(n)] },
			rotates: func(n int) time.Duration { return time.Duration(rotated(n)) * time.Hour },
		}
		h := heldAs(t, s, "fake:it TOKEN=@token")
		time.Sleep(time.Minute)
		synctest.Wait()
		if text, err := os.ReadFile(filepath.Join(h.dir, "TOKEN")); err != nil || string(text) != tokens[1] {
			t.Errorf("the file has the old token (%v)", err)
		}
		if _, asked, _ := s.count("it"); asked != 4 {
			t.Errorf("asked %d times, want 4", asked)
		}
		if r := h.end(); r.Code != 0 {
			t.Errorf("exit code %d; it said\n%s", r.Code, h.words())
		}
	})
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

// TestACredentialThatIsGoneIsReplacedAtOnce has somebody revoke a credential after ten minutes of an hour. What was to be its end is nothing to wait for.
func TestACredentialThatIsGoneIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &source{life: func(int) time.Duration { return time.Hour }}
		var known atomic.Bool
		s.renew = func(l providers.Lease) error {
			if l.ID != "file-1" && l.ID != "variable-1" || time.Since(began) < 10*time.Minute {
				return nil
			}
			known.Store(true)
			return providers.Gone(errors.New("no such lease"))
		}
		h := heldAs(t, s, "fake:file TOKEN=@token", "fake:variable OTHER=token")
		time.Sleep(30 * time.Minute)
		if !known.Load() {
			t.Fatal("it was not renewed")
		}
		for _, text := range []string{
			"file-1 cannot be extended (no such lease): it is replaced at ", "replaced fake:file",
			"variable-1 cannot be extended (no such lease): what OTHER holds has ended\n",
		} {
			if !strings.Contains(h.words(), text) {
				t.Errorf("it does not say %q; it said\n%s", text, h.words())
			}
		}
		h.end()
	})
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

// TestTheReceiptHasWhatWentBeforeTheEnd has a login replaced, which takes along what a variable holds and a credential that another has taken the place of.
func TestTheReceiptHasWhatWentBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &source{login: func(n int) time.Duration { return time.Duration(n*n) * time.Hour }, life: func(n int) time.Duration { return time.Duration(n) * time.Hour }}
		h := heldAs(t, s, "fake:file TOKEN=@token", "fake:variable OTHER=token")
		time.Sleep(90 * time.Minute)
		r := h.end()
		if r.Code != 0 || !strings.Contains(h.words(), "revoked 2 credentials: 2 proven") {
			t.Errorf("exit code %d; it said\n%s", r.Code, h.words())
		}
		proven := func(what string, v *receipt.Revocation, from, to time.Duration) {
			t.Helper()
			if v == nil || v.Proof != providers.Proven || v.At.Before(began.Add(from)) || v.At.After(began.Add(to)) {
				t.Errorf("%s: %+v, want it proven between %v and %v", what, v, from, to)
			}
		}
		file, variable := r.Receipt.Credentials[0], r.Receipt.Credentials[1]
		if file.Lease != "file-2" || file.TTL != 2*60*60 || file.Issued.Before(began.Add(30*time.Minute)) || len(file.Replaced) != 1 {
			t.Fatalf("%+v", file)
		}
		proven("the file's", file.Revocation, 90*time.Minute, 91*time.Minute)
		if old := file.Replaced[0]; old.Lease != "file-1" || old.TTL != 60*60 || !old.Issued.Equal(began) {
			t.Errorf("%+v", old)
		}
		proven("the file's before", file.Replaced[0].Revocation, 40*time.Minute, time.Hour)
		proven("the variable's", variable.Revocation, 40*time.Minute, time.Hour)
		if variable.Lease != "variable-1" || len(variable.Replaced) != 0 || len(r.Receipt.Sessions) != 2 {
			t.Errorf("%+v, %+v", variable, r.Receipt.Sessions)
		}
		proven("the login", r.Receipt.Sessions[0].Revocation, 40*time.Minute, time.Hour)
	})
}

// TestOneThatHangsDoesNotTakeTheTimeOfWhatElseHungOnALogin has two credentials on a login that is replaced after 40 minutes.
func TestOneThatHangsDoesNotTakeTheTimeOfWhatElseHungOnALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		hung.Store(true)
		s := &source{login: func(n int) time.Duration { return time.Duration(n*n) * time.Hour }}
		var first sync.Once
		var hanging string // whichever is asked for first
		s.hangs = func(l providers.Lease) bool {
			first.Do(func() { hanging = l.ID })
			return hanging == l.ID && hung.Load()
		}
		h := heldFrom(t, s, "a", "b")
		time.Sleep(45 * time.Minute)
		s.mu.Lock()
		if s.live["a-1"] == s.live["b-1"] || !s.live["a-2"] || !s.live["b-2"] {
			t.Errorf("%v live; it said\n%s", s.live, h.words())
		}
		s.mu.Unlock()
		hung.Store(false)
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
