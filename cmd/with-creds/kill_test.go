//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// cookies are the variables by which CI agents find a job's processes to end them: Jenkins (ProcessTreeKiller), GitHub (runner),
// GitLab, Buildkite.
var cookies = []string{"JENKINS_NODE_COOKIE", "BUILD_ID", "RUNNER_TRACKING_ID", "CI_JOB_ID", "BUILDKITE_JOB_ID"}

// A way is a way for a run to die.
type way struct {
	name  string
	setup func(tr *trial) // before the start
	kill  func(tr *trial)
}

// waysToKill all end with-creds without giving it a chance. What is started after kill returned is nobody's to end but the guard's.
func waysToKill() []way {
	ways := []way{
		{"parent", nil, func(tr *trial) { send(tr.pid(), syscall.SIGKILL) }},
		{"process group", nil, func(tr *trial) { send(-tr.pid(), syscall.SIGKILL) }},
		{"stopped, then killed", nil, func(tr *trial) {
			send(tr.pid(), syscall.SIGSTOP)
			time.Sleep(50 * time.Millisecond)
			send(tr.pid(), syscall.SIGKILL)
		}},
		{"parent and command", nil, func(tr *trial) {
			tr.killAll(func(p process) bool { return !p.guard() })
		}},
		{"session", newSession, func(tr *trial) {
			tr.killAll(func(p process) bool { return sessionOf(p.pid) == tr.pid() })
		}},
	}
	for _, cookie := range cookies {
		value := cookie + "=job-42"
		ways = append(ways, way{"tree killer by " + cookie,
			func(tr *trial) { tr.cmd.Env = append(tr.cmd.Env, value) },
			func(tr *trial) {
				tr.killAll(func(p process) bool { return slices.Contains(environOf(p.pid), value) })
			},
		})
	}
	return ways
}

func (tr *trial) pid() int { return tr.cmd.Process.Pid }

// killAll kills the trial's processes of that description until there are none: as a process-tree killer does. It looks at least twice,
// for a process may be started while the list is read.
func (tr *trial) killAll(doomed func(process) bool) {
	for clear := 0; clear < 2; {
		clear++
		for _, p := range tr.processes() {
			if doomed(p) {
				send(p.pid, syscall.SIGKILL)
				clear = 0
			}
		}
	}
}

// send sends a signal to a process that may have ended already.
func send(pid int, s syscall.Signal) { _ = syscall.Kill(pid, s) }

// newSession makes the trial the leader of a session.
func newSession(tr *trial) { tr.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// sessionOf is the session a process is in; 0 when it has ended.
func sessionOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	id, _ := strconv.Atoi(fields[3])
	return id
}

// cleanUpLimit is how long the guard may take for these tests to pass on a machine that is busy with other things. How long it takes is told by the tests, and
// judged by TestChaos.
const cleanUpLimit = 30 * time.Second

// A command that is there for good, does not end of SIGTERM, and has a child in a session of its own.
const stubborn = `trap "" TERM HUP INT
setsid sleep 600 >/dev/null 2>&1 &
printf "%s\n%s\n" "$USER_0" "$PASSWORD_0" >login.tmp; mv login.tmp login
while :; do sleep 0.1; done`

func TestKilledWhileTheCommandRunsNothingIsLeft(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			var slowest slowest
			t.Cleanup(func() { t.Logf("slowest clean-up %s", &slowest) })
			for _, w := range waysToKill() {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					tr := newTrial(t, s.through(t, order{n: 2, files: true}), nil, "sh", "-c", stubborn)
					w.begin(tr)
					tr.file("login")
					if n := len(tr.leftThere()); n < 2 {
						t.Fatalf("%d credentials while the command runs, want 2", n)
					}
					for _, kind := range []string{"process", "journal", "file"} {
						if here := tr.leftHere(); !slices.ContainsFunc(here, func(s string) bool { return strings.HasPrefix(s, kind+" ") }) {
							t.Fatalf("no %s to be found while the command runs, so none would be missed: %q", kind, here)
						}
					}
					w.kill(tr)
					slowest.note(w.name, tr.cleanedUp(cleanUpLimit))
				})
			}
		})
	}
}

// TestATerminalThatIsClosedEndsTheRun: the window is closed, the connection lost. The command does not heed the signal of that, and has the grace only.
func TestATerminalThatIsClosedEndsTheRun(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			window, terminal, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer window.Close()
			tr := newTrial(t, s.through(t, order{n: 1, files: true}), []string{"--grace=1s"}, "sh", "-c", stubborn)
			tr.cmd.Stdin, tr.cmd.Stdout = terminal, terminal
			tr.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			tr.start()
			terminal.Close()
			tr.file("login")
			if len(tr.leftThere()) == 0 {
				t.Fatal("no credential while the command runs")
			}
			window.Close()
			t.Logf("all is gone after %v", tr.cleanedUp(cleanUpLimit).Round(time.Millisecond))
		})
	}
}

