package pipelines_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// runner is a run of act (https://github.com/nektos/act), which runs workflows as GitHub's runner does, here on this machine and without a container.
func (w *world) runner(workflow string, env map[string]string) *exec.Cmd {
	t := w.t
	t.Helper()
	need(t, "node", "git")
	built, err := exec.Command(filepath.Join(root(), "testdata/tools/build"), "act").Output()
	if err != nil {
		harness.Missing(t, "act (%v)", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".github/workflows/job.yml"), workflow)
	git(t, dir)
	github := harness.NewGitHubRunner(t, w.issuer, jobClaims())
	all := maps.Clone(github.Env)
	maps.Copy(all, w.place())
	maps.Copy(all, map[string]string{"OUT": t.TempDir(), "VAULT_ADDR": w.vault.Addr})
	maps.Copy(all, env)
	args := []string{"push", "-P", "ubuntu-latest=-self-hosted", "--local-repository", "with-creds/with-creds@v1=" + published(t)}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "--env", name+"="+all[name])
	}
	c := exec.Command(strings.TrimSpace(string(built)), args...)
	c.Dir, c.Env = dir, environ(t)
	t.Cleanup(func() { os.RemoveAll(filepath.Join(dir, ".github")) })
	return c
}

// example is a run of a workflow of the examples, which somebody has asked for by hand.
func (w *world) example(name, artifacts string) *exec.Cmd {
	w.t.Helper()
	workflow := read(w.t, filepath.Join(root(), "examples/github", name))
	for _, place := range []string{"VAULT_ADDR: https://vault.example:8200", "PGHOST: db.example"} {
		if !strings.Contains(workflow, place) {
			w.t.Fatalf("%s has no %s", name, place)
		}
	}
	c := w.runner(strings.NewReplacer("https://vault.example:8200", w.vault.Addr, "db.example", w.pg.Host).Replace(workflow), map[string]string{
		"PAGER": "cat", // other than GitHub's runner, act gives a step a terminal
	})
	c.Args[1] = "workflow_dispatch"
	c.Args = append(c.Args, "-P", "self-hosted=-self-hosted", "--local-repository", "actions/upload-artifact@v4="+artifacts)
	return c
}

func TestGitHubExamples(t *testing.T) {
	w := newWorld(t)
	upload := t.TempDir() // in place of GitHub's, an action that keeps the file here
	write(t, filepath.Join(upload, "action.yml"), `name: upload
inputs: { name: { required: true }, path: { required: true } }
runs: { using: composite, steps: [{ shell: bash, run: 'cp "${{ inputs.path }}" "$OUT/${{ inputs.name }}"' }] }
`)
	dump := w.example("backup.yml", upload)
	shown, code := run(t, dump)
	if code != 0 || !strings.Contains(shown, "1 proven") {
		t.Fatalf("the dump: code %d\n%s", code, shown)
	}
	if contents, err := exec.Command("pg_restore", "--list", filepath.Join(outOf(dump), "app")).CombinedOutput(); err != nil || !strings.Contains(string(contents), "TABLE DATA public items") {
		t.Errorf("%v\n%s", err, contents)
	}
	shown, code = run(t, w.example("migrate.yml", upload))
	if code != 0 || !strings.Contains(shown, "proven at") || !strings.Contains(shown, "UPDATE 100") || !strings.Contains(shown, "ITEM 1") {
		t.Errorf("the migration: code %d\n%s", code, shown)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left when the jobs have ended: %q", live)
	}
}

// published is the repository as far as a job that uses the action reads it.
func published(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"action.yml", "dist/main.cjs", "dist/post.cjs"} {
		name = filepath.Join("pipelines/github", name)
		write(t, filepath.Join(dir, name), read(t, filepath.Join(root(), name)))
	}
	return dir
}

// outOf is the directory that the workflow's $OUT names.
func outOf(c *exec.Cmd) string {
	i := slices.IndexFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "OUT=") })
	return strings.TrimPrefix(c.Args[i], "OUT=")
}

const workflowHead = `on: push
jobs:
  job:
    runs-on: ubuntu-latest
    permissions: { id-token: write, contents: read }
    steps:
      - uses: actions/checkout@v4
`

const jobCredentials = `
      - uses: with-creds/with-creds/pipelines/github@v1
        id: creds
        with:
          credentials: |
            vault:database/creds/readonly as=postgres   # a comment
          vault-role: ci
          vault-audience: ` + audience + "\n"

