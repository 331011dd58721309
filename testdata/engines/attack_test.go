//go:build linux

package engines

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// What others prepared for private files, over the whole binary; step/bind has the cases one by one.

// small runs a script where a directory is a tmpfs of 64 KiB that is full. It is mounted where nobody else sees it, which takes root's rights.
func small(t *testing.T) (prefix string) {
	t.Helper()
	if out, err := exec.Command("unshare", "-m", "sh", "-ec", "mount -t tmpfs -o size=64k none /mnt").CombinedOutput(); err != nil {
		harness.Missing(t, "a mount namespace: %v %s", err, out)
	}
	return `mount -t tmpfs -o size=64k,mode=0700 none "$FULL"; cat /dev/zero >"$FULL/filler" 2>/dev/null || true; `
}

func TestAFullPlaceForTheEnvFileStartsNothingAndLeavesNoLogin(t *testing.T) {
	mounted := small(t)
	w, pg := withPostgres(t)
	w.Env = append(w.Env, "FULL="+t.TempDir())
	r := w.Shell("vault:database/creds/readonly", mounted+`exec with-creds -c 'vault:database/creds/readonly as=postgres' --env-file "$FULL/env" -- echo started`, "unshare", "-m").End()
	if r.Code != 125 || r.Stdout != "" || !strings.Contains(r.Stderr, "it is full") {
		t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if left := pg.Roles("v-"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestPrivateFilesGoElsewhereWhereSharedMemoryIsFull(t *testing.T) {
	mounted := small(t)
	w, _ := withPostgres(t)
	w.Env = append(w.Env, "FULL=/dev/shm", "XDG_RUNTIME_DIR=", "TMPDIR="+t.TempDir())
	r := w.Shell("vault:database/creds/readonly", mounted+`exec with-creds -c 'vault:database/creds/readonly as=postgres-files' -- sh -c '
		psql -XAtc "select count(*) from items"; echo "$PGPASSFILE"'`, "unshare", "-m").End().Succeeded(providers.Proven).Says("100")
	_, file, _ := strings.Cut(r.Stdout, "100\n")
	if file = strings.TrimSpace(file); !filepath.IsAbs(file) || strings.HasPrefix(file, "/dev/shm/") {
		t.Errorf("the password file is %q\n%s", file, r.Stderr)
	}
	if _, err := os.Lstat(filepath.Dir(file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is left: %v", err)
	}
}

func TestAPlantedLinkAHostileUmaskAndAnothersDirectory(t *testing.T) {
	w, pg := withPostgres(t)
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "env")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	w.Env = append(w.Env, "LINK="+link)
	r := w.Shell("vault:database/creds/readonly", `exec with-creds -c 'vault:database/creds/readonly as=postgres' --env-file "$LINK" -- echo started`).End()
	if r.Code != 125 || r.Stdout != "" || !strings.Contains(r.Stderr, "is there already") {
		t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "untouched" {
		t.Errorf("the file behind the link: %q, %v", text, err)
	}
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, 65534, 65534); err == nil { // as root
		w.Env = append(w.Env, "XDG_RUNTIME_DIR="+theirs)
	}
	for _, umask := range []string{"0", "0777"} {
		r := w.Shell("vault:database/creds/readonly", `umask `+umask+`; exec with-creds -c 'vault:database/creds/readonly as=postgres-files' --env-file auto -- sh -c '
			. "$WITH_CREDS_ENV_FILE"; export PGSERVICE PGSERVICEFILE PGPASSFILE; psql -XAtc "select count(*) from items"
			stat -c "%a %u" "$PGPASSFILE" "$WITH_CREDS_ENV_FILE" "${PGPASSFILE%/*}" | tr "\n" " "; echo; echo "$PGPASSFILE"'`).End().
			Succeeded(providers.Proven).Says("100", fmt.Sprintf("600 %[1]d 600 %[1]d 700 %[1]d", os.Geteuid()))
		if strings.Contains(r.Stdout, theirs) {
			t.Errorf("private files in another's directory: %s", r.Stdout)
		}
	}
	if left := pg.Roles("v-"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
