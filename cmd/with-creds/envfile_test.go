//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestTheEnvFileIsGoneHoweverTheRunEnds has the file that the next content is written to lie there too, as a run that is killed then leaves it.
func TestTheEnvFileIsGoneHoweverTheRunEnds(t *testing.T) {
	for name, end := range map[string]func(*trial){
		"the command ends": func(tr *trial) { tr.finish(0) },
		"ended":            func(tr *trial) { send(tr.pid(), syscall.SIGTERM) },
		"killed":           func(tr *trial) { send(tr.pid(), syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t, anyServer(t).direct(t, 1), []string{"--env-file", "env"}, "sh", "-ec",
				`test -z "$PASSWORD_0"; . ./env; test -n "$PASSWORD_0"; touch running; while ! test -e finish; do sleep 0.02; done`)
			tr.start()
			tr.file("running")
			files := filesToRemove(tr.journal())
			slices.Sort(files)
			if want := tr.path("env"); len(files) != 2 || files[1] != want || !strings.HasPrefix(files[0], filepath.Join(tr.dir, ".env.")) {
				t.Fatalf("the journal tells of %q, want %s and one beside it", files, want)
			}
			if name == "killed" {
				if err := os.WriteFile(files[0], []byte("half of it"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			end(tr)
			tr.cleanedUp(cleanUpLimit)
			there := func(path string) bool { _, err := os.Lstat(path); return !errors.Is(err, fs.ErrNotExist) }
			if !within(cleanUpLimit, func() error {
				if slices.ContainsFunc(files, there) {
					return errors.New("not yet")
				}
				return nil
			}) {
				t.Errorf("of %q one is still there", files)
			}
		})
	}
}

// filesToRemove are the private files outside its directory that a journal tells of.
func filesToRemove(journal string) (files []string) {
	for line := range strings.Lines(journal) {
		var entry struct{ File string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.File != "" {
			files = append(files, entry.File)
		}
	}
	return files
}

func TestAnEnvFileThatIsThereAlreadyIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	tr := newTrial(t, scripted(t, "TOKEN"), []string{"--env-file", "mine"}, "touch", "ran")
	if err := os.WriteFile(tr.path("mine"), []byte("precious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := tr.run(); code != failed {
		t.Errorf("exit code %d, want %d; stderr:\n%s", code, failed, tr.stderr)
	}
	if text, err := os.ReadFile(tr.path("mine")); err != nil || string(text) != "precious\n" {
		t.Errorf("the file that was there holds %q (%v)", text, err)
	}
	if _, err := os.Lstat(tr.path("ran")); err == nil {
		t.Error("the command was started")
	}
	tr.cleanedUp(cleanUpLimit)
}