func TestGitHubJobHasCredentialsUntilItsEnd(t *testing.T) {
	w := newWorld(t)
	c := w.runner(workflowHead+jobCredentials+`
      - run: psql -Atc 'select count(*) from items' > $OUT/count
      - run: |
          printf %s "$PGPASSWORD" > $OUT/password
          echo "the password is $PGPASSWORD"
          printf %s "$PGPASSWORD" | base64
          printf %s "$PGPASSWORD" | od -An -tx1 | tr -d ' \n'
      - run: with-creds run --session "${{ steps.creds.outputs.session }}" -- sh -c 'echo "user $PGUSER"'
`, nil)
	shown, code := run(t, c)
	if code != 0 || read(t, outOf(c)+"/count") != "100\n" {
		t.Errorf("code %d\n%s", code, shown)
	}
	password := read(t, outOf(c)+"/password")
	withoutSecrets(t, shown, password, hex.EncodeToString([]byte(password)))
	for _, want := range []string{"the password is ***", "user v-jwt", "proven at", "gantt", "```mermaid"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the log has no %q:\n%s", want, shown)
		}
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left when the job has ended: %q", live)
	}
}

func TestGitHubJobThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	shown, code := run(t, w.runner(workflowHead+jobCredentials+`
      - run: psql -Atc 'create table evil (id int)'
`, nil))
	if code == 0 || !strings.Contains(shown, "permission denied") || !strings.Contains(shown, "proven at") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left when the job has ended: %q", live)
	}
}

func TestGitHubJobThatIsCancelledLeavesNothing(t *testing.T) {
	for _, kill := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} { // the job is cancelled; the runner is gone
		t.Run(kill.String(), func(t *testing.T) {
			w := newWorld(t)
			c := w.runner(workflowHead+jobCredentials+`
      - run: |
          touch $OUT/running
          exec timeout 120 sh -c 'trap "" INT TERM; while :; do sleep 1; done'
`, nil)
			var shown strings.Builder
			c.Stdout = &shown
			c.Stderr = &shown
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the last step runs", func() error { return there(outOf(c) + "/running") })
			if len(w.live()) == 0 {
				t.Error("nothing is there while the job runs")
			}
			_ = c.Process.Signal(kill)
			w.nothingLeft()
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // what ignores signals, and act waits for
			_ = c.Wait()
		})
	}
}

func TestGitHubActionUsedTwiceInAJobAndInAMatrix(t *testing.T) {
	w := newWorld(t)
	head := strings.Replace(workflowHead, "    steps:\n", "    strategy: { matrix: { n: [1, 2] } }\n    steps:\n", 1)
	c := w.runner(head+jobCredentials+strings.NewReplacer("id: creds", "id: more", "readonly as=postgres", "readwrite W_USER=username W_PASSWORD=password").Replace(jobCredentials)+`
      - run: |
          psql -Atc 'select count(*) from items' > $OUT/read-${{ matrix.n }}
          PGUSER=$W_USER PGPASSWORD=$W_PASSWORD psql -qc "insert into items values (1000 + ${{ matrix.n }}, 'x')"
          test "${{ steps.creds.outputs.session }}" != "${{ steps.more.outputs.session }}"
          printf "%s\n" "$PGPASSWORD" "$W_PASSWORD" > $OUT/secrets-${{ matrix.n }}
`, nil)
	shown, code := run(t, c)
	if code != 0 || strings.Count(shown, "proven at") != 4 {
		t.Errorf("code %d\n%s", code, shown)
	}
	for _, n := range []string{"1", "2"} {
		withoutSecrets(t, shown, strings.Fields(read(t, outOf(c)+"/secrets-"+n))...)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left when the job has ended: %q", live)
	}
}

func TestGitHubActionWrapsOneCommand(t *testing.T) {
	w := newWorld(t)
	c := w.runner(workflowHead+jobCredentials+`          run: |
            psql -Atc 'select count(*) from items' > $OUT/count
            echo "the password is $PGPASSWORD"
            printf %s "$PGPASSWORD" > $OUT/password
            env > $OUT/env
            false | true
            echo not here
      - if: always()
        run: test -z "$PGPASSWORD" && touch $OUT/after
`, nil)
	shown, code := run(t, c)
	if code == 0 || read(t, outOf(c)+"/count") != "100\n" || strings.Contains(shown, "not here") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if err := there(outOf(c) + "/after"); err != nil {
		t.Errorf("the credentials outlive their command: %v\n%s", err, shown)
	}
	withoutSecrets(t, shown, read(t, outOf(c)+"/password"))
	if env := read(t, outOf(c)+"/env"); regexp.MustCompile(`(?m)^(INPUT_|WITH_CREDS=|WITH_CREDS_[^R]|ACTIONS_ID_TOKEN_REQUEST_TOKEN)`).MatchString(env) {
		t.Errorf("the command inherits what is the action's:\n%s", env)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left when the job has ended: %q", live)
	}
}

