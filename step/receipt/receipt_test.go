package receipt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/step/receipt"
)

func TestAReceiptTakesThePlaceOfTheLastOneAndNothingIsBesideIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "receipt.json")
	for _, run := range []string{"first", "second"} {
		if err := (receipt.Receipt{Schema: receipt.Schema, Run: run}).Write(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		var got receipt.Receipt
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err != nil || got.Run != run || got.Schema != receipt.Schema {
			t.Errorf("%v: %s", err, text)
		}
		only(t, dir, "receipt.json")
	}
}

// TestAReceiptThatCannotBePutInItsPlaceLeavesNothing has a directory where the receipt is to be.
func TestAReceiptThatCannotBePutInItsPlaceLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "receipt.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (receipt.Receipt{}).Write(filepath.Join(dir, "receipt.json")); err == nil {
		t.Error("it says that it was written")
	}
	only(t, dir, "receipt.json")
}

// TestAFileKeepsItsModeAndALinkToItStays has the receipt's name be a link to a file of its user's alone, and one to a file that is not there yet.
func TestAFileKeepsItsModeAndALinkToItStays(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "private"), []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for target, mode := range map[string]os.FileMode{"private": 0o600, "new": 0o644} {
		link := filepath.Join(t.TempDir(), "receipt.json")
		target = filepath.Join(dir, target)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if err := (receipt.Receipt{Run: "abc"}).Write(link); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(target); err != nil || !strings.Contains(string(text), `"abc"`) {
			t.Errorf("%s: %v: %s", target, err, text)
		}
		if got := modeOf(t, target); got != mode {
			t.Errorf("%s has mode %v, want %v", target, got, mode)
		}
		if got := modeOf(t, link); got.Type() != os.ModeSymlink {
			t.Errorf("the link has become %v", got)
		}
	}
}

func TestProbeFindsBeforehandThatAReceiptCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	for path, bad := range map[string]bool{
		"receipt.json": false, ".": true, "nowhere/receipt.json": true,
	} {
		if err := receipt.Probe(filepath.Join(dir, path)); (err != nil) != bad {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("looking left %v: %v", left, err)
	}
}

// only fails the test when there is anything else in a directory.
func only(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("there are %v, want %s alone: %v", entries, name, err)
	}
}

// modeOf is that of what is there itself, be it a link.
func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}
