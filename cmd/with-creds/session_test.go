//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A jobTrial is a job whose steps are calls of the binary, one after another.
type jobTrial struct {
	*trial
	env map[string]string
}

func newJob(t testing.TB, s *source) *jobTrial {
	t.Helper()
	tr := newTrial(t, s, nil)
	return &jobTrial{tr, environment(tr.cmd.Env)}
}

// command is one step: the binary with these arguments.
func (j *jobTrial) command(args ...string) *exec.Cmd {
	c := exec.Command(j.exe, args...)
	c.Args[0], c.Dir = "with-creds", j.dir
	for name, value := range j.env {
		c.Env = append(c.Env, name+"="+value)
	}
	c.WaitDelay = 10 * time.Second
	return c
}

// step runs one to its end; its stdout is closed by then, or a CI would wait for ever.
func (j *jobTrial) step(args ...string) (stdout, stderr string, code int) {
	j.t.Helper()
	c := j.command(args...)
	var out, diagnostics bytes.Buffer
	c.Stdout, c.Stderr = &out, &diagnostics
	if err := c.Run(); c.ProcessState == nil {
		j.t.Fatal(err)
	}
	return out.String(), diagnostics.String(), c.ProcessState.ExitCode()
}

// begin starts a session with the source's specs and takes its variables into the job's environment, as a CI would.
func (j *jobTrial) begin(flags ...string) map[string]string {
	j.t.Helper()
	args := append([]string{"start", "--format", "json"}, flags...)
	for _, spec := range j.source.specs {
		args = append(args, "-c", spec)
	}
	stdout, stderr, code := j.step(args...)
	if code != 0 {
		j.t.Fatalf("start: code %d, stderr:\n%s", code, stderr)
	}
	var said struct {
		Session     string
		Environment map[string]string
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		j.t.Fatalf("%v in\n%s", err, stdout)
	}
	if said.Session == "" || said.Environment[sessionVariable] != said.Session {
		j.t.Fatalf("the session is %q, and its variable %q", said.Session, said.Environment[sessionVariable])
	}
	maps.Copy(j.env, said.Environment)
	return said.Environment
}

func (j *jobTrial) session() string { return j.env[sessionVariable] }

// over wants everything of the job to be gone.
func (j *jobTrial) over() {
	j.t.Helper()
	j.cleanedUp(30 * time.Second)
}

// ended wants stop to know how a session has ended that it did not end.
func (j *jobTrial) ended(want int, why string) {
	j.t.Helper()
	if _, stderr, code := j.step("stop"); code != want || !strings.Contains(stderr, why) {
		j.t.Errorf("stop ends with %d, want %d and %q:\n%s", code, want, why, stderr)
	}
}

func (j *jobTrial) keeper() int {
	j.t.Helper()
	for _, p := range j.processes() {
		if p.own && slices.Equal(p.argv, []string{"with-creds", "keeper"}) {
			return p.pid
		}
	}
	j.t.Fatal("there is no keeper")
	return 0
}

// sessionRows are the servers that sessions are tried with.
func sessionRows(t *testing.T, each func(t *testing.T, s *source)) {
	pg := harness.Postgres(t)
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	t.Run("vault", func(t *testing.T) {
		each(t, vaultSource(t, v, pg, ownLogin(true), strings.TrimPrefix(v.Addr, "http://"), order{n: 2}))
	})
}