func TestGitHubActionIsNotFooledByHostileValues(t *testing.T) {
	w := newWorld(t)
	values := map[string]any{
		"lines":   "first-line-of-it\nsecond-line-of-it\n::set-env name=EVIL::yes\n::error::boo\n",
		"heredoc": "x\nghadelimiter\nEVIL<<X\nyes\nX\nwith-creds-\n",
		// Not also %0A and :: within a line, which act, other than GitHub's runner, reads wrongly in a command; cmd/with-creds tests those.
		"percent": "100%25-of-it-all",
	}
	w.vault.Write("kv/data/hostile", map[string]any{"data": values})
	c := w.runner(workflowHead+strings.Replace(jobCredentials, "vault:database/creds/readonly as=postgres", "vault:kv/data/hostile A=lines B=heredoc C=percent", 1)+`
      - run: |
          test -z "$EVIL"
          printf %s "$A" > $OUT/A; printf %s "$B" > $OUT/B; printf %s "$C" > $OUT/C
          echo "$A"; echo "see $C"
`, nil)
	shown, code := run(t, c)
	if code != 0 {
		t.Errorf("code %d\n%s", code, shown)
	}
	for file, field := range map[string]string{"A": "lines", "B": "heredoc", "C": "percent"} {
		// act drops a value's last line end, where GitHub's runner keeps it.
		if got, want := read(t, outOf(c)+"/"+file), values[field].(string); strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	withoutSecrets(t, shown, "first-line-of-it", "second-line-of-it", values["percent"].(string))
}

func TestGitHubActionSaysWhyItCannotLogIn(t *testing.T) {
	w := newWorld(t)
	shown, code := run(t, w.runner(workflowHead+strings.Replace(jobCredentials, audience, "https://elsewhere.example", 1)+"\n      - run: echo went on\n", nil))
	if code == 0 || !strings.Contains(shown, "bound_audiences") || strings.Contains(shown, "went on") {
		t.Errorf("code %d\n%s", code, shown)
	}
	shown, code = run(t, w.runner(workflowHead+jobCredentials, map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": ""}))
	if code == 0 || !strings.Contains(shown, "id-token: write") {
		t.Errorf("code %d\n%s", code, shown)
	}
}

func TestGitHubActionInstallsTheReleaseWithTheRightChecksumAlone(t *testing.T) {
	w := newWorld(t)
	product, err := exec.LookPath("with-creds")
	if err != nil {
		t.Fatal(err)
	}
	archive := fmt.Sprintf("with-creds_1.2.3_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH)
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-czf", filepath.Join(dir, archive), "-C", filepath.Dir(product), "with-creds").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sum := sha256.Sum256([]byte(read(t, filepath.Join(dir, archive))))
	write(t, filepath.Join(dir, "checksums.txt"), hex.EncodeToString(sum[:])+"  "+archive+"\n")
	releases := httptest.NewServer(http.StripPrefix("/v1.2.3/", http.FileServer(http.Dir(dir))))
	t.Cleanup(releases.Close)
	with := "          version: v1.2.3\n          releases: " + releases.URL + "\n"

	shown, code := run(t, w.runner(workflowHead+jobCredentials+with+"      - run: case $(command -v with-creds) in \"$RUNNER_TEMP\"/*) ;; *) exit 1 ;; esac\n", nil))
	if code != 0 || !strings.Contains(shown, "installed with-creds 1.2.3") {
		t.Errorf("code %d\n%s", code, shown)
	}
	wrong := strings.Repeat("0", 64)
	shown, code = run(t, w.runner(workflowHead+jobCredentials+with+"          sha256: "+wrong+"\n", nil))
	if code == 0 || !strings.Contains(shown, "should be "+wrong) {
		t.Errorf("a wrong checksum: code %d\n%s", code, shown)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

// What the runner runs is what can be read.
func TestGitHubActionsBundleIsItsSource(t *testing.T) {
	need(t, "node", "npm")
	dir := t.TempDir()
	action := filepath.Join(root(), "pipelines/github")
	if out, err := exec.Command("cp", "-r", filepath.Join(action, "src"), filepath.Join(action, "package.json"), filepath.Join(action, "package-lock.json"), filepath.Join(action, "tsconfig.json"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"ci", "--ignore-scripts", "--no-audit", "--no-fund"}, {"run", "check"}, {"run", "build"}} {
		c := exec.Command("npm", args...)
		c.Dir = dir
		if out, code := run(t, c); code != 0 {
			t.Fatalf("npm %s: code %d\n%s", strings.Join(args, " "), code, out)
		}
	}
	for _, name := range []string{"main.cjs", "post.cjs"} {
		if read(t, filepath.Join(dir, "dist", name)) != read(t, filepath.Join(action, "dist", name)) {
			t.Errorf("dist/%s is not what its source makes: cd pipelines/github && npm ci && npm run build", name)
		}
	}
}
