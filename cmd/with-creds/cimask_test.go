//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestOnGitHubTheCommandsOutputIsItsOwn pipes it on, as in `with-creds … -- pg_dump | gzip`: what tells the runner of the secret must not be in it.
func TestOnGitHubTheCommandsOutputIsItsOwn(t *testing.T) {
	t.Parallel()
	s := scripted(t, "TOKEN")
	s.env = map[string]string{"GITHUB_ACTIONS": "true"}
	tr := newTrial(t, s, nil, "sh", "-c", `printf dump; printf %s "$TOKEN" > token`)
	var out bytes.Buffer
	tr.cmd.Stdout = &out
	if code := tr.run(); code != 0 {
		t.Fatalf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	if out.String() != "dump" {
		t.Errorf("stdout is %q", out.String())
	}
	if token := tr.file("token"); token == "" || !strings.Contains("\n"+tr.stderr.String(), "\n::add-mask::"+token+"\n") {
		t.Errorf("the runner is not told of %q; stderr:\n%s", token, tr.stderr)
	}
	tr.cleanedUp(cleanUpLimit)
}