func TestSessionServesTheJobAndStopProvesItsEnd(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		j := newJob(t, s)
		env := j.begin("--receipt", j.path("receipt.json"))
		if !s.usable(t, env["USER_0"], env["PASSWORD_0"]) || !s.usable(t, env["USER_1"], env["PASSWORD_1"]) {
			t.Error("what start gave is not usable")
		}
		// A later step wraps a command with the session: it is given the variables, masked, and nothing of with-creds' own.
		stdout, stderr, code := j.step("run", "--session", j.session(), "--", "sh", "-c", `echo "$PASSWORD_0"; env; exit 7`)
		if code != 7 || strings.Contains(stdout, env["PASSWORD_0"]) || !strings.HasPrefix(stdout, "***\n") {
			t.Errorf("run --session: code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
		}
		for _, name := range append(s.secretNames(), sessionVariable, "WITH_CREDS_RUN") {
			if strings.Contains(stdout, name+"=") {
				t.Errorf("the command inherits %s", name)
			}
		}
		if _, stderr, code := j.step("--", "sh", "-c", `[ -n "$PASSWORD_1" ]`); code != 0 { // the session of the environment, where nothing else is asked for
			t.Errorf("without a flag: code %d, %s", code, stderr)
		}
		// So it is where the job's environment still has what start was asked for by.
		j.env["WITH_CREDS"] = s.specs[0]
		for _, flags := range [][]string{{"run", "--session", j.session()}, {"run"}} {
			if stdout, stderr, code := j.step(append(flags, "--mask", "off", "--", "sh", "-c", `echo "$USER_0"`)...); code != 0 || stdout != env["USER_0"]+"\n" {
				t.Errorf("%q beside WITH_CREDS: code %d, %q\n%s", flags, code, stdout, stderr)
			}
		}
		delete(j.env, "WITH_CREDS")
		stdout, stderr, code = j.step("stop", "--json")
		if code != 0 {
			t.Errorf("stop: code %d, stderr:\n%s", code, stderr)
		}
		var r receipt.Receipt
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Credentials {
			if c.Revocation == nil || c.Revocation.Proof != "proven" {
				t.Errorf("the receipt says of %s: %+v", c.Lease, c.Revocation)
			}
		}
		if len(r.Credentials) != 2 || j.receipt().Run != r.Run {
			t.Errorf("the receipt of stop and that of --receipt: %+v and %+v", r, j.receipt())
		}
		if left := j.leftThere(); len(left) > 0 {
			t.Errorf("left when stop has ended: %q", left)
		}
		j.over()
		if s.usable(t, env["USER_0"], env["PASSWORD_0"]) {
			t.Error("what was revoked is usable")
		}
		// As a CI's last step does after one of the job's own.
		again, stderr, code := j.step("stop", "--json")
		if code != 0 || again != stdout || !strings.Contains(stderr, "it was stopped; everything it had is proven to be revoked") {
			t.Errorf("stopping it again: code %d, %s%s", code, again, stderr)
		}
		if _, stderr, code := j.step("--", "true"); code != failed || !strings.Contains(stderr, "has ended already") {
			t.Errorf("running with it again: code %d, %s", code, stderr)
		}
		j.env[sessionVariable] += "x"
		if _, stderr, code := j.step("stop"); code != failed || !strings.Contains(stderr, "not there") || strings.Contains(stderr, "revoked") {
			t.Errorf("stopping one that has left nothing: code %d, %s", code, stderr)
		}
	})
}

// secretNames are the variables of the source's that hold a secret of with-creds' own.
func (s *source) secretNames() []string {
	var names []string
	for name := range s.env {
		if name != "VAULT_ADDR" {
			names = append(names, name)
		}
	}
	return names
}

func TestSessionEndsHoweverTheJobEnds(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		t.Run("the process that it watches", func(t *testing.T) {
			j := newJob(t, s)
			worker := exec.Command("sleep", "300")
			if err := worker.Start(); err != nil {
				t.Fatal(err)
			}
			j.begin("--watch", fmt.Sprint(worker.Process.Pid))
			if len(s.left()) == 0 {
				t.Error("nothing is there while the job runs")
			}
			_ = worker.Process.Kill()
			_ = worker.Wait()
			j.over()
			j.ended(0, "the job's process has ended")
		})
		t.Run("its time", func(t *testing.T) {
			j := newJob(t, s)
			j.begin("--job-timeout", "3s")
			j.over()
			j.ended(0, "--job-timeout")
		})
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
			t.Run("the keeper, by "+sig.String(), func(t *testing.T) {
				j := newJob(t, s)
				j.begin()
				_ = syscall.Kill(j.keeper(), sig)
				j.over()
				if sig == syscall.SIGKILL {
					j.ended(failed, "left no word") // of which there is no proof
				} else {
					j.ended(0, sig.String())
				}
			})
		}
		t.Run("the guard, and then the keeper", func(t *testing.T) {
			j := newJob(t, s)
			j.begin()
			first := j.guard()
			_ = syscall.Kill(first, syscall.SIGKILL)
			j.guard(first)
			_ = syscall.Kill(j.keeper(), syscall.SIGKILL)
			j.over()
		})
	})
}

