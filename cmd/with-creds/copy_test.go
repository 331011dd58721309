//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestCopyPutsTheWholeProgramInPlaceOfAnother(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	there := filepath.Join(dir, "with-creds")
	if err := os.WriteFile(there, []byte("of the last run"), 0o600); err != nil {
		t.Fatal(err)
	}
	operate(t, home, nil, "copy", dir).want(t, 0)
	if info, err := os.Stat(there); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v; whoever the containers run as must be able to run it", info, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
	copied, err := exec.Command(there, "version").Output()
	if original := operate(t, home, nil, "version").want(t, 0); err != nil || string(copied) != original.stdout {
		t.Errorf("%v: the copy is %q, the original %q", err, copied, original.stdout)
	}
	if words := completed(t, "with-creds copy ", nil); !slices.Equal(words, []string{":files"}) {
		t.Errorf("completed by %q", words)
	}
}

func TestCopyThatCannotBeMadeLeavesNothing(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	for _, args := range [][]string{{"copy"}, {"copy", dir, dir}, {"copy", dir, "--", "true"}, {"copy", filepath.Join(dir, "nowhere")}} {
		operate(t, home, nil, args...).want(t, 125, "with-creds: copy")
	}
	if err := os.Mkdir(filepath.Join(dir, "with-creds"), 0o700); err != nil { // a program cannot take its place
		t.Fatal(err)
	}
	operate(t, home, nil, "copy", dir).want(t, 125, "with-creds: copy", dir)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
