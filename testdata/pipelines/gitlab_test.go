package pipelines_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
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

// gitlab is a job of a pipeline, in a project that has this component in itself and that the template is included into by its address or as a component.
func (w *world) gitlab(t testing.TB, pipeline, job string, token string) (*exec.Cmd, string) {
	t.Helper()
	dir := t.TempDir()
	template := read(t, filepath.Join(root(), "pipelines/gitlab/templates/with-creds.yml"))
	const remote = "https://raw.githubusercontent.com/with-creds/with-creds/v1/"
	published := httptest.NewServer(http.StripPrefix("/", http.FileServer(http.Dir(root()))))
	t.Cleanup(published.Close)
	pipeline = strings.NewReplacer("'"+remote, "'"+published.URL+"/", "with-creds@main", "with-creds@$CI_COMMIT_SHA", "https://vault.example:8200", w.vault.Addr).Replace(pipeline)
	if !strings.Contains(pipeline, published.URL) && !strings.Contains(pipeline, "@$CI_COMMIT_SHA") {
		t.Fatalf("the pipeline does not include the template:\n%s", pipeline)
	}
	write(t, filepath.Join(dir, ".gitlab-ci.yml"), pipeline)
	write(t, filepath.Join(dir, "templates/with-creds.yml"), template)
	write(t, filepath.Join(dir, ".gitignore"), ".gitlab-ci-local/\n")
	git(t, dir)
	if out, err := exec.Command("git", "-C", dir, "remote", "add", "origin", "git@gitlab.example:acme/with-creds.git").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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

// What pipelines/gitlab/README.md shows: the component, and a job with a before_script of its own.
func TestGitLabComponentAndAJobWithABeforeScriptOfItsOwn(t *testing.T) {
	w := newWorld(t)
	readme := read(t, filepath.Join(root(), "pipelines/gitlab/README.md"))
	var blocks []string
	for i, part := range strings.Split(readme, "```") {
		if yaml, ok := strings.CutPrefix(part, "yaml\n"); ok && i%2 == 1 {
			blocks = append(blocks, yaml)
		}
	}
	if len(blocks) != 3 || !strings.Contains(read(t, filepath.Join(root(), "examples/gitlab/.gitlab-ci.yml")), blocks[0]) {
		t.Fatalf("the first of %d blocks is not the example's:\n%s", len(blocks), readme)
	}
	c, _ := w.gitlab(t, blocks[1]+"\n"+blocks[2], "migrate", w.issuer.Token(jobClaims()))
	shown, code := run(t, c)
	if code != 0 || !strings.Contains(shown, "1 proven") || !strings.Contains(shown, "> v-jwt") || !strings.Contains(shown, "UPDATE 100") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

// GitLab does not interpolate what is above the line, and would have taken it for text.
func TestGitLabInputsHaveNoOtherInputsForDefaults(t *testing.T) {
	header, _, found := strings.Cut(read(t, filepath.Join(root(), "pipelines/gitlab/templates/with-creds.yml")), "\n---\n")
	if !found || strings.Contains(header, "$[[") {
		t.Errorf("the header is\n%s", header)
	}
}