// begin starts the trial as the way wants it.
func (w way) begin(tr *trial) {
	if w.setup != nil {
		w.setup(tr)
	}
	tr.start()
}

// TestKilledAtAKnownMomentNothingIsLeft kills at each of the moments at which it matters most: the request is under way, or
// answered and not known of yet. What is held up then arrives after the death, when the guard is at work already.
func TestKilledAtAKnownMomentNothingIsLeft(t *testing.T) {
	ways := waysToKill()[:2]
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			var slowest slowest
			t.Cleanup(func() { t.Logf("slowest clean-up %s", &slowest) })
			for _, m := range s.moments {
				if m.joined {
					continue
				}
				for i, late := range []time.Duration{0, 300 * time.Millisecond} {
					for _, w := range ways {
						if m.leash+m.order.life > 0 && w.name != ways[i].name {
							continue // one that takes seconds to come is not gone through all
						}
						t.Run(fmt.Sprintf("%s/%s/what is held arrives %v later", m.name, w.name, late), func(t *testing.T) {
							t.Parallel()
							tr, p := m.trial(t, s)
							w.begin(tr)
							tr.await(p)
							w.kill(tr)
							if late > 0 {
								time.Sleep(late)
							}
							close(p.release)
							slowest.note(m.name, tr.cleanedUp(cleanUpLimit))
							// What arrives late must not bring it back.
							time.Sleep(50 * time.Millisecond)
							if left := tr.leftovers(); len(left) > 0 {
								t.Errorf("it came back: %q", left)
							}
						})
					}
				}
			}
		})
	}
}

// trial is a run that the returned proxy holds up at the moment.
func (m moment) trial(t testing.TB, s server) (*trial, *proxy) {
	t.Helper()
	p := newProxy(t, s.address, m)
	m.order.n = 1
	var flags []string
	if m.leash > 0 {
		flags = append(flags, "--leash", m.leash.String())
	}
	command := []string{"touch", "ran"}
	if m.lasting {
		command = []string{"sh", "-c", "touch ran; exec sleep 600"}
	}
	return newTrial(t, s.behind(t, p, m.order), flags, command...), p
}

// aMoment is a command that says that it was started, and ends soon.
var aMoment = []string{"sh", "-c", "touch ran; sleep 0.01"}

// lostAnswers waits until nobody is left who could clean up, and counts (and removes) what the killed run had read in an answer and told nobody: the documented
// instant of a login that is not the run's own. There is none once the command was started.
func (tr *trial) lostAnswers() int {
	tr.t.Helper()
	if tr.source.discard == nil {
		return 0
	}
	if _, err := os.Stat(tr.path("ran")); err == nil {
		return 0
	}
	within(cleanUpLimit, func() error {
		if len(tr.leftHere()) > 0 || tr.source.via != nil && tr.source.via.open.Load() > 0 { // a server may be at work for one that is dead
			return errors.New("something is left")
		}
		return nil
	})
	if _, err := os.Stat(tr.path("ran")); err == nil { // it was being started
		return 0
	}
	return tr.source.discard()
}

// TestKilledAtAnyTimeNothingIsLeft goes through the whole life of a run in small steps.
func TestKilledAtAnyTimeNothingIsLeft(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			life, steps := lifetime(t, s), time.Duration(30)
			if s.slow {
				steps = 10 // each clean-up takes a second
			}
			var slowest slowest
			lost := 0
			for after := time.Duration(0); after <= life+10*time.Millisecond; after += life / steps {
				tr := newTrial(t, s.through(t, order{n: 1, files: true}), nil, aMoment...)
				tr.start()
				time.Sleep(after)
				send(tr.pid(), syscall.SIGKILL)
				lost += tr.lostAnswers()
				slowest.note(after.String(), tr.cleanedUp(cleanUpLimit))
				if t.Failed() {
					t.Fatalf("after %v of %v", after, life)
				}
			}
			t.Logf("a run takes %v; slowest clean-up %s; %d answers lost", life, &slowest, lost)
			if s.nameless {
				return // each request that the kill meets is one
			}
			if lost > 1 {
				t.Errorf("%d answers were lost, of %d: that is no rare instant", lost, slowest.n)
			}
		})
	}
}

