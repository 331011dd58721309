package bind

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is a user that tests run by root take on.
const nobody = 65534

func TestPrivateFilesHaveTheirModesWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o277, 0o777} {
		for _, uid := range users() {
			t.Run(fmt.Sprintf("umask %04o, uid %d", umask, uid), func(t *testing.T) {
				place := t.TempDir()
				// The test's directories must be passable for the user; /tmp and what `go test` makes there are otherwise.
				for dir := place; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
					if err := os.Chmod(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Chown(place, uid, uid); err != nil {
					t.Fatal(err)
				}
				// A umask belongs to the process, so another one takes it on.
				cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperWritesUnderAUmask$", "-test.v")
				cmd.Env = append(os.Environ(), "BIND_TEST_PLACE="+place, "BIND_TEST_UMASK="+strconv.Itoa(umask))
				cmd.Dir = "/"
				if os.Geteuid() == 0 {
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
				}
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "--- PASS: TestHelperWritesUnderAUmask") {
					t.Fatalf("%v\n%s", err, out)
				}
			})
		}
	}
}

// users are this one and, for root, one without its rights.
func users() []int {
	if os.Geteuid() == 0 {
		return []int{0, nobody}
	}
	return []int{os.Geteuid()}
}

func TestHelperWritesUnderAUmask(t *testing.T) {
	place := os.Getenv("BIND_TEST_PLACE")
	if place == "" {
		t.Skip("run by TestPrivateFilesHaveTheirModesWhateverTheUmask")
	}
	umask, err := strconv.Atoi(os.Getenv("BIND_TEST_UMASK"))
	if err != nil {
		t.Fatal(err)
	}
	before := unix.Umask(umask)
	defer unix.Umask(before)
	d, err := NewDir([]Place{{place, "the test's"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write(file("KEY", "one")); err != nil {
		t.Fatal(err)
	}
	if err := d.replace(file("KEY", "two")); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(Value{Name: "CONFIG", File: true, Ending: "/config.json"}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{
		d.Path(): 0o700 | os.ModeDir, d.File("KEY"): 0o600, d.File("CONFIG"): 0o700 | os.ModeDir, d.File("CONFIG/config.json"): 0o600,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want || !ownedByUs(info) {
			t.Errorf("%s: %v, %v, want %v", path, info, err, want)
		}
	}
	// A command that makes everything read-only keeps nothing: neither from the run nor from the guard.
	other, err := NewDir([]Place{{place, "the test's"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Write(file("KEY", "one")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []*Dir{d, other} {
		if err := os.Chmod(dir.Path(), 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
	if err := RemoveDir(other.Path()); err != nil {
		t.Error(err)
	}
	gone(t, d.Path())
	gone(t, other.Path())
}

func TestAPlaceThatOthersControlIsRefused(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"everyone can replace": func(dir string) error { return os.Chmod(dir, 0o777) },
		"a group can replace":  func(dir string) error { return os.Chmod(dir, 0o770) },
		"belongs to another":   func(dir string) error { return os.Chown(dir, nobody, nobody) },
		"everyone can replace what is in /": func(dir string) error {
			return os.Chmod(filepath.Dir(dir), 0o777)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "place")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			err := prepare(dir)
			if errors.Is(err, os.ErrPermission) {
				t.Skip("needs root:", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewDir([]Place{{dir, "$PLACE"}}, nil, nil); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) > 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

func TestAStickyPlaceOpenToAllServes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	d, err := NewDir([]Place{{dir, "$PLACE"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
}

func TestAnotherUsersDirectoryIsNotRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), namePrefix+"theirs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Skip("needs root:", err)
	}
	if err := RemoveDir(dir); err == nil {
		t.Error("removed")
	}
}

func TestRAMIsPreferredAndADiskIsWarnedOf(t *testing.T) {
	ram, disk := filepath.Join(sharedMemory, fmt.Sprintf("bind-test-%d", os.Getpid())), t.TempDir()
	if err := os.Mkdir(ram, 0o700); err != nil {
		t.Skip("no /dev/shm to write to:", err)
	}
	defer os.Remove(ram)
	if isRAM, _ := inRAM(ram); !isRAM {
		t.Skip("/dev/shm is not in RAM here")
	}
	if isRAM, _ := inRAM(disk); isRAM {
		t.Skip("the test's directory is in RAM here")
	}
	var warned []string
	warn := func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }
	d, err := NewDir([]Place{{disk, "$DISK"}, {ram, "$RAM"}}, warn, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(d.Path()) != ram || warned != nil {
		t.Errorf("made in %s, warned %q", d.Path(), warned)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
	if d, err = NewDir([]Place{{disk, "$DISK"}}, warn, nil); err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "$DISK") {
		t.Errorf("warned %q", warned)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
}

func TestAFullPlaceLeavesNothingHalfWritten(t *testing.T) {
	mount := func(size string) string {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
			t.Skip("cannot mount a tmpfs:", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	small, next := mount("512k"), mount("4m")
	d, err := NewDir([]Place{{small, "$SMALL"}, {next, "$NEXT"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(d.Path()) != next {
		t.Errorf("made in %s although next to nothing is free there", d.Path())
	}
	if err := d.Write(file("OLD", "old")); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("h1dd3n", 1<<20)
	for _, err := range []error{d.Write(file("BIG", big)), d.replace(file("OLD", big)), d.replace(file("BIG", big))} {
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "it is full") || strings.Contains(err.Error(), "h1dd3n") {
			t.Errorf("got %v", err)
		}
	}
	gone(t, d.File("BIG"))
	if entries, err := os.ReadDir(d.Path()); err != nil || len(entries) != 1 || read(t, d.File("OLD")) != "old" {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := NewDir([]Place{{small, "$SMALL"}}, nil, nil); err == nil || !strings.Contains(err.Error(), "bytes are free") {
		t.Errorf("got %v", err)
	}
}
