package pipelines_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestGitHubSummaryOfWhatIsNotProven(t *testing.T) {
	need(t, "node")
	for problem, want := range map[string]string{"": `| **accepted** |`, "no answer": `| **accepted**: no answer |`} {
		dir := t.TempDir()
		stop, summary := filepath.Join(dir, "with-creds"), filepath.Join(dir, "summary")
		write(t, summary, "")
		write(t, stop, `#!/bin/sh
cat <<'END'
{"schema": 1, "ended": "2026-01-02T03:04:06Z", "credentials": [{"source": "vault:x", "variables": [], "issued": "2026-01-02T03:04:05Z", "renewals": 0,
 "revocation": {"proof": "accepted", "at": "2026-01-02T03:04:06Z", "took_ms": 1, "error": "`+problem+`"}}]}
END
`)
		if err := os.Chmod(stop, 0o755); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("node", filepath.Join(root(), "pipelines/github/dist/post.cjs"))
		c.Env = environ(t, map[string]string{"STATE_session": dir, "STATE_program": stop, "GITHUB_STEP_SUMMARY": summary})
		if shown, code := run(t, c); code != 0 || !strings.Contains(read(t, summary), want) {
			t.Errorf("code %d\n%s\n%s", code, shown, read(t, summary))
		}
	}
}
