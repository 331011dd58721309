//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/with-creds/with-creds/testdata/harness"
)

// untilFinish is a command that runs until the test writes the file "finish", and then exits with what that holds.
const untilFinish = `printf "%s\n%s\n" "$USER_0" "$PASSWORD_0" >login.tmp; mv login.tmp login
while ! test -s finish; do sleep 0.02; done; exit $(cat finish)`

// finish makes untilFinish end with that code.
func (tr *trial) finish(code int) {
	tr.t.Helper()
	tmp := tr.path("finish.tmp")
	if err := os.WriteFile(tmp, fmt.Append(nil, code), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Rename(tmp, tr.path("finish")); err != nil {
		tr.t.Fatal(err)
	}
}

func TestASignalEndsTheCommandAndTheCredentialIsGoneAtTheEnd(t *testing.T) {
	for _, s := range servers(t) {
		for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130, syscall.SIGHUP: 129, syscall.SIGQUIT: 131} {
			t.Run(fmt.Sprintf("%s/%s", s.name, sig), func(t *testing.T) {
				t.Parallel()
				tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", "ulimit -c 0; touch running; exec sleep 600")
				tr.start()
				tr.file("running")
				send(tr.pid(), sig)
				if got := tr.wait(); got != code {
					t.Errorf("exit code %d, want %d; stderr:\n%s", got, code, tr.stderr)
				}
				tr.endedClean()
			})
		}
	}
}

// endedClean checks what holds as soon as with-creds has ended: no credential on the server, no process of the command. Its
// guard, which it dismisses without waiting for it, is gone a moment later, and the journal and files with it.
func (tr *trial) endedClean() {
	tr.t.Helper()
	for _, left := range tr.leftThere() {
		tr.t.Errorf("with-creds has ended and %s is still there; stderr:\n%s", left, tr.stderr)
	}
	for _, p := range tr.processes() {
		if !p.guard() {
			tr.t.Errorf("with-creds has ended and process %d is still there: %q", p.pid, p.argv)
		}
	}
	tr.cleanedUp(cleanUpLimit)
}

func TestACommandThatHandlesTheSignalDecidesOnTheCode(t *testing.T) {
	for _, s := range servers(t) {
		tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", `trap "exit 3" TERM; touch running; while :; do sleep 0.02; done`)
		tr.start()
		tr.file("running")
		send(tr.pid(), syscall.SIGTERM)
		if code := tr.wait(); code != 3 {
			t.Errorf("exit code %d, want 3; stderr:\n%s", code, tr.stderr)
		}
		tr.endedClean()
	}
}

func TestASecondSignalShortensTheGraceAndNeverSkipsRevocation(t *testing.T) {
	for _, s := range servers(t) {
		tr := newTrial(t, s.direct(t, 1), []string{"--grace=1m"}, "sh", "-c", `trap "" TERM INT; touch running; while :; do sleep 0.02; done`)
		tr.start()
		tr.file("running")
		send(tr.pid(), syscall.SIGTERM)
		time.Sleep(400 * time.Millisecond) // two that come closer together are taken for one
		began := time.Now()
		send(tr.pid(), syscall.SIGINT)
		if code := tr.wait(); code != 137 {
			t.Errorf("exit code %d, want 137 of a command that had to be killed; stderr:\n%s", code, tr.stderr)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v after the second signal, want about one", took)
		}
		tr.endedClean()
	}
}

// TestASignalAtAKnownMomentStillRevokes: whatever is under way when it comes is waited for, and revoked.
func TestASignalAtAKnownMomentStillRevokes(t *testing.T) {
	for _, s := range servers(t) {
		for _, m := range s.moments {
			t.Run(s.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				tr, p := m.trial(t, s)
				tr.start()
				tr.await(p)
				_, err := os.Stat(tr.path("ran"))
				ran := err == nil
				send(tr.pid(), syscall.SIGTERM)
				time.Sleep(500 * time.Millisecond) // for the signal to be heard on a machine that is busy
				close(p.release)
				code := tr.wait()
				if want := 143; (!ran || m.lasting) && code != want {
					t.Errorf("exit code %d, want %d of a command that was ended, or of a run that was stopped before it; stderr:\n%s", code, want, tr.stderr)
				}
				if ran && !m.lasting && code != 0 {
					t.Errorf("exit code %d of a command that had succeeded and whose credential is gone; stderr:\n%s", code, tr.stderr)
				}
				if _, err := os.Stat(tr.path("ran")); err == nil && !ran && !m.lasting { // what lasts may be about to note that it runs
					t.Error("the command was started after the signal")
				}
				tr.endedClean()
			})
		}
	}
}