// A pipe that nobody reads stops start at the moment when all is issued and nothing passed on.
func TestStartThatIsKilledBeforeItPassedOnWhatItHasLeavesNothing(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
			t.Run(sig.String(), func(t *testing.T) {
				j := newJob(t, s)
				if err := syscall.Mkfifo(j.path("env"), 0o600); err != nil {
					t.Fatal(err)
				}
				j.env["GITHUB_ENV"], j.env["GITHUB_OUTPUT"] = j.path("env"), j.path("output")
				args := []string{"start", "--format", "github"}
				for _, spec := range s.specs {
					args = append(args, "-c", spec)
				}
				c := j.command(args...)
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				if !within(60*time.Second, func() error {
					if len(s.left()) < 2 {
						return fmt.Errorf("not yet")
					}
					return nil
				}) {
					t.Fatal("nothing was issued within a minute")
				}
				_ = c.Process.Signal(sig)
				if !within(30*time.Second, func() error {
					if left := s.left(); len(left) > 0 {
						return fmt.Errorf("left: %q", left)
					}
					return nil
				}) {
					t.Errorf("left: %q", s.left())
				}
				if sig != syscall.SIGKILL {
					f, err := os.Open(j.path("env")) // and now the pipe lets it go on
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, f)
					f.Close()
				}
				_ = c.Wait()
				if status := c.ProcessState.Sys().(syscall.WaitStatus); status.ExitStatus() != 128+int(sig) && status.Signal() != sig {
					t.Errorf("start ended with %v", c.ProcessState)
				}
				j.over()
			})
		}
	})
}

func TestKeeperCarriesNoMarkOfTheJobAndNoSecret(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		j := newJob(t, s)
		for _, cookie := range []string{"JENKINS_NODE_COOKIE", "BUILD_ID", "HUDSON_COOKIE", "RUNNER_TRACKING_ID", "CI_JOB_ID", "BUILDKITE_JOB_ID"} {
			j.env[cookie] = "cookie-of-the-job"
		}
		env := j.begin()
		for _, pid := range []int{j.keeper(), j.guard()} {
			about, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err != nil {
				t.Skipf("not root, and so not allowed to look: %v", err)
			}
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			about = append(about, line...)
			for _, bad := range append([]string{"cookie-of-the-job", env["PASSWORD_0"]}, slices.Collect(maps.Values(s.env))...) {
				if bytes.Contains(about, []byte(bad)) {
					t.Errorf("process %d shows %q:\n%q", pid, bad, about)
				}
			}
			if sid, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); !strings.Contains(string(sid), fmt.Sprintf(" %d %d ", pid, pid)) {
				t.Errorf("process %d has not a session of its own: %s", pid, sid)
			}
		}
		if _, _, code := j.step("stop"); code != 0 {
			t.Error(code)
		}
		j.over()
	})
}

func TestSeveralSessionsOfAJobAreApart(t *testing.T) {
	sessionRows(t, func(t *testing.T, s *source) {
		j := newJob(t, s)
		first, second := j.begin(), j.begin()
		if first[sessionVariable] == second[sessionVariable] || first["USER_0"] == second["USER_0"] {
			t.Fatalf("two sessions are one: %q", first[sessionVariable])
		}
		if _, stderr, code := j.step("stop", "--session", first[sessionVariable]); code != 0 {
			t.Errorf("code %d, %s", code, stderr)
		}
		if s.usable(t, first["USER_0"], first["PASSWORD_0"]) || !s.usable(t, second["USER_0"], second["PASSWORD_0"]) {
			t.Error("stopping the first has not ended the first alone")
		}
		// A run of its own in the job has what it asks for, and nothing of the session's but what the job's environment has.
		args := []string{"-c", s.specs[0]}
		stdout, stderr, code := j.step(append(args, "--mask", "off", "--", "sh", "-c", `echo "$USER_0"`)...)
		if code != 0 || strings.TrimSpace(stdout) == second["USER_0"] {
			t.Errorf("a run of its own: code %d, %s%s", code, stdout, stderr)
		}
		if _, stderr, code := j.step(append(args, "--session", j.session(), "--", "true")...); code != failed || !strings.Contains(stderr, "--session") {
			t.Errorf("both at once: code %d, %s", code, stderr)
		}
		if _, stderr, code := j.step("stop"); code != 0 {
			t.Errorf("code %d, %s", code, stderr)
		}
		j.over()
	})
}

