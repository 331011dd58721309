//go:build linux

package pipelines_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dumps runs a job's script in a shell with a CI's variables and with those that its file sets, and wants a dump, a receipt that names the job, and nothing left.
func (w *world) dumps(shell []string, script string, ci, set map[string]string, url string) {
	t := w.t
	t.Helper()
	need(t, "bash", "pg_dump")
	if set["VAULT_ADDR"] != "https://vault.example:8200" || set["PGHOST"] != "db.example" {
		t.Errorf("the places are %q", set)
	}
	dir := t.TempDir()
	env := maps.Clone(ci)
	maps.Copy(env, set)
	maps.Copy(env, w.place()) // these and Vault's are the test's own
	delete(env, "PGDATABASE")
	maps.Copy(env, map[string]string{"VAULT_ADDR": w.vault.Addr, "WITH_CREDS_RECEIPT": "receipt.json"})
	c := exec.Command(shell[0], append(shell[1:], script)...)
	c.Dir, c.Env = dir, environ(t, env)
	shown, code := run(t, c)
	if code != 0 || !strings.Contains(shown, "1 proven") {
		t.Fatalf("code %d\n%s", code, shown)
	}
	if dump := read(t, filepath.Join(dir, "app.sql")); !strings.Contains(dump, "CREATE TABLE public.items") {
		t.Errorf("the dump is\n%.300s", dump)
	}
	if receipt := read(t, filepath.Join(dir, "receipt.json")); !strings.Contains(receipt, url) {
		t.Errorf("the receipt does not name the job %s:\n%s", url, receipt)
	}
	w.nothingLeft()
}

func TestBuildkiteStepDumpsTheDatabase(t *testing.T) {
	w := newWorld(t)
	w.vault.JWTRole("ci", map[string]any{
		"bound_audiences": []string{audience}, "bound_claims": map[string]any{"pipeline_slug": "app"}, "token_policies": "ci", "token_ttl": "1h",
	})
	var pipeline struct {
		Env   map[string]string
		Steps []struct{ Label, Command string }
	}
	parsed(t, "pipelines/buildkite/pipeline.yml", &pipeline)
	if len(pipeline.Steps) != 1 {
		t.Fatalf("%+v", pipeline)
	}
	// What `buildkite-agent pipeline upload` makes of it: a single $ would be a variable of the machine that uploads
	// (https://buildkite.com/docs/agent/cli/reference/pipeline#environment-variable-substitution).
	if strings.Contains(strings.ReplaceAll(pipeline.Steps[0].Command, "$$", ""), "$") {
		t.Errorf("the upload would replace a variable in\n%s", pipeline.Steps[0].Command)
	}
	script := strings.ReplaceAll(pipeline.Steps[0].Command, "$$", "$")

	// A stand-in for the agent, which gives the token alone, and to the right request alone.
	bin := t.TempDir()
	token := w.issuer.Token(map[string]any{"sub": "organization:acme:pipeline:app:ref:refs/heads/main", "aud": audience, "pipeline_slug": "app"})
	write(t, filepath.Join(bin, "buildkite-agent"), "#!/bin/sh\n[ \"$*\" = 'oidc request-token --audience "+audience+"' ] && echo '"+token+"'\n")
	if err := os.Chmod(filepath.Join(bin, "buildkite-agent"), 0o755); err != nil {
		t.Fatal(err)
	}
	const url = "https://buildkite.com/acme/app/builds/7"
	w.dumps([]string{"bash", "-e", "-c"}, "PATH="+bin+":$PATH\n"+script, map[string]string{
		"BUILDKITE": "true", "CI": "true", "BUILDKITE_PIPELINE_SLUG": "app", "BUILDKITE_LABEL": pipeline.Steps[0].Label, "BUILDKITE_BUILD_URL": url, "BUILDKITE_JOB_ID": "0190",
	}, pipeline.Env, url)
}

func TestCircleCIJobDumpsTheDatabase(t *testing.T) {
	const organization, project = "8f4d4a1c-0000-4000-8000-000000000001", "8f4d4a1c-0000-4000-8000-000000000002"
	w := newWorld(t)
	w.vault.JWTRole("ci", map[string]any{
		"bound_audiences": []string{organization}, "bound_claims": map[string]any{"/oidc.circleci.com~1project-id": project}, "token_policies": "ci", "token_ttl": "1h",
	})
	var config struct {
		Jobs map[string]struct {
			Environment map[string]string
			Steps       []struct{ Run string }
		}
		Workflows map[string]struct{ Jobs []string }
	}
	parsed(t, "pipelines/circleci/config.yml", &config)
	job, known := config.Jobs["dump"]
	if !known || len(job.Steps) != 2 || !slices.Equal(config.Workflows["nightly"].Jobs, []string{"dump"}) {
		t.Fatalf("%+v", config)
	}
	token := w.issuer.Token(map[string]any{
		"sub": "org/" + organization + "/project/" + project, "aud": []string{organization}, "oidc.circleci.com/project-id": project,
	})
	const url = "https://circleci.com/gh/acme/app/7"
	// The shell is CircleCI's: https://circleci.com/docs/configuration-reference/#default-shell-options
	w.dumps([]string{"bash", "-eo", "pipefail", "-c"}, job.Steps[0].Run, map[string]string{
		"CIRCLECI": "true", "CI": "true", "CIRCLE_JOB": "dump", "CIRCLE_PROJECT_REPONAME": "app", "CIRCLE_BUILD_URL": url, "CIRCLE_WORKFLOW_JOB_ID": "77", "CIRCLE_OIDC_TOKEN_V2": token,
	}, job.Environment, url)
}
