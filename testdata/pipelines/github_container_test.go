//go:build linux

package pipelines_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// The runner starts the actions of a container job as `docker exec` does: below nobody who has a number in the container.
func TestGitHubJobInAContainerHasCredentialsUntilItsEnd(t *testing.T) {
	need(t, "node", "nsenter", "mount", "bash")
	container := exec.Command("sh", "-ec", `mount -t proc proc /proc; echo ready; exec sleep 600`)
	container.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	ready, err := container.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := container.Start(); err != nil {
		harness.Missing(t, "namespaces (%v)", err)
	}
	t.Cleanup(func() {
		_ = container.Process.Kill()
		_ = container.Wait()
	})
	if _, err := ready.Read(make([]byte, 16)); err != nil {
		t.Fatalf("the container: %v", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	write(t, filepath.Join(bin, "node"), fmt.Sprintf(`#!/bin/bash
[ "$2" != -e ] || exec echo "$0" # act asks node where it is; to dash, INPUT_VAULT-ROLE is no variable
exec nsenter --target %d --pid --mount --wd=. %s "$@"
`, container.Process.Pid, node))
	if err := os.Chmod(filepath.Join(bin, "node"), 0o755); err != nil {
		t.Fatal(err)
	}

	w := newWorld(t)
	c := w.runner(workflowHead+jobCredentials+`
      - run: psql -Atc 'select count(*) from items' > $OUT/count
`, nil)
	c.Env = append(c.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	shown, code := run(t, c)
	if code != 0 || read(t, outOf(c)+"/count") != "100\n" || !strings.Contains(shown, "proven at") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("left when the job has ended: %q", live)
	}
}