// lifetime is how long an undisturbed run takes, the longest of three.
func lifetime(t *testing.T, s server) time.Duration {
	t.Helper()
	var longest time.Duration
	for range 3 {
		tr := newTrial(t, s.through(t, order{n: 1, files: true}), nil, aMoment...)
		began := time.Now()
		if code := tr.run(); code != 0 {
			t.Fatalf("exit code %d; stderr:\n%s", code, tr.stderr)
		}
		longest = max(longest, time.Since(began))
	}
	return longest
}

func TestGuardKilledAloneIsReplacedAndTheRunEndsWell(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", "touch running; while ! test -e finish; do sleep 0.02; done; exit 7")
			tr.start()
			tr.file("running")
			first := tr.guard()
			send(first, syscall.SIGKILL)
			second := tr.guard(first)
			send(second, syscall.SIGKILL)
			tr.guard(first, second)
			if err := os.WriteFile(tr.path("finish"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if code := tr.wait(); code != 7 {
				t.Errorf("exit code %d, want the command's own 7; stderr:\n%s", code, tr.stderr)
			}
			if n := strings.Count(tr.stderr.String(), "another one is in charge"); n != 2 {
				t.Errorf("the loss of 2 guards was told %d times:\n%s", n, tr.stderr)
			}
			if proof := tr.receipt().Credentials[0].Revocation.Proof; proof != "proven" {
				t.Errorf("revocation is %s, want proven", proof)
			}
			tr.cleanedUp(cleanUpLimit)
		})
	}
}

func TestAReplacedGuardKnowsAllThatTheFirstKnew(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			tr := newTrial(t, s.direct(t, 2), nil, "sh", "-c", stubborn)
			tr.start()
			tr.file("login")
			first := tr.guard()
			send(first, syscall.SIGKILL)
			tr.guard(first)
			time.Sleep(100 * time.Millisecond) // it is being told
			send(tr.pid(), syscall.SIGKILL)
			tr.cleanedUp(cleanUpLimit)
		})
	}
}

// TestGuardStoppedDoesNotHoldUpTheRun: a guard that takes nothing is killed and replaced.
func TestGuardStoppedDoesNotHoldUpTheRun(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", "touch running; while ! test -e finish; do sleep 0.02; done")
			tr.start()
			tr.file("running")
			send(tr.guard(), syscall.SIGSTOP)
			if err := os.WriteFile(tr.path("finish"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if code := tr.wait(); code != 0 {
				t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("the run took %v more to end", took)
			}
			if left := tr.leftThere(); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestRunAndGuardKilledAtOnceTheLeashEndsWhatWasIssued is the machine that vanishes.
func TestRunAndGuardKilledAtOnceTheLeashEndsWhatWasIssued(t *testing.T) {
	const leash = 5 * time.Second
	const late = 4 * time.Second // two seconds are the promise; the rest is for a machine that is busy
	for _, s := range servers(t) {
		if s.nameless {
			continue // nothing shortens its hour
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t, s.direct(t, 1), []string{"--leash", leash.String()}, "sh", "-c", stubborn)
			tr.start()
			username, password, _ := strings.Cut(tr.file("login"), "\n")
			if !tr.source.usable(t, username, password) {
				t.Fatal("the credential does not work while the command runs")
			}
			if tr.source.leashed != nil && !within(time.Minute, func() error {
				if !tr.source.leashed(leash) {
					return errors.New("not yet")
				}
				return nil
			}) {
				t.Fatal("what was issued has not been put on the leash")
			}
			guard := tr.guard()
			send(tr.pid(), syscall.SIGSTOP) // so that it cannot replace the guard
			send(guard, syscall.SIGKILL)
			send(tr.pid(), syscall.SIGKILL)
			killed := time.Now()
			for asked := killed; tr.source.usable(t, username, password); asked = time.Now() {
				if asked.Sub(killed) > leash+late {
					t.Errorf("the credential still works %v after both were killed, with a leash of %v", asked.Sub(killed), leash)
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("not usable any more %v after both were killed", time.Since(killed).Round(time.Millisecond))
			if left := journals(tr.path("home")); len(left) != 1 {
				t.Errorf("journals %q, want one for sweep to find", left)
			}
		})
	}
}

// slowest remembers the longest of some times. It may be used concurrently.
type slowest struct {
	mu   sync.Mutex
	took time.Duration
	at   string
	n    int
}

func (s *slowest) note(at string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if took > s.took {
		s.took, s.at = took, at
	}
}

func (s *slowest) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("of %d: %v (%s)", s.n, s.took.Round(time.Millisecond), s.at)
}
