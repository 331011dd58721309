//go:build linux

package guard

import (
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func leaseOf(id string) message { return message{Lease: &providers.Lease{Provider: "p", ID: id}} }

// TestAFullDiskCutsNoLineOfTheJournal has a pipe that is full in place of the disk.
func TestAFullDiskCutsNoLineOfTheJournal(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	j := &journal{path: filepath.Join(t.TempDir(), "unused"), file: in}
	var want []string
	note := func(id string) {
		want = append(want, id)
		_ = in.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) // an error shows in what is read
		j.note(leaseOf(id))
	}
	for range 3 { // the third finds it full
		note(strings.Repeat("x", 50_000) + string(rune('a'+len(want))))
	}
	if len(j.due) == 0 {
		t.Fatal("the pipe is not full")
	}
	read := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(out)
		read <- string(all)
	}()
	for deadline := time.Now().Add(time.Minute); len(j.due) > 0; {
		if time.Now().After(deadline) {
			t.Fatal("what is due is not written")
		}
		note("later")
	}
	in.Close()
	var got []string
	for line := range strings.Lines(<-read) {
		id, _, _ := strings.Cut(line[strings.Index(line, `"id":"`)+len(`"id":"`):], `"`)
		got = append(got, id)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d, in their order and whole", len(got), len(want))
	}
}

// TestTheJournalSaysNoLessWhileAGuardTakesTheLostOnesPlace looks when the next guard has opened it and been told nothing yet.
func TestTheJournalSaysNoLessWhileAGuardTakesTheLostOnesPlace(t *testing.T) {
	dir := t.TempDir()
	lost := newJournal(dir, "run1", nil)
	for _, id := range []string{"a", "b"} {
		lost.note(leaseOf(id))
	}
	lost.note(message{Dir: "/dir"})
	path := lost.path
	if _, err := lost.file.WriteString(`{"lease":{"provider":"p","id":"cut`); err != nil {
		t.Fatal(err)
	}
	lost.file.Close()
	ids := func() (ids []string) {
		r, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if r.Run != "run1" || !r.Alive || len(r.Dirs) != 1 {
			t.Errorf("%+v", r)
		}
		for _, l := range r.Leases {
			ids = append(ids, l.ID)
		}
		return ids
	}
	next := newJournal(dir, "run1", nil)
	next.mu.Lock()
	opened := next.open()
	next.mu.Unlock()
	if got := ids(); !opened || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("opened: %v; it has %q", opened, got)
	}
	next.note(leaseOf("b"))
	next.note(message{Dir: "/dir"})
	next.note(leaseOf("c"))
	if got := ids(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("it has %q", got)
	}
	next.remove()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAGuardThatCannotRemoveAFileSaysSo(t *testing.T) {
	held := filepath.Join(t.TempDir(), "held")
	if err := os.MkdirAll(filepath.Join(held, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := newState()
	s.hello.Run = rand.Text()
	s.files = []string{filepath.Join(t.TempDir(), "gone"), held}
	if err := s.takeOver(nil, &journal{}); err == nil || !strings.Contains(err.Error(), held) {
		t.Errorf("it says %v", err)
	}
}

// TestAGuardRemovesADirectoryThatTheCommandStillWritesTo has a command that writes to the private directory without a pause until it is killed.
func TestAGuardRemovesADirectoryThatTheCommandStillWritesTo(t *testing.T) {
	for range 5 {
		dir := filepath.Join(t.TempDir(), "with-creds-"+strings.ToLower(rand.Text()))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s := newState()
		s.hello.Run, s.dirs = rand.Text(), []string{dir}
		writer := exec.Command("sh", "-c", `i=0; while i=$((i+1)); do : > "$0/$i"; done`, dir)
		writer.Env, writer.Stderr = []string{RunVariable + "=" + s.hello.Run}, io.Discard
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if files, _ := os.ReadDir(dir); len(files) > 20 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("nothing is written")
			}
		}
		err := s.takeOver(nil, &journal{})
		_ = writer.Process.Kill()
		_ = writer.Wait()
		if _, there := os.Lstat(dir); err != nil || there == nil {
			t.Errorf("the guard says %v; and of the directory: %v", err, there)
		}
	}
}
