package pipelines_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gitlabRunner is gitlab-ci-local (https://github.com/firecow/gitlab-ci-local), installed once into the cache at the version that the lock file beside this
// test pins.
func gitlabRunner(t testing.TB) string {
	t.Helper()
	need(t, "node", "npm", "git", "rsync")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	pinned := filepath.Join(root(), "testdata/pipelines/gitlab")
	program := "node_modules/gitlab-ci-local"
	lock := read(t, filepath.Join(pinned, "package-lock.json"))
	_, version, _ := strings.Cut(lock, `"node_modules/gitlab-ci-local": {`)
	_, version, _ = strings.Cut(version, `"version": "`)
	version, _, _ = strings.Cut(version, `"`)
	dir := filepath.Join(cache, "with-creds", "tools", "gitlab-ci-local-"+version)
	if there(filepath.Join(dir, program)) != nil {
		fresh := dir + "." + rand.Text()
		for _, name := range []string{"package.json", "package-lock.json"} {
			write(t, filepath.Join(fresh, name), read(t, filepath.Join(pinned, name)))
		}
		c := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		c.Dir = fresh
		if out, code := run(t, c); code != 0 {
			os.RemoveAll(fresh)
			t.Fatalf("npm ci: code %d\n%s", code, out)
		}
		if err := os.Rename(fresh, dir); err != nil && there(filepath.Join(dir, program)) != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "node_modules/.bin/gitlab-ci-local")
}

// gitlab is a job of a pipeline, with the component in the project itself.
func (w *world) gitlab(t testing.TB, pipeline, job string, token string) (*exec.Cmd, string) {
	t.Helper()
	dir := t.TempDir()
	const component = "  - component: $CI_SERVER_FQDN/with-creds/with-creds/with-creds@1\n"
	if !strings.Contains(pipeline, component) {
		t.Fatalf("the pipeline does not include the component:\n%s", pipeline)
	}
	pipeline = strings.ReplaceAll(strings.Replace(pipeline, component, "  - local: templates/with-creds.yml\n", 1), "https://vault.example:8200", w.vault.Addr)
	write(t, filepath.Join(dir, ".gitlab-ci.yml"), pipeline)
	write(t, filepath.Join(dir, "templates/with-creds.yml"), read(t, filepath.Join(root(), "pipelines/gitlab/templates/with-creds.yml")))
	write(t, filepath.Join(dir, ".gitignore"), ".gitlab-ci-local/\n")
	git(t, dir)
	c := exec.Command("node", gitlabRunner(t), "--variable", "WITH_CREDS_VAULT_JWT="+token, job) // the runner here makes no id tokens
	for name, value := range w.place() {
		c.Args = append(c.Args, "--variable", name+"="+value)
	}
	c.Dir, c.Env = dir, environ(t)
	return c, dir
}

func TestGitLabExample(t *testing.T) {
	w := newWorld(t)
	pipeline := read(t, filepath.Join(root(), "examples/gitlab/.gitlab-ci.yml"))
	token := w.issuer.Token(jobClaims())

	c, dir := w.gitlab(t, pipeline, "dump", token)
	shown, code := run(t, c)
	if code != 0 || !strings.Contains(shown, "1 proven") {
		t.Fatalf("code %d\n%s", code, shown)
	}
	if !strings.Contains(read(t, filepath.Join(dir, "app.sql")), "CREATE TABLE public.items") {
		t.Error("there is no dump")
	}
	withoutSecrets(t, shown, token)

	c, dir = w.gitlab(t, pipeline, "migrate", token)
	shown, code = run(t, c)
	if code != 0 || !strings.Contains(shown, "1 proven") || !strings.Contains(shown, "ITEM 1") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
	_ = dir
}

func TestGitLabJobThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	pipeline := strings.Replace(read(t, filepath.Join(root(), "examples/gitlab/.gitlab-ci.yml")), "update items set name", "drop table items; update items set name", 1)
	c, _ := w.gitlab(t, pipeline, "migrate", w.issuer.Token(jobClaims()))
	shown, code := run(t, c)
	if code == 0 || !strings.Contains(shown, "must be owner") {
		t.Errorf("code %d\n%s", code, shown)
	}
	w.nothingLeft()

	c, _ = w.gitlab(t, pipeline, "migrate", w.issuer.Token(map[string]any{"sub": "repo:evil/app", "aud": audience, "repository": "evil/app"}))
	shown, code = run(t, c)
	if code == 0 || !strings.Contains(shown, "bound_claims") || strings.Contains(shown, "drop table") && strings.Contains(shown, "must be owner") {
		t.Errorf("code %d\n%s", code, shown)
	}
}
