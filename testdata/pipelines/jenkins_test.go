package pipelines_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A jenkins is a place where Jenkinsfiles run (see jenkins/Harness.groovy).
type jenkins struct {
	*world
	workspace string
}

func newJenkins(t *testing.T) *jenkins {
	t.Helper()
	need(t, "groovy", "java", "ps")
	j := &jenkins{newWorld(t), t.TempDir()}
	roleID, secretID := j.vault.AppRole("ci", map[string]any{"token_policies": "ci", "token_ttl": "1h"})
	write(t, filepath.Join(j.workspace, "credentials.properties"), fmt.Sprintf(
		"vault-approle.username=%s\nvault-approle.password=%s\nvault-oidc=%s\n", roleID, secretID, j.issuer.Token(jobClaims())))
	return j
}

// build is the run of a Jenkinsfile of the examples.
func (j *jenkins) build(jenkinsfile string, env map[string]string) *exec.Cmd {
	c := exec.Command("groovy", filepath.Join(root(), "testdata/pipelines/jenkins/Harness.groovy"), jenkinsfile, filepath.Join(root(), "pipelines/jenkins"), j.workspace)
	c.Dir = j.workspace
	c.Env = append(environ(j.t, j.place(), env), "VAULT_ADDR="+j.vault.Addr, "JAVA_HOME="+javaHome(j.t))
	return c
}

// javaHome is where the java on PATH is: Debian's groovy looks for one elsewhere.
func javaHome(t testing.TB) string {
	t.Helper()
	java, err := exec.LookPath("java")
	if err == nil {
		java, err = filepath.EvalSymlinks(java)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(java))
}

// inline writes a Jenkinsfile of the test's own.
func (j *jenkins) inline(text string) string {
	path := filepath.Join(j.workspace, "Jenkinsfile")
	write(j.t, path, text)
	return path
}

// secretsKept wants nothing of the login, nor of what was issued, in what Jenkins saves and shows.
func (j *jenkins) secretsKept(shown string, more ...string) {
	j.t.Helper()
	store := read(j.t, filepath.Join(j.workspace, "credentials.properties"))
	secrets := more
	for line := range strings.Lines(store) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.HasSuffix(name, ".username") {
			secrets = append(secrets, value)
		}
	}
	state := read(j.t, filepath.Join(j.workspace, "state"))
	if !strings.Contains(state, "session=") && !strings.Contains(state, "withEnv=") {
		j.t.Errorf("nothing was saved at all:\n%q", state)
	}
	withoutSecrets(j.t, state+shown, secrets...)
}