// await waits for the moment of a proxy.
func (tr *trial) await(p *proxy) {
	tr.t.Helper()
	select {
	case <-p.reached:
	case <-time.After(time.Minute):
		tr.t.Fatalf("the moment never came; stderr:\n%s", tr.stderr)
	}
}

func TestAHundredMegabytesPassThroughByteForByte(t *testing.T) {
	const size = 100 << 20
	for _, s := range []server{anyServer(t)} {
		for _, mask := range []string{"on", "off"} {
			t.Run("mask "+mask, func(t *testing.T) {
				tr := newTrial(t, s.direct(t, 1), []string{"--mask", mask}, "cat")
				sent, got := sha256.New(), sha256.New()
				tr.cmd.Stdin = io.TeeReader(io.LimitReader(rand.Reader, size), sent)
				var received counter
				tr.cmd.Stdout = io.MultiWriter(got, &received)
				if code := tr.run(); code != 0 {
					t.Fatalf("exit code %d; stderr:\n%s", code, tr.stderr)
				}
				if received != size || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
					t.Errorf("what came out (%d bytes) is not what went in (%d)", received, size)
				}
				tr.endedClean()
			})
		}
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func TestACommandMayCloseItsOutputEarly(t *testing.T) {
	for _, s := range []server{anyServer(t)} {
		tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", "echo first; exec >&- 2>&-; sleep 0.1; exit 3")
		var out bytes.Buffer
		tr.cmd.Stdout = &out
		if code := tr.run(); code != 3 || out.String() != "first\n" {
			t.Errorf("exit code %d, output %q, want 3 and first; stderr:\n%s", code, &out, tr.stderr)
		}
		tr.endedClean()
	}
}

// TestAReaderThatHasSeenEnoughEndsTheRun is `with-creds … -- yes | head -1`, and the same with a command that says nothing more.
func TestAReaderThatHasSeenEnoughEndsTheRun(t *testing.T) {
	for _, s := range []server{anyServer(t)} {
		for _, mask := range []string{"on", "off"} {
			t.Run("mask "+mask, func(t *testing.T) {
				tr := newTrial(t, s.direct(t, 1), []string{"--mask", mask}, "yes")
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				tr.cmd.Stdout = w
				tr.start()
				w.Close()
				if line, err := bufio.NewReader(r).ReadString('\n'); line != "y\n" {
					t.Errorf("read %q, %v", line, err)
				}
				r.Close()
				if code := tr.wait(); code != 141 {
					t.Errorf("exit code %d, want the 141 of a command that SIGPIPE ended; stderr:\n%s", code, tr.stderr)
				}
				tr.endedClean()
			})
		}
	}
}

// TestAReaderThatStandsStillHoldsUpNoRevocation has stdout and stderr in one pipe that is full and not read, as behind a pager that waits.
func TestAReaderThatStandsStillHoldsUpNoRevocation(t *testing.T) {
	for _, mask := range []string{"on", "off"} {
		tr := newTrial(t, scripted(t, "TOKEN"), []string{"--mask", mask, "--grace", "1s", "--verbose"}, "yes")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		tr.cmd.Stdout, tr.cmd.Stderr = w, w
		tr.start()
		harness.Eventually(t, "the pipe is full", func() bool {
			var poll [1]unix.PollFd
			poll[0] = unix.PollFd{Fd: int32(w.Fd()), Events: unix.POLLOUT}
			n, err := unix.Poll(poll[:], 0)
			return n == 0 && err == nil
		})
		w.Close()
		_ = tr.cmd.Process.Signal(syscall.SIGTERM)
		if code := tr.wait(); code != 128+int(syscall.SIGTERM) {
			t.Errorf("mask %s: exit code %d, want 143", mask, code)
		}
		tr.endedClean()
	}
}

func TestLongArgumentListsArriveByteForByte(t *testing.T) {
	args := []string{"", "-", "--", "a b", "$HOME", "line\nline", "\xff\x80 not UTF-8", strings.Repeat("x", 100<<10)}
	for i := range 3000 {
		args = append(args, fmt.Sprintf("argument number %d of many", i))
	}
	want := sha256.New()
	for _, a := range args {
		want.Write([]byte(a + "\x00"))
	}
	for _, s := range []server{anyServer(t)} {
		tr := newTrial(t, s.direct(t, 1), nil, append([]string{"sh", "-c", `printf '%s\0' "$@" | sha256sum`, "sh"}, args...)...)
		var out bytes.Buffer
		tr.cmd.Stdout = &out
		if code := tr.run(); code != 0 {
			t.Fatalf("exit code %d; stderr:\n%s", code, tr.stderr)
		}
		if sum := hex.EncodeToString(want.Sum(nil)); !strings.HasPrefix(out.String(), sum) {
			t.Errorf("the arguments' sum is %q, want %s", &out, sum)
		}
		tr.endedClean()
	}
}

// TestNoSecretIsSeenFromOutside looks, while the command runs and prints what it should not, at every place where others could read.
func TestNoSecretIsSeenFromOutside(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			tr := newTrial(t, s.direct(t, 1), []string{"--verbose"},
				"sh", "-c", `echo "printed: $PASSWORD_0"; echo "printed: $PASSWORD_0" >&2; `+untilFinish, "an argument")
			stdout := &harness.Transcript{}
			tr.cmd.Stdout = stdout
			tr.start()
			_, password, _ := strings.Cut(tr.file("login"), "\n")
			if len(password) < 16 {
				t.Fatalf("the command got no password of a usual length (%d bytes)", len(password))
			}
			secrets := map[string]string{
				"the issued password": password,
				"its base64":          base64.StdEncoding.EncodeToString([]byte(password)),
			}
			own := map[string]string{} // may stand in the environment that with-creds itself was given
			for _, name := range s.secrets {
				own["the value of "+name] = tr.source.env[name]
			}

			guards := 0
			for _, p := range tr.processes() {
				if !p.own {
					continue
				}
				look(t, fmt.Sprintf("environment of process %d %q", p.pid, p.argv), strings.Join(environOf(p.pid), "\n"), secrets)
				if p.guard() {
					guards++
					look(t, "environment of the guard", strings.Join(environOf(p.pid), "\n"), own)
				}
			}
			if guards != 1 {
				t.Errorf("%d guards, want 1", guards)
			}
			for _, list := range allCommandLines(t) {
				look(t, "ps", list, secrets)
				look(t, "ps", list, own)
			}
			paths := journals(tr.path("home"))
			if len(paths) != 1 {
				t.Errorf("journals while the command runs: %q, want one", paths)
			}
			for _, path := range paths {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				look(t, "the journal", string(text), secrets)
				look(t, "the journal", string(text), own)
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("the journal's mode is %v (%v), want 0600", info.Mode(), err)
				}
			}
			tr.finish(0)
			if code := tr.wait(); code != 0 {
				t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
			}
			text, err := os.ReadFile(tr.path("receipt.json"))
			if err != nil {
				t.Fatal(err)
			}
			for where, text := range map[string]string{"stdout": stdout.String(), "stderr": tr.stderr.String(), "the receipt": string(text), "the server's log": s.log()} {
				look(t, where, text, secrets)
				look(t, where, text, own)
			}
			if !strings.Contains(stdout.String(), "printed: ") || !strings.Contains(tr.stderr.String(), "printed: ") {
				t.Errorf("the command's own words are missing: %q, %q", stdout, tr.stderr)
			}
			if strings.Contains(string(text), "an argument") {
				t.Error("the receipt holds an argument of the command")
			}
			tr.endedClean()
		})
	}
}

