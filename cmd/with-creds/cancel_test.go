//go:build linux

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/pipelines"
	"github.com/with-creds/with-creds/providers"
)

// A cancelled is a job, with a command that heeds no signal, which its CI ends as the table of package pipelines says.
type cancelled struct {
	*trial
	ci    pipelines.CI
	below bool // the CI's process is a shell, and with-creds its child
	sent  int  // how many of the signals
	tree  []int
}

func (c *cancelled) name() string {
	if c.below {
		return c.ci.System + ", below a shell"
	}
	return c.ci.System
}

// told reports whether the CI tells with-creds before it kills it.
func (c *cancelled) told() bool {
	return len(c.ci.Cancel) > 1 && (!c.below || c.ci.Cancel[0].To != pipelines.Step)
}

// twoSources are a credential of Vault's, with a login of the run's own, and one of PostgreSQL's.
func twoSources(t *testing.T, vault, postgres server) *source {
	t.Helper()
	a := vault.source(t, vault.address, order{n: 1, files: true})
	b := postgres.source(t, postgres.address, order{n: 1, first: 1, files: true})
	both := &source{specs: slices.Concat(a.specs, b.specs), env: maps.Clone(a.env), logins: a.logins, leashed: a.leashed, usable: a.usable}
	maps.Copy(both.env, b.env)
	both.left = func() []string { return append(a.left(), b.left()...) }
	return both
}

// begin starts the job, and returns when its command runs.
func (c *cancelled) begin(t *testing.T, s *source, flags ...string) {
	t.Helper()
	c.trial = newTrial(t, s, flags, "sh", "-c", stubborn)
	c.cmd.Env = append(c.cmd.Env, c.ci.Marks[0]+"=true")
	if c.ci.Cookie != "" {
		c.cmd.Env = append(c.cmd.Env, c.ci.Cookie+"=cookie-of-the-job")
	}
	if c.below {
		args := append([]string{"bash", "-ec", `"$@"; echo the next line of the step`, "bash", c.exe}, c.cmd.Args[1:]...)
		var err error
		if c.cmd.Path, err = exec.LookPath("bash"); err != nil {
			t.Fatal(err)
		}
		c.cmd.Args = args
	}
	c.start()
	c.file("login")
}

// receivers are whom a signal is sent to.
func (c *cancelled) receivers(to pipelines.Reach) []int {
	var pids []int
	marked := func(pid int) bool { return slices.Contains(environOf(pid), c.ci.Cookie+"=cookie-of-the-job") }
	switch to {
	case pipelines.Step:
		pids = []int{c.pid()}
	case pipelines.Group:
		pids = []int{-c.pid()}
	case pipelines.Container:
		for _, p := range c.processes() {
			pids = append(pids, p.pid)
		}
	case pipelines.WithCookie:
		for _, p := range c.processes() {
			if marked(p.pid) {
				pids = append(pids, p.pid)
			}
		}
	case pipelines.Tree: // Jenkins reads the processes once, and keeps to that
		if c.tree == nil {
			all := c.processes()
			for grew := true; grew; {
				grew = false
				for _, p := range all {
					if !slices.Contains(c.tree, p.pid) && (marked(p.pid) || slices.Contains(c.tree, parentOf(p.pid))) {
						c.tree, grew = append(c.tree, p.pid), true
					}
				}
			}
			slices.Reverse(c.tree) // children first
		}
		for _, p := range c.processes() {
			if slices.Contains(c.tree, p.pid) {
				pids = append(pids, p.pid)
			}
		}
	}
	return pids
}

// parentOf is 0 of a process that has ended.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	parent, _ := strconv.Atoi(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[1])
	return parent
}

// over reports whether the CI sees the step's process ended.
func (c *cancelled) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// cancelAll sends all jobs their CI's signals, each at its time, until none has a process left or has a signal to come.
func cancelAll(jobs []*cancelled) {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		waiting := false
		for _, c := range jobs {
			if c.sent == len(c.ci.Cancel) || c.over() && len(c.processes()) == 0 {
				continue
			}
			waiting = true
			next := c.ci.Cancel[c.sent]
			if time.Since(began) < next.After {
				continue
			}
			c.sent++
			if next.To == pipelines.Step && c.over() {
				continue // its number may be another's by now
			}
			for _, pid := range c.receivers(next.To) {
				send(pid, next.Send)
			}
		}
		if !waiting {
			return
		}
	}
}