func TestStartThatFailsFailsTheJob(t *testing.T) {
	j := newJob(t, nil)
	j.env["VAULT_ADDR"], j.env["VAULT_TOKEN"], j.env["VAULT_MAX_RETRIES"] = "http://127.0.0.1:1", "x", "0"
	shell := exec.Command("sh", "-ec", `eval "$("$1" start -c vault:kv/data/app)"; echo went on`, "sh", j.exe)
	for name, value := range j.env {
		shell.Env = append(shell.Env, name+"="+value)
	}
	out, err := shell.CombinedOutput()
	if err == nil || strings.Contains(string(out), "went on") || !strings.Contains(string(out), "kv/data/app") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"start", "-c", "nowhere:x"}, "no provider"},
		{[]string{"start", "-c", "vault:kv/data/app", "--on-expiry", "kill"}, "--on-expiry"},
		{[]string{"start", "-c", "vault:kv/data/app", "--format", "xml"}, "--format"},
		{[]string{"start", "-c", "vault:kv/data/app", "--format", "github"}, "GITHUB_ENV"},
		{[]string{"start", "-c", "vault:kv/data/app", "--watch", "999999999"}, "--watch"},
		{[]string{"start", "-c", "vault:kv/data/app", "--output", "/nowhere/x"}, "--output"},
		{[]string{"start", "-c", "vault:kv/data/app", "--", "true"}, "--"},
		{[]string{"stop"}, sessionVariable},
		{[]string{"stop", "--session", "nonsense"}, sessionVariable},
	} {
		if _, stderr, code := j.step(row.args...); code != failed || !strings.Contains(stderr, row.want) {
			t.Errorf("%q: code %d, %s", row.args, code, stderr)
		}
	}
	j.over()
}

// TestStartThatIsRefusedFailsTheEvalOfItsOutput is about what is refused before a keeper is there: the shell sees the status of eval, and not that of start.
func TestStartThatIsRefusedFailsTheEvalOfItsOutput(t *testing.T) {
	j := newJob(t, nil)
	for _, c := range []struct {
		args   []string
		github bool // a step of GitHub's: its output is no shell's
		want   int
	}{
		{[]string{"-c", "nowhere:x"}, false, failed},
		{[]string{"-c", "vault:kv/data/app as=nothing"}, false, failed},
		{[]string{"-c", "vault:kv/data/app", "--leash", "soon"}, false, failed},
		{[]string{"-c", "vault:kv/data/app", "--job-timeout", "soon"}, false, failed},
		{[]string{"-c", "vault:kv/data/app", "--watch", "999999999"}, false, failed},
		{[]string{"-c", "vault:kv/data/app", "--bogus"}, false, failed},
		{[]string{"-c", "vault:kv/data/app", "a-word"}, false, failed},
		{[]string{"-c", "nowhere:x", "--format", "json"}, false, 0},
		{[]string{"-c", "vault:kv/data/app", "--leash", "soon"}, true, 0},
	} {
		shell := exec.Command("sh", append([]string{"-c", `eval "$("$0" start "$@")"`, j.exe}, c.args...)...)
		shell.Dir = j.dir
		for name, value := range j.env {
			shell.Env = append(shell.Env, name+"="+value)
		}
		if c.github {
			shell.Env = append(shell.Env, "GITHUB_ACTIONS=true", "GITHUB_ENV="+j.path("env"), "GITHUB_OUTPUT="+j.path("output"))
		}
		if out, _ := shell.CombinedOutput(); shell.ProcessState.ExitCode() != c.want {
			t.Errorf("%q: the shell ends with %d, want %d\n%s", c.args, shell.ProcessState.ExitCode(), c.want, out)
		}
	}
}

