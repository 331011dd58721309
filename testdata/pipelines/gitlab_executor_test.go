//go:build linux

package pipelines_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// gitlabScript is what the runner gives to a job's shell on its stdin: before_script and script are evaluated together
// (https://gitlab.com/gitlab-org/gitlab-runner, shells/bash.go, Finish).
func gitlabScript(t testing.TB, script string) string {
	t.Helper()
	_, job, found := strings.Cut(read(t, filepath.Join(root(), "pipelines/gitlab/templates/with-creds.yml")), "\n.with-creds-job:\n  extends: .with-creds\n  before_script:\n")
	if !found {
		t.Fatal("the template has no such job")
	}
	var all []string
	for line := range strings.Lines(job) {
		command, isOne := strings.CutPrefix(line, "    - ")
		if !isOne {
			t.Fatalf("this is no command of before_script: %q", line)
		}
		command, _, _ = strings.Cut(command, " # ")
		all = append(all, strings.TrimSpace(command))
	}
	quoted := "'" + strings.ReplaceAll(strings.Join(append(all, script), "\n"), "'", `'\''`) + "'"
	return "trap exit 1 TERM\nif set -o | grep pipefail > /dev/null; then set -o pipefail; fi; set -o errexit\n: | eval " + quoted + "\nexit 0\n"
}

// gitlabShell is a job's shell, which reads its script from stdin.
func (w *world) gitlabShell(t testing.TB, script string, shell ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(shell[0], shell[1:]...)
	c.Stdin = strings.NewReader(gitlabScript(t, script))
	c.Dir = t.TempDir()
	c.Env = environ(t, w.place(), map[string]string{
		"GITLAB_CI": "true", "CI": "true", "CI_PROJECT_PATH": "acme/app", "CI_JOB_NAME": "migrate", "CI_JOB_ID": "7", "VAULT_ADDR": w.vault.Addr,
		"WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_MOUNT": "jwt", "WITH_CREDS_LEASH": "5m",
		"WITH_CREDS_VAULT_JWT": w.issuer.Token(jobClaims()), "CREDENTIALS": "vault:database/creds/readonly as=postgres",
	})
	return c
}

// In the container of the Docker executor the shell is the first process: with its end the kernel kills keeper and guard.
func TestGitLabJobInAContainerRevokesBeforeItsShellEnds(t *testing.T) {
	container := []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}
	need(t, container[0], "bash", "dash")
	if out, err := exec.Command(container[0], append(container[1:], "true")...).CombinedOutput(); err != nil {
		harness.Missing(t, "namespaces (%v: %s)", err, out)
	}
	w := newWorld(t)
	for _, c := range []struct {
		script string
		code   int
		says   string
	}{
		{`echo "process $$"; psql -Atc "select 'there are ' || count(*) from items"; echo "[$WITH_CREDS_VAULT_JWT]"`, 0, "process 1\nthere are 100\n[]\n"},
		{`psql -Atc "drop table items"; echo and further`, 1, "must be owner"},
		{`exit 3`, 3, "1 proven"},
		{`WITH_CREDS_SESSION=/nowhere`, 125, "/nowhere"}, // the last, for its session is left to the leash
	} {
		for _, shell := range []string{"bash", "dash"} {
			t.Run(shell+": "+c.script, func(t *testing.T) {
				shown, code := run(t, w.gitlabShell(t, c.script, append(container, shell)...))
				if code != c.code || !strings.Contains(shown, c.says) || strings.Contains(shown, "and further") {
					t.Errorf("code %d, want %d and %q\n%s", code, c.code, c.says, shown)
				}
				if live := w.live(); c.code != 125 && (len(live) > 0 || !strings.Contains(shown, "1 proven")) {
					t.Errorf("left: %q\n%s", live, shown)
				}
			})
		}
	}
}

func TestGitLabJobWhoseShellIsKilledLeavesNothing(t *testing.T) {
	need(t, "bash")
	w := newWorld(t)
	c := w.gitlabShell(t, "touch running; sleep 600", "bash")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	eventually(t, "the script runs", func() error { return there(filepath.Join(c.Dir, "running")) })
	if len(w.live()) == 0 {
		t.Error("nothing is there while the job runs")
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	w.nothingLeft()
}
