package pipelines

import (
	"fmt"
	"path/filepath"
	"strings"
)

// RefuseArtifact refuses a file for secrets that the CI may keep or publish. On GitLab that is whatever is under the project's directory: artifacts can be
// taken from nowhere else, a dotenv report (artifacts:reports:dotenv) among them, which every later job and whoever may download artifacts can read
// (https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv). An empty path is no file.
func RefuseArtifact(path string, getenv func(string) string) error {
	project := getenv("CI_PROJECT_DIR")
	if path == "" || getenv("GITLAB_CI") == "" || project == "" {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
		absolute = filepath.Join(dir, filepath.Base(absolute))
	}
	if real, err := filepath.EvalSymlinks(project); err == nil {
		project = real
	}
	if !strings.HasPrefix(absolute, strings.TrimRight(project, "/")+"/") {
		return nil
	}
	return fmt.Errorf("%s is in the project's directory, where GitLab takes artifacts and dotenv reports from, and an artifact must hold no secret: "+
		"write it elsewhere (mktemp), or wrap the command: with-creds run", path)
}
