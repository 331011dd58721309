//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/joho/godotenv"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// shellAs is a copy of the shell that the kernel knows by that name.
func (j *jobTrial) shellAs(name string) string {
	j.t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		j.t.Fatal(err)
	}
	content, err := os.ReadFile(shell)
	if err != nil {
		j.t.Fatal(err)
	}
	if err := os.WriteFile(j.path(name), content, 0o700); err != nil {
		j.t.Fatal(err)
	}
	return j.path(name)
}

// The process that a runner has for each job is found without being named, and watched as long as the job takes.
func TestSessionEndsWithTheRunnersWorkerOfTheJob(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		for mark, worker := range map[string]string{"GITHUB_ACTIONS": "Runner.Worker", "TF_BUILD": "Agent.Worker", "BUILDKITE": "buildkite-agent"} {
			t.Run(worker, func(t *testing.T) {
				j := newJob(t, s)
				j.env[mark] = "true"
				// A step: a shell below the worker, which ends before the job does.
				c := exec.Command(j.shellAs(worker), append([]string{"-c", `sh -c '"$@" >out.tmp && mv out.tmp out; true' sh "$@"; while :; do sleep 0.05; done`, worker,
					j.exe, "start", "--format", "json", "-c"}, s.specs[0])...)
				c.Dir = j.dir
				for name, value := range j.env {
					c.Env = append(c.Env, name+"="+value)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				defer c.Wait()
				var said struct{ Session string }
				if err := json.Unmarshal([]byte(j.file("out")), &said); err != nil {
					t.Error(err)
				}
				j.env[sessionVariable] = said.Session
				if len(s.left()) == 0 {
					t.Error("nothing is there while the job runs")
				}
				send(c.Process.Pid, syscall.SIGKILL)
				j.over()
			})
		}
	})
}

func TestSessionLastsNoLongerThanTheCISaysTheJobMay(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		j := newJob(t, s)
		maps.Copy(j.env, map[string]string{"GITLAB_CI": "true", "CI_JOB_TIMEOUT": "3"})
		j.begin()
		j.over()
		j = newJob(t, s)
		maps.Copy(j.env, map[string]string{"GITLAB_CI": "true", "CI_JOB_TIMEOUT": "1"})
		env := j.begin("--job-timeout", "5m") // what is said goes before
		time.Sleep(1500 * time.Millisecond)
		if !s.usable(t, env["USER_0"], env["PASSWORD_0"]) {
			t.Error("it has ended before its time")
		}
		if _, stderr, code := j.step("stop"); code != 0 {
			t.Errorf("code %d, %s", code, stderr)
		}
		j.over()
	})
}

// What a run's command starts is a part of the run: it has no login but one that is passed on, and ends with the run.
func TestSessionWithinARunEndsWithTheRun(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		const script = `eval "$("$0" start --format shell -c "$1")"; printf %s "$WITH_CREDS_SESSION"`
		j := newJob(t, s)
		args := []string{"-c", s.specs[0], "--", "sh", "-ec", script, j.exe, s.specs[1]}
		if stdout, stderr, code := j.step(args...); code == 0 || stdout != "" || !strings.Contains(stderr, "VAULT_TOKEN") {
			t.Errorf("a login was inherited: code %d, %q\n%s", code, stdout, stderr)
		}
		j.over()
		var passed []string
		for name := range s.env {
			passed = append(passed, "--pass-env", name)
		}
		stdout, stderr, code := j.step(append(passed, args...)...)
		if code != 0 || stdout == "" {
			t.Errorf("code %d, %q\n%s", code, stdout, stderr)
		}
		j.env[sessionVariable] = stdout
		if left := s.left(); len(left) > 0 {
			t.Errorf("left when the run has ended: %q", left)
		}
		j.over()
	})
}

func TestSessionThatIsStoppedTwiceAtOnceEndsOnce(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		j := newJob(t, s)
		j.begin()
		var all sync.WaitGroup
		codes := make([]int, 3)
		for i := range codes {
			all.Go(func() {
				c := j.command("stop")
				var stderr bytes.Buffer
				c.Stderr = &stderr
				_ = c.Run()
				codes[i] = c.ProcessState.ExitCode()
				if codes[i] != 0 {
					t.Errorf("code %d, %s", codes[i], &stderr)
				}
			})
		}
		all.Wait()
		j.over()
	})
}

