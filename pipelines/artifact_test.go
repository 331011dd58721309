package pipelines_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/with-creds/with-creds/pipelines"
)

func TestAFileInGitLabsProjectIsKnownHoweverItIsNamed(t *testing.T) {
	place := t.TempDir()
	project, beside := filepath.Join(place, "app"), filepath.Join(place, "app.tmp")
	for _, dir := range []string{filepath.Join(project, "out"), beside} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"builds": place, "shortcut": filepath.Join(project, "out")} {
		if err := os.Symlink(to, filepath.Join(beside, link)); err != nil {
			t.Skip(err) // on Windows not everybody may
		}
	}
	t.Chdir(project)
	gitlab := map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": project}
	for _, row := range []struct {
		path    string
		env     map[string]string
		refused bool
	}{
		{filepath.Join(project, "build.env"), gitlab, true},
		{"build.env", gitlab, true},
		{"out/build.env", gitlab, true},
		{filepath.Join(beside, "..", "app", "build.env"), gitlab, true},
		{filepath.Join(beside, "shortcut", "build.env"), gitlab, true},
		{"build.env", map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": filepath.Join(beside, "builds", "app")}, true},
		{filepath.Join(beside, "build.env"), gitlab, false}, // whose name begins as the project's
		{"../build.env", gitlab, false},
		{"", gitlab, false},
		{"build.env", map[string]string{"CI_PROJECT_DIR": project}, false},
		{"build.env", map[string]string{"GITLAB_CI": "true"}, false},
	} {
		err := pipelines.RefuseArtifact(row.path, func(name string) string { return row.env[name] })
		if (err != nil) != row.refused {
			t.Errorf("%q with %v: %v", row.path, row.env, err)
		}
	}
}
