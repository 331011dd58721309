package bind

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// newDir makes a private directory below a test's own.
func newDir(t *testing.T) *Dir {
	t.Helper()
	d, err := NewDir([]Place{{t.TempDir(), "the test's"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func file(name, content string) Value { return Value{Name: name, Value: content, File: true} }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func TestPathsAreKnownBeforeAnythingIsWritten(t *testing.T) {
	d := newDir(t)
	values := d.Place([]Value{{Name: "KEY", Value: "content\x00\n", File: true}, {Name: "USER", Value: "u"}})
	if values[0].Path != filepath.Join(d.Path(), "KEY") || values[0].Variable() != values[0].Path || values[1].Variable() != "u" {
		t.Errorf("placed at %q, %q", values[0].Variable(), values[1].Variable())
	}
	gone(t, values[0].Path)
	if err := d.Write(file("KEY", values[0].Value)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, values[0].Path); got != "content\x00\n" {
		t.Errorf("read %q", got)
	}
}

func (d *Dir) replace(v Value) error {
	var next Replacement
	return errors.Join(next.File(d, v), next.Do(), next.Drop())
}

func replacePrivate(path, beside, content string) error {
	var next Replacement
	return errors.Join(next.Private(path, beside, content), next.Do(), next.Drop())
}

// SQL*Plus runs what is called .sql, and docker wants a directory with a config.json in it.
func TestAFileIsCalledWhatItsReaderLooksFor(t *testing.T) {
	d := newDir(t)
	values := d.Place([]Value{{Name: "LOGIN", Value: "old", File: true, Ending: ".sql"}, {Name: "CONFIG", Value: "old", File: true, Ending: "/config.json"}})
	paths := []string{d.File("LOGIN.sql"), d.File("CONFIG/config.json")}
	if values[0].Variable() != paths[0] || values[1].Variable() != d.File("CONFIG") {
		t.Errorf("placed at %q, %q", values[0].Variable(), values[1].Variable())
	}
	for i, v := range values {
		if err := d.Write(v); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(v); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second Write: %v", err)
		}
		v.Value = "new"
		if err := d.replace(v); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(filepath.Dir(paths[i]))
		if err != nil || len(entries) != 1 || read(t, paths[i]) != "new" {
			t.Errorf("%s holds %q, with %v beside it (%v)", paths[i], read(t, paths[i]), entries, err)
		}
	}
}

func TestAFileIsWrittenOnceAndReplacedWhole(t *testing.T) {
	d := newDir(t)
	if err := d.Write(file("KEY", "old")); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(file("KEY", "h1dd3n")); err == nil || !errors.Is(err, fs.ErrExist) || strings.Contains(err.Error(), "h1dd3n") {
		t.Errorf("a second Write: %v", err)
	}
	old, err := os.Open(d.File("KEY"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := d.replace(file("KEY", "new")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	n, _ := old.Read(b)
	if string(b[:n]) != "old" || read(t, d.File("KEY")) != "new" {
		t.Errorf("who had it open reads %q, who opens it now %q", b[:n], read(t, d.File("KEY")))
	}
	entries, err := os.ReadDir(d.Path())
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestOfSeveralFilesAllAreReplacedOrNone(t *testing.T) {
	d, elsewhere := newDir(t), filepath.Join(t.TempDir(), "env")
	if err := errors.Join(d.Write(file("CERT", "old")), d.Write(file("KEY", "old")), WritePrivate(elsewhere, "old"), os.Mkdir(d.File("TAKEN"), 0o700)); err != nil {
		t.Fatal(err)
	}
	are := func(want string) {
		t.Helper()
		entries, err := os.ReadDir(d.Path())
		beside, besideErr := os.ReadDir(filepath.Dir(elsewhere))
		if err != nil || besideErr != nil || len(entries) != 3 || len(beside) != 1 {
			t.Errorf("there are %v and %v (%v, %v)", entries, beside, err, besideErr)
		}
		for _, path := range []string{d.File("CERT"), d.File("KEY"), elsewhere} {
			if got := read(t, path); got != want {
				t.Errorf("%s has %q, want %q", path, got, want)
			}
		}
	}
	for _, last := range []string{"TAKEN", "KEY"} { // a directory, which is in the way, and a file
		var next Replacement
		err := errors.Join(next.File(d, file("CERT", "new")), next.Private(elsewhere, Beside(elsewhere), "new"))
		if err != nil {
			t.Fatal(err)
		}
		if err = next.File(d, file(last, "new")); (err != nil) != (last == "TAKEN") {
			t.Errorf("%s: %v", last, err)
		}
		want := "old"
		if err == nil {
			err, want = next.Do(), "new"
		}
		if dropped := next.Drop(); dropped != nil || want == "new" && err != nil {
			t.Errorf("%s: %v, %v", last, err, dropped)
		}
		are(want)
	}
}

// Readers run against a writer: each must see one of the contents, whole.
func TestReadersSeeTheOldOrTheNewWhole(t *testing.T) {
	d := newDir(t)
	content := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 1<<16) }
	if err := d.Write(file("KEY", content(0))); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				b, err := os.ReadFile(d.File("KEY"))
				if err != nil || len(b) != 1<<16 || strings.Trim(string(b), string(b[:1])) != "" {
					t.Errorf("a torn read of %d bytes, %v", len(b), err)
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := d.replace(file("KEY", content(i))); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
}

func TestAPlantedLinkIsNeitherWrittenThroughNorFollowed(t *testing.T) {
	d := newDir(t)
	victim := filepath.Join(t.TempDir(), "victim")
	dangling := filepath.Join(t.TempDir(), "not there")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"TO_FILE": victim, "TO_NOTHING": dangling, "TO_SELF": "TO_SELF"} {
		if err := os.Symlink(target, d.File(name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
		if err := d.Write(file(name, "content")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: written: %v", name, err)
		}
		if err := d.replace(file(name, "content")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Lstat(d.File(name)); err != nil || !info.Mode().IsRegular() || read(t, d.File(name)) != "content" {
			t.Errorf("%s: the link was not replaced: %v, %v", name, info, err)
		}
	}
	if read(t, victim) != "untouched" {
		t.Error("the file behind the link was written to")
	}
	gone(t, dangling)
}

func TestOnlyAVariablesNameNamesAFile(t *testing.T) {
	d := newDir(t)
	for _, name := range []string{"", ".", "..", "../X", "A/B", "/etc/passwd", "a-b", "X\x00"} {
		if err := d.Write(file(name, "content")); err == nil {
			t.Errorf("%q is written", name)
		}
		if err := d.replace(file(name, "content")); err == nil {
			t.Errorf("%q is replaced", name)
		}
	}
}

func TestRemoveTakesEverythingAndFollowsNothing(t *testing.T) {
	d := newDir(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(file("KEY", "content")); err != nil {
		t.Fatal(err)
	}
	// What the command may leave there.
	if err := os.MkdirAll(d.File("sub/sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, d.File("sub/link")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if err := os.Chmod(d.Path(), 0o500); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	gone(t, d.Path())
	read(t, filepath.Join(outside, "kept"))
	if err := d.Remove(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if err := d.Write(file("KEY", "content")); err == nil {
		t.Error("written after Remove")
	}
}

func TestRemoveFindsADirectoryThatWasMovedAway(t *testing.T) {
	d := newDir(t)
	if err := d.Write(file("KEY", "content")); err != nil {
		t.Fatal(err)
	}
	elsewhere, decoy := filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
	if err := os.Rename(d.Path(), elsewhere); err != nil {
		t.Skip("directories in use cannot be renamed here:", err)
	}
	if err := os.WriteFile(filepath.Join(decoy, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(decoy, d.Path()); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Join(elsewhere, "KEY"))
	gone(t, d.Path())
	read(t, filepath.Join(decoy, "kept"))
}

func TestAnotherProcessRemovesByPathOnlyWhatIsAPrivateDirectory(t *testing.T) {
	d := newDir(t)
	if err := d.Write(file("KEY", "content")); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	link := filepath.Join(other, namePrefix+"link")
	if err := os.Symlink(d.Path(), link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	file := filepath.Join(other, namePrefix+"file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, file, other, "/", "", namePrefix + "x", filepath.Dir(d.Path())} {
		if err := RemoveDir(path); err == nil {
			t.Errorf("%q is removed", path)
		}
	}
	read(t, d.File("KEY"))
	for range 2 {
		if err := RemoveDir(d.Path()); err != nil {
			t.Error(err)
		}
	}
	gone(t, d.Path())
	if err := RemoveDir("/not/there/" + namePrefix + "x"); err != nil {
		t.Error(err)
	}
}

func TestPlacesAreTriedInOrder(t *testing.T) {
	env := map[string]string{"XDG_RUNTIME_DIR": "/run/user/1", "RUNNER_TEMP": "/runner", "TMPDIR": "relative"}
	var got []string
	for _, p := range Places(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, "RUNNER_TEMP") {
		got = append(got, p.Name+" "+p.Path)
	}
	want := []string{"$XDG_RUNTIME_DIR /run/user/1", sharedMemory + " " + sharedMemory, "$RUNNER_TEMP /runner", systemTemp + " " + systemTemp}
	if sharedMemory == "" {
		want = append(want[:1], want[2:]...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestNoPlaceAtAllIsSaidWithEachReason(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewDir([]Place{{missing, "$A"}, {file, "$B"}}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "$A: ") || !strings.Contains(err.Error(), "$B: ") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsAboutToBeMadeIsToldBefore(t *testing.T) {
	var told []string
	d, err := NewDir([]Place{{t.TempDir(), "the test's"}}, nil, func(path string) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there already: %v", path, err)
		}
		told = append(told, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, []string{d.Path()}) {
		t.Errorf("told of %q, made %s", told, d.Path())
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
	// Nothing but the path that was told of is written to: it is in the way here.
	t.Chdir(t.TempDir())
	for path, content := range map[string]string{"env": "A=1\n", "in the way": ""} {
		if err := WritePrivate(path, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := replacePrivate("env", "in the way", "A=2\n"); !errors.Is(err, fs.ErrExist) || read(t, "env") != "A=1\n" {
		t.Errorf("%v, %q", err, read(t, "env"))
	}
}

func TestAPersonsPathIsWrittenAsCarefully(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := WritePrivate("env", "A=1\n"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat("env"); err != nil || hasModes && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := WritePrivate("env", "A=2\n"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	if err := replacePrivate("env", Beside("env"), "A=3\n"); err != nil || read(t, "env") != "A=3\n" {
		t.Errorf("%v, %q", err, read(t, "env"))
	}
	if err := os.Mkdir("d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(filepath.Join("d", "env"), "x"); err != nil || read(t, "d/env") != "x" {
		t.Error(err)
	}
	if err := WritePrivate("missing/env", "x"); err == nil {
		t.Error("written into a directory that is not there")
	}
	if err := replacePrivate("d", Beside("d"), "x"); err == nil {
		t.Error("a directory is replaced")
	}
}