// look finds secrets in a text.
func look(t *testing.T, where, text string, secrets map[string]string) {
	t.Helper()
	for what, secret := range secrets {
		if secret == "" {
			t.Fatalf("%s is empty: nothing is tested", what)
		}
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %s", where, what)
		}
	}
}

// allCommandLines is what ps shows of every process on the machine.
func allCommandLines(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	var lines []string
	for _, path := range paths {
		text, _ := os.ReadFile(path) // one that has ended meanwhile shows nothing
		lines = append(lines, string(text))
	}
	return lines
}

func TestTheReceiptAccountsForTheRun(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			tr := newTrial(t, s.direct(t, 2), nil, "sh", "-c", `echo "$PASSWORD_0 $PASSWORD_1"; `+untilFinish, "secret argument")
			tr.cmd.Env = append(tr.cmd.Env, "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=acme/shop", "GITHUB_WORKFLOW=nightly", "GITHUB_JOB=dump",
				"GITHUB_SERVER_URL=https://github.example", "GITHUB_RUN_ID=7")
			tr.start()
			username, _, _ := strings.Cut(tr.file("login"), "\n")
			time.Sleep(100 * time.Millisecond)
			tr.finish(7)
			if code := tr.wait(); code != 7 {
				t.Fatalf("exit code %d, want 7; stderr:\n%s", code, tr.stderr)
			}
			r := tr.receipt()
			if r.Schema != 1 || r.Run == "" || r.Version == "" || r.Command != "sh" || r.ExitCode != 7 || r.Error != "" {
				t.Errorf("schema %d, run %q, version %q, command %q, exit code %d, error %q", r.Schema, r.Run, r.Version, r.Command, r.ExitCode, r.Error)
			}
			if age := time.Since(r.Ended); age < 0 || age > time.Minute || !r.Ended.After(r.Started) {
				t.Errorf("started %v, ended %v", r.Started, r.Ended)
			}
			if r.Requests < 2 || r.Timings.Command < 100 {
				t.Errorf("requests %d, timings %+v", r.Requests, r.Timings)
			}
			if r.CI == nil || r.CI.System != "github" || r.CI.Job != "acme/shop/nightly/dump" || r.CI.URL != "https://github.example/acme/shop/actions/runs/7" {
				t.Errorf("ci %+v", r.CI)
			}
			if len(r.Credentials) != 2 {
				t.Fatalf("%d credentials, want 2", len(r.Credentials))
			}
			for i, c := range r.Credentials {
				source, _, _ := strings.Cut(tr.source.specs[i], " ")
				source, _, _ = strings.Cut(source, "?") // parameters may be private
				variables := []string{fmt.Sprintf("USER_%d", i), fmt.Sprintf("PASSWORD_%d", i)}
				if c.Source != source || c.Lease == "" || !slices.Equal(c.Variables, variables) || c.Files != 0 || c.TTL < 60 || c.Renewals > 1 || c.Replacements != 0 {
					t.Errorf("credential %d: %+v", i, c)
				}
				if i == 0 && c.Username != username {
					t.Errorf("username %q, want %q", c.Username, username)
				}
				if c.Issued.Before(r.Started) || c.Issued.After(r.Ended) {
					t.Errorf("issued %v, outside of the run", c.Issued)
				}
				if v := c.Revocation; v == nil || v.Proof != "proven" || v.Error != "" || v.At.Before(c.Issued) || v.At.After(r.Ended.Add(time.Second)) {
					t.Errorf("revocation %+v", v)
				}
			}
		})
	}
}

