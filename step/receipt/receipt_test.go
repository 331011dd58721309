package receipt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// only fails the test when there is anything else in a directory.
func only(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("there are %v, want %s alone: %v", entries, name, err)
	}
}