// gaveBack tells what is wrong with the job's own account; nil: it has seen to everything itself, before the CI killed.
func (c *cancelled) gaveBack() error {
	if _, err := os.Stat(c.path("receipt.json")); err != nil {
		return err
	}
	r := c.receipt()
	if r.ExitCode != 137 || r.CI == nil || r.CI.System != c.ci.System || len(r.Credentials) != 2 {
		return fmt.Errorf("exit code %d, ci %+v, %d credentials", r.ExitCode, r.CI, len(r.Credentials))
	}
	for _, credential := range r.Credentials {
		if credential.Revocation == nil || credential.Revocation.Proof != providers.Proven {
			return fmt.Errorf("%s: %+v", credential.Source, credential.Revocation)
		}
	}
	return nil
}

// TestCancelledJobLeavesNothing goes by the table, at the CIs' real intervals, all at once. Where with-creds is told it revokes itself and says so, before
// it is killed; where the CI's signals reach its shell alone, the guard does.
func TestCancelledJobLeavesNothing(t *testing.T) {
	postgres, pg := postgresRow(t)
	vault := vaultRows(t, pg)[0]
	var jobs []*cancelled
	for _, ci := range pipelines.Systems() {
		if len(ci.Cancel) == 0 {
			continue // TestJobWhoseMachineIsTakenAwayEndsWithTheLeash
		}
		jobs = append(jobs, &cancelled{ci: ci})
		if ci.Cancel[0].To != pipelines.Step || ci.Cookie != "" { // a pod's first process is with-creds, or nothing is told and nobody is left at the end
			jobs = append(jobs, &cancelled{ci: ci, below: true})
		}
	}
	for attempt := 1; len(jobs) > 0; attempt++ {
		for _, c := range jobs {
			c.begin(t, twoSources(t, vault, postgres))
			if n := len(c.leftThere()); n < 4 { // two roles, a lease and a login
				t.Fatalf("%s: %d things on the servers while the command runs", c.name(), n)
			}
		}
		cancelAll(jobs)
		var late []*cancelled
		for _, c := range jobs {
			t.Run(c.name(), func(t *testing.T) {
				err := c.gaveBack()
				if c.told() && err != nil && attempt < 3 { // it is a matter of two seconds, and the machine may have been busy with other things
					t.Logf("once more: %v", err)
					late = append(late, &cancelled{ci: c.ci, below: c.below})
					return
				}
				took := c.cleanedUp(cleanUpLimit)
				if c.told() && err != nil {
					t.Errorf("it has not revoked everything by itself before it was killed: %v\n%s", err, c.stderr)
				} else if !c.told() {
					t.Logf("all is gone %v after the last signal", took.Round(time.Millisecond))
				}
			})
		}
		jobs = late
	}
}

// TestJobWhoseMachineIsTakenAwayEndsWithTheLeash is for the CIs of which nobody says that they send a signal.
func TestJobWhoseMachineIsTakenAwayEndsWithTheLeash(t *testing.T) {
	_, pg := postgresRow(t)
	vault := vaultRows(t, pg)[0]
	for _, ci := range pipelines.Systems() {
		if len(ci.Cancel) > 0 {
			continue
		}
		t.Run(ci.System, func(t *testing.T) {
			t.Parallel()
			c := &cancelled{ci: ci}
			s := vault.source(t, vault.address, order{n: 2})
			c.begin(t, s, "--leash", shortLeash.String())
			if !within(time.Minute, func() error {
				if !s.leashed(shortLeash) {
					return fmt.Errorf("not yet")
				}
				return nil
			}) {
				t.Fatal("what was issued has not been put on the leash")
			}
			c.ci.Cancel = []pipelines.Signal{{After: 0, Send: syscall.SIGKILL, To: pipelines.Container}}
			cancelAll([]*cancelled{c})
			if !within(cleanUpLimit, func() error {
				if left := c.leftThere(); len(left) > 0 {
					return fmt.Errorf("%q", left)
				}
				return nil
			}) {
				t.Errorf("left: %q", c.leftThere())
			}
		})
	}
}