// TestAShortLivedCredentialIsNotReplacedInALoop: what replaces it is as short-lived, and is kept for two thirds of its life all the same.
func TestAShortLivedCredentialIsNotReplacedInALoop(t *testing.T) {
	t.Parallel()
	s := anyServer(t)
	tr := newTrial(t, s.source(t, s.address, order{n: 1, files: true, life: shortLife}), nil, "sleep", "5")
	began := time.Now()
	if code := tr.run(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	most := int(time.Since(began) / (shortLife * 2 / 3))
	if n := tr.receipt().Credentials[0].Replacements; n < 1 || n > most {
		t.Errorf("replaced %d times in %v, want at least once and at most %d times; stderr:\n%s", n, time.Since(began), most, tr.stderr)
	}
	tr.endedClean()
}

func TestAReceiptOfARunThatFailedSaysWhy(t *testing.T) {
	tr := newTrial(t, nil, []string{"-c", "postgres:app A=username"}, "true")
	tr.cmd.Env = append(tr.cmd.Env, "PGHOST=127.0.0.1", "PGPORT=1")
	if code := tr.run(); code != 125 {
		t.Errorf("exit code %d, want 125", code)
	}
	if r := tr.receipt(); r.ExitCode != 125 || !strings.Contains(r.Error, "connection refused") || len(r.Credentials) != 0 {
		t.Errorf("receipt %+v", r)
	}
	tr.cleanedUp(cleanUpLimit)
}

func TestTwentyRunsAtOnceDoNotDisturbEachOther(t *testing.T) {
	const runs = 20
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			src := s.direct(t, 1) // one and the same group for all
			var trials []*trial
			for range runs {
				trials = append(trials, newTrial(t, src, nil, "sh", "-c", untilFinish))
			}
			began := time.Now()
			for _, tr := range trials {
				tr.start()
			}
			logins := map[string]bool{}
			for _, tr := range trials {
				logins[tr.file("login")] = true
			}
			if have := src.left(); len(logins) != runs || len(have) < runs {
				t.Errorf("%d different logins and %d things on the server for %d runs", len(logins), len(have), runs)
			}
			for i, tr := range trials {
				tr.finish(i)
			}
			var all sync.WaitGroup
			for i, tr := range trials {
				all.Go(func() {
					if code := tr.wait(); code != i {
						t.Errorf("exit code %d, want %d; stderr:\n%s", code, i, tr.stderr)
					}
				})
			}
			all.Wait()
			t.Logf("%d runs at once took %v", runs, time.Since(began).Round(time.Millisecond))
			for _, tr := range trials {
				tr.endedClean()
			}
		})
	}
}