func TestJenkinsDeclarativePipeline(t *testing.T) {
	j := newJenkins(t)
	shown, code := run(t, j.build(filepath.Join(root(), "examples/jenkins/Jenkinsfile"), map[string]string{"MIGRATE": "true"}))
	if code != 0 || strings.Count(shown, "1 proven") != 2 || !strings.Contains(shown, "ITEM 1") || !strings.Contains(shown, "the credentials are gone") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if dump := read(t, filepath.Join(j.workspace, "app.sql")); !strings.Contains(dump, "CREATE TABLE public.items") {
		t.Errorf("the dump is\n%.300s", dump)
	}
	j.secretsKept(shown)
	if live := j.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

func TestJenkinsScriptedPipelineWithParallelBranches(t *testing.T) {
	j := newJenkins(t)
	shown, code := run(t, j.build(filepath.Join(root(), "examples/jenkins/scripted.Jenkinsfile"), nil))
	if code != 0 || strings.Count(shown, "1 proven") != 3 || !strings.Contains(shown, "there are 100 items") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if dump := read(t, filepath.Join(j.workspace, "backup/app.sql")); !strings.Contains(dump, "CREATE TABLE public.items") {
		t.Errorf("the dump is\n%.300s", dump)
	}
	j.secretsKept(shown)
	if live := j.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

const jenkinsBlock = `@Library('with-creds') _
node {
    withCreds(['vault:database/creds/readonly as=postgres'], appRole: 'vault-approle') {
        %s
    }
    echo 'went on'
}
`

func TestJenkinsBlockThatFailsLeavesNothing(t *testing.T) {
	j := newJenkins(t)
	shown, code := run(t, j.build(j.inline(fmt.Sprintf(jenkinsBlock, `sh 'printf %s "$PGPASSWORD" > password; echo "the password is $PGPASSWORD"; exit 3'`)), nil))
	if code != 1 || !strings.Contains(shown, "exit code 3") || !strings.Contains(shown, "1 proven") || strings.Contains(shown, "went on") || !strings.Contains(shown, "the password is ***") {
		t.Errorf("code %d\n%s", code, shown)
	}
	j.secretsKept(shown, read(t, filepath.Join(j.workspace, "password")))
	if live := j.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

func TestJenkinsScriptHasItsOwnInterpreterAndItsValueBack(t *testing.T) {
	j := newJenkins(t)
	shown, code := run(t, j.build(j.inline(fmt.Sprintf(jenkinsBlock, `
        def user = sh(script: '''#!/usr/bin/env python3
import os
print(os.environ["PGUSER"])
''', returnStdout: true).trim()
        def status = sh(script: "exit 7", returnStatus: true)
        echo "status ${status} of ${user}"
        sh "test -z \"\$WITH_CREDS_VAULT_SECRET_ID\$WITH_CREDS_SESSION\" # what's given is \${PGUSER}"
`)), nil))
	if code != 0 || !strings.Contains(shown, "status 7 of v-approle") || !strings.Contains(shown, "went on") {
		t.Errorf("code %d\n%s", code, shown)
	}
}

func TestJenkinsBuildThatIsAbortedLeavesNothing(t *testing.T) {
	j := newJenkins(t)
	c := j.build(j.inline(fmt.Sprintf(jenkinsBlock, `sh 'trap "" TERM INT; touch running; while :; do sleep 1; done'`)), nil)
	var shown strings.Builder
	c.Stdout, c.Stderr = &shown, &shown
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the block runs", func() error { return there(filepath.Join(j.workspace, "running")) })
	write(t, filepath.Join(j.workspace, "abort"), "")
	_ = c.Wait()
	if c.ProcessState.ExitCode() != 2 || strings.Contains(shown.String(), "went on") {
		t.Errorf("%v\n%s", c.ProcessState, shown.String())
	}
	if left, err := filepath.Glob(filepath.Join(j.workspace, "control/with-creds-*")); err != nil || len(left) > 0 {
		t.Errorf("in WORKSPACE_TMP there is left %q, %v", left, err)
	}
	j.nothingLeft()
}

// The agent's process dies, and the machine with the keeper lives on: the keeper watches the agent.
func TestJenkinsAgentThatIsLostLeavesNothing(t *testing.T) {
	j := newJenkins(t)
	agent := exec.Command("sleep", "300")
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	start := exec.Command("with-creds", "start", "--format", "session", "--watch", fmt.Sprint(agent.Process.Pid), "-c", "vault:database/creds/readonly as=postgres")
	start.Env = append(environ(t, j.place()), "VAULT_ADDR="+j.vault.Addr, "VAULT_TOKEN="+j.vault.Token("ci"))
	if shown, code := run(t, start); code != 0 || len(j.live()) == 0 {
		t.Errorf("code %d\n%s", code, shown)
	}
	_ = agent.Process.Signal(syscall.SIGKILL)
	_ = agent.Wait()
	j.nothingLeft()
}

// Jenkins runs what is under vars and src with its own interpreter, which does not do what these do.
func TestJenkinsLibraryKeepsTheRulesOfItsInterpreter(t *testing.T) {
	library := filepath.Join(root(), "pipelines/jenkins")
	for _, dir := range []string{"vars", "src"} {
		err := filepath.WalkDir(filepath.Join(library, dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".groovy") {
				return err
			}
			for _, bad := range []string{".each", ".collect", ".sort", ".eachWithIndex", "?.each", "new File(", "Thread", ".execute()", "println"} {
				if strings.Contains(read(t, path), bad) {
					t.Errorf("%s uses %s", path, bad)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestJenkinsBlocksNestAndReachWhatTheyCall(t *testing.T) {
	j := newJenkins(t)
	shown, code := run(t, j.build(j.inline(`@Library('with-creds') _
def count(String table) { return sh(script: "psql -d app -Atc 'select count(*) from ${table}'", returnStdout: true).trim() }
node {
    withCreds(['vault:database/creds/readonly as=postgres'], appRole: 'vault-approle') {
        dir('deep') {
            echo "there are ${count('items')}"
            withCreds(['vault:database/creds/readwrite W_USER=username W_PASSWORD=password'], appRole: 'vault-approle') {
                sh 'test "$PGUSER" != "$W_USER"; PGUSER=$W_USER PGPASSWORD=$W_PASSWORD psql -d app -qc "delete from items where id = 1"'
            }
            echo "there are ${count('items')}, and ${sh(script: 'echo "[$W_USER]"', returnStdout: true).trim()}"
        }
    }
    sh 'test -z "$PGUSER$PGPASSWORD"'
}
`), nil))
	if code != 0 || !strings.Contains(shown, "there are 100") || !strings.Contains(shown, "there are 99, and []") {
		t.Errorf("code %d\n%s", code, shown)
	}
	j.secretsKept(shown)
	if live := j.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}
