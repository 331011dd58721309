//go:build unix

package guard

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/with-creds/with-creds/providers"
)

// guardOf finds how a journal names its guard; the run comes in braces of its own.
var guardOf = regexp.MustCompile(`,"pid":\d+,"start":\d+`)

// writtenJournal is a journal as a guard leaves it that no longer is: the file, without the lock, of processes that have ended.
func writtenJournal(t *testing.T, dir string, parent *instance) string {
	t.Helper()
	j := newJournal(dir, "run1", parent)
	j.note(message{Session: &session{ID: "p-1", Handoff: providers.Handoff{Origin: "there"}}})
	j.note(message{Lease: &providers.Lease{Provider: "p", ID: "a", Session: "p-1"}})
	j.note(message{Dir: filepath.Join(dir, "with-creds-x")})
	j.flush()
	j.file.Close()
	// This process wrote it, and lives.
	text, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	forgotten := guardOf.ReplaceAll(text, []byte(`,"pid":1,"start":1`))
	if err := os.WriteFile(j.path, forgotten, 0o600); err != nil {
		t.Fatal(err)
	}
	return j.path
}

func TestAJournalIsTakenOnce(t *testing.T) {
	path := writtenJournal(t, t.TempDir(), nil)
	first, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Leases) != 1 || first.Origins["p-1"] != "there" || len(first.Dirs) != 1 || first.Run != "run1" || first.Host == "" {
		t.Errorf("%+v", first.Remnant)
	}
	if _, err := Take(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second time: %v", err)
	}
	first.Leave()
	second, err := Take(path)
	if err != nil {
		t.Fatalf("after it was left: %v", err)
	}
	if err := second.Done(); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after it was done: %v", err)
	}
}

func TestAJournalIsNotTakenFromItsGuard(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(dir, "run1", nil)
	j.note(message{Lease: &providers.Lease{Provider: "p", ID: "a"}})
	defer j.remove()
	if _, err := Take(j.path); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
}

// The guard was lost and could not be replaced; the run goes on, and so do its credentials.
func TestAJournalIsNotTakenFromARunWithoutGuard(t *testing.T) {
	if startTime(os.Getpid()) == 0 {
		t.Skip("processes cannot be told apart here")
	}
	run := exec.Command("sleep", "600")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	pid := run.Process.Pid
	path := writtenJournal(t, t.TempDir(), &instance{pid, startTime(pid)})
	if _, err := Take(path); !errors.Is(err, ErrInUse) {
		t.Errorf("while the run lives: %v", err)
	}
	run.Process.Kill()
	for startTime(pid) != 0 { // it is a zombie then, which counts as ended
	}
	claim, err := Take(path)
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	claim.Leave()
	run.Wait()
}