// A socket's path may have 107 bytes, and a runner's directory more.
func TestSessionIsReachedInADirectoryOfALongName(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		j := newJob(t, s)
		long := filepath.Join(j.env["XDG_RUNTIME_DIR"], strings.Repeat("long", 30))
		if err := os.Mkdir(long, 0o700); err != nil {
			t.Fatal(err)
		}
		j.env["XDG_RUNTIME_DIR"] = long
		if j.begin(); !strings.HasPrefix(j.session(), long) {
			t.Fatalf("the session is in %s", j.session())
		}
		if _, stderr, code := j.step("run", "--", "sh", "-c", `[ -n "$PASSWORD_0" ]`); code != 0 {
			t.Errorf("code %d, %s", code, stderr)
		}
		if _, stderr, code := j.step("stop"); code != 0 {
			t.Errorf("code %d, %s", code, stderr)
		}
		if j.private[0] = long; !isWord(j.session()) {
			t.Error("more is left than its word")
		}
		j.over()
	})
}

func TestStopSaysWhatIsNotProvenAndTheGuardGoesOn(t *testing.T) {
	row, pg := postgresRow(t)
	s := row.direct(t, 1)
	j := newJob(t, s)
	j.begin("--revoke-timeout", "1s")
	pg.Stop()
	stdout, stderr, code := j.step("stop", "--json")
	if code != failed || !strings.Contains(stderr, "not proven") {
		t.Errorf("code %d, %s", code, stderr)
	}
	var r receipt.Receipt
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if r.ExitCode != failed || len(r.Credentials) != 1 || r.Credentials[0].Revocation == nil || r.Credentials[0].Revocation.Proof != providers.Failed {
		t.Errorf("the receipt says %+v", r)
	}
	if n := len(journals(j.path("home"))); n != 1 {
		t.Errorf("%d journals, want 1", n)
	}
	pg.Start()
	j.cleanedUp(time.Minute)
}

// Each hostile value by itself: it arrives byte for byte wherever dotenv files are read, or is refused and nothing written.
func TestDotenvCarriesAValueWholeOrNotAtAll(t *testing.T) {
	v := harness.Vault(t)
	v.Mount("kv", "kv-v2")
	values := hostile()
	maps.Copy(values, map[string]string{"ANNOTATION": "%0A::error::boo", "COMMENT": "a#b", "EQUALS": "a=b==", "STAR": "*?[a-z]", "BANG": "!!%d", "NUL": "a\x00b"})
	carried := 0
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			v.Write("kv/data/"+name, map[string]any{"data": map[string]any{"value": value}})
			s := &source{env: map[string]string{"VAULT_ADDR": v.Addr, "VAULT_TOKEN": v.RootToken}, left: func() []string { return nil }}
			j := newJob(t, s)
			_, stderr, code := j.step("start", "-c", "vault:kv/data/"+name+" VALUE=value", "--format", "dotenv", "--output", j.path("job.env"))
			if strings.Contains(stderr, value) {
				t.Errorf("the value is told: %s", stderr)
			}
			if code != 0 {
				if _, err := os.Stat(j.path("job.env")); !os.IsNotExist(err) || !strings.Contains(stderr, "VALUE") {
					t.Errorf("code %d, the file: %v, %s", code, err, stderr)
				}
				j.over()
				return
			}
			carried++
			read, err := godotenv.Read(j.path("job.env"))
			if err != nil || read["VALUE"] != value || len(read) != 2 {
				t.Errorf("godotenv reads %q: %v", read, err)
			}
			sourced, err := exec.Command("sh", "-ec", `set -a; . "$0"; printf %s "$VALUE"`, filepath.Join(j.dir, "job.env")).Output()
			if err != nil || string(sourced) != value {
				t.Errorf("a shell reads %q: %v", sourced, err)
			}
			j.env[sessionVariable] = read[sessionVariable]
			if _, stderr, code := j.step("stop"); code != 0 {
				t.Errorf("code %d, %s", code, stderr)
			}
			j.over()
		})
	}
	if carried < 3 {
		t.Errorf("only %d values were carried", carried)
	}
}