func TestStartThatFailsLeavesItsOutputAsItWas(t *testing.T) {
	j := newJob(t, nil)
	fresh, there := j.path("fresh.env"), j.path("there.env")
	if err := os.WriteFile(there, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-c", "nowhere:x"}, {"-c", "vault:kv/data/app", "--watch", "999999999"}, {"-c", "vault:kv/data/app", "--leash", "soon"}} {
		for _, file := range []string{fresh, there} {
			if _, _, code := j.step(append([]string{"start", "--format", "dotenv", "--output", file}, args...)...); code != failed {
				t.Errorf("%q: code %d", args, code)
			}
		}
		if _, err := os.Lstat(fresh); !os.IsNotExist(err) {
			t.Errorf("%q left %s: %v", args, fresh, err)
		}
		if text, err := os.ReadFile(there); err != nil || string(text) != "theirs" {
			t.Errorf("%q: what was there is %q now: %v", args, text, err)
		}
		os.Remove(fresh)
	}
}

// hostile are values as a server may answer them.
func hostile() map[string]string {
	return map[string]string{
		"QUOTES":  `it's "quoted" $HOME $(id) ` + "`id`" + ` \ end\`,
		"LINES":   "first line\nsecond line\n\n::set-output name=x::y\n::add-mask::first\nwith-creds-\nEOF\n",
		"HEREDOC": "EVIL<<X\nvalue\nX\nPATH=/tmp/evil",
		"RETURN":  "carriage\r\nreturn\ralone",
		"PERCENT": "100%25 %0A::warning::boo",
		"TAB":     "\ttab and spaces  ",
		"EURO":    "päss wörd €",
	}
}

func TestHostileValuesArriveAsTheyAre(t *testing.T) {
	v := harness.Vault(t)
	v.Mount("kv", "kv-v2")
	values := hostile()
	data := map[string]any{}
	spec := "vault:kv/data/hostile"
	for name, value := range values {
		data[name] = value
		spec += fmt.Sprintf(" %s=%s", name, name)
	}
	v.Write("kv/data/hostile", map[string]any{"data": data})
	s := &source{specs: []string{spec}, env: map[string]string{"VAULT_ADDR": v.Addr, "VAULT_TOKEN": v.RootToken}, left: func() []string { return nil }}

	check := func(t *testing.T, got map[string]string) {
		t.Helper()
		for name, want := range values {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
		if got["EVIL"] != "" || got["PATH"] == "/tmp/evil" {
			t.Error("a value has set another variable")
		}
	}
	t.Run("json", func(t *testing.T) {
		j := newJob(t, s)
		check(t, j.begin())
		j.step("stop")
		j.over()
	})
	t.Run("shell", func(t *testing.T) {
		for _, shell := range []string{"sh", "bash"} {
			j := newJob(t, s)
			script := exec.Command(shell, "-ec", `eval "$("$1" start -c "$2" --format shell)"; "$1" run -- true; "$1" stop; env -0`, "sh", j.exe, spec)
			for name, value := range j.env {
				script.Env = append(script.Env, name+"="+value)
			}
			var stderr bytes.Buffer
			script.Stderr = &stderr
			out, err := script.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", shell, err, &stderr)
			}
			check(t, environment(strings.Split(string(out), "\x00")))
			j.over()
		}
	})
	t.Run("github", func(t *testing.T) {
		j := newJob(t, s)
		j.env["GITHUB_ACTIONS"], j.env["GITHUB_ENV"], j.env["GITHUB_OUTPUT"] = "true", j.path("env"), j.path("output")
		stdout, stderr, code := j.step("start", "-c", spec)
		if code != 0 {
			t.Fatalf("code %d, %s", code, stderr)
		}
		text, err := os.ReadFile(j.path("env"))
		if err != nil {
			t.Fatal(err)
		}
		got := readHeredocs(t, string(text))
		check(t, got)
		output, _ := os.ReadFile(j.path("output"))
		if readHeredocs(t, string(output))["session"] != got[sessionVariable] || strings.Contains(string(output), "second line") {
			t.Errorf("the outputs are %q", output)
		}
		for line := range strings.Lines(stdout) {
			if !strings.HasPrefix(line, "::add-mask::") {
				t.Errorf("stdout has %q", line)
			}
		}
		for _, masked := range []string{"second line", "100%2525 %250A::warning::boo", base64.StdEncoding.EncodeToString([]byte("päss"))[:6]} {
			if !strings.Contains(stdout, "::add-mask::"+masked) {
				t.Errorf("the runner is not told of %q in\n%s", masked, stdout)
			}
		}
		j.env[sessionVariable] = got[sessionVariable]
		if _, stderr, code := j.step("stop"); code != 0 {
			t.Errorf("code %d, %s", code, stderr)
		}
		j.over()
	})
	t.Run("dotenv", func(t *testing.T) {
		j := newJob(t, s)
		stdout, stderr, code := j.step("start", "-c", spec, "--format", "dotenv", "--output", j.path("out.env"))
		if code != failed || stdout != "" || !strings.Contains(stderr, "several lines") {
			t.Errorf("what dotenv cannot carry: code %d, %s%s", code, stdout, stderr)
		}
		if _, err := os.Stat(j.path("out.env")); !os.IsNotExist(err) {
			t.Errorf("the file is left: %v", err)
		}
		j.over()
	})
}

// readHeredocs reads what GitHub's runner reads, as it does: NAME<<DELIMITER, lines, DELIMITER
// (actions/runner, src/Runner.Worker/FileCommandManager.cs).
func readHeredocs(t *testing.T, text string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for text != "" {
		head, rest, _ := strings.Cut(text, "\n")
		name, delimiter, ok := strings.Cut(head, "<<")
		if !ok {
			t.Fatalf("%q is not the head of a value", head)
		}
		value, after, ok := strings.Cut("\n"+rest, "\n"+delimiter+"\n")
		if !ok {
			t.Fatalf("%s does not end", name)
		}
		found[name] = strings.TrimPrefix(value, "\n")
		text = after
	}
	return found
}

func TestSecretsAreRefusedToGitLabsArtifacts(t *testing.T) {
	v := harness.Vault(t)
	v.Mount("kv", "kv-v2")
	v.Write("kv/data/app", map[string]any{"data": map[string]any{"token": "t0k3n-of-the-app"}})
	s := &source{env: map[string]string{"VAULT_ADDR": v.Addr, "VAULT_TOKEN": v.RootToken}, left: func() []string { return nil }}
	j := newJob(t, s)
	project := j.path("project")
	if err := os.Mkdir(project, 0o700); err != nil {
		t.Fatal(err)
	}
	j.env["GITLAB_CI"], j.env["CI_PROJECT_DIR"] = "true", project
	start := []string{"start", "-c", "vault:kv/data/app T=token", "--format", "dotenv"}
	if _, stderr, code := j.step(append(start, "--output", filepath.Join(project, "build.env"))...); code != failed || !strings.Contains(stderr, "artifact") {
		t.Errorf("--output: code %d, %s", code, stderr)
	}
	report, err := os.Create(filepath.Join(project, "build.env"))
	if err != nil {
		t.Fatal(err)
	}
	c := j.command(start...)
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = report, &stderr
	_ = c.Run()
	if info, _ := report.Stat(); c.ProcessState.ExitCode() != failed || info.Size() > 0 || !strings.Contains(stderr.String(), "artifact") {
		t.Errorf("stdout: code %d, %d bytes, %s", c.ProcessState.ExitCode(), info.Size(), &stderr)
	}
	if _, stderr, code := j.step(append(start, "--output", j.path("private.env"))...); code != 0 {
		t.Errorf("elsewhere: code %d, %s", code, stderr)
	}
	text, _ := os.ReadFile(j.path("private.env"))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		j.env[name] = value
	}
	if j.env["T"] != "t0k3n-of-the-app" {
		t.Errorf("the file holds %q", text)
	}
	if _, _, code := j.step("stop"); code != 0 {
		t.Errorf("code %d", code)
	}
	j.over()
}
