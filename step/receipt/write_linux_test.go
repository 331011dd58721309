package receipt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/with-creds/with-creds/step/receipt"
)

// TestWhatIsNoFileIsWrittenToAndStays has pipes, a device and descriptors where the receipt is to be: by name, and by way of a link.
func TestWhatIsNoFileIsWrittenToAndStays(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	toFifo := filepath.Join(dir, "to-fifo")
	if err := os.Symlink("fifo", toFifo); err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	toDescriptor := filepath.Join(dir, "to-descriptor")
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", in.Fd()), toDescriptor); err != nil {
		t.Fatal(err)
	}
	for path, from := range map[string]*os.File{
		fifo: nil, toFifo: nil, // each opened anew
		fmt.Sprintf("/dev/fd/%d", in.Fd()): out, toDescriptor: out,
	} {
		got := make(chan string, 1)
		go func() { got <- readOne(from, fifo) }()
		if err := (receipt.Receipt{Run: "abc"}).Write(path); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if run := <-got; run != "abc" {
			t.Errorf("%s: its reader got the receipt of run %q", path, run)
		}
	}
	for path, want := range map[string]fs.FileMode{fifo: fs.ModeNamedPipe, toFifo: fs.ModeSymlink, toDescriptor: fs.ModeSymlink} {
		if mode := modeOf(t, path); mode.Type() != want {
			t.Errorf("%s has become %v", path, mode)
		}
	}
}

// readOne reads a receipt, from a pipe that is open or from one of a name.
func readOne(from *os.File, name string) string {
	if from == nil {
		var err error
		if from, err = os.Open(name); err != nil {
			return err.Error()
		}
		defer from.Close()
	}
	var r receipt.Receipt
	if err := json.NewDecoder(from).Decode(&r); err != nil && err != io.EOF {
		return err.Error()
	}
	return r.Run
}

func TestADeviceStaysADevice(t *testing.T) {
	device := filepath.Join(t.TempDir(), "null")
	if err := unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Skipf("making a device of one's own needs root: %v", err)
	}
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("devices cannot be used in %s: %v", filepath.Dir(device), err)
	}
	f.Close()
	if err := receipt.Probe(device); err != nil {
		t.Error(err)
	}
	if err := (receipt.Receipt{}).Write(device); err != nil {
		t.Error(err)
	}
	if mode := modeOf(t, device); mode&fs.ModeCharDevice == 0 {
		t.Errorf("the device has become %v", mode)
	}
}

// TestAFileThatIsOpenAlreadyIsAddedTo has the receipt go to what the command's output goes to as well.
func TestAFileThatIsOpenAlreadyIsAddedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintln(log, "before")
	if err := (receipt.Receipt{Run: "abc"}).Write(fmt.Sprintf("/dev/fd/%d", log.Fd())); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(log, "after")
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "before\n{") || !strings.HasSuffix(string(text), "}\nafter\n") {
		t.Errorf("%v: %s", err, text)
	}
}

// TestAPipeThatNobodyReadsHoldsNobodyUp waits for the time that a reader is given.
func TestAPipeThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (receipt.Receipt{}).Write(fifo); err == nil {
		t.Error("it says that it was written")
	}
}

func TestALinkThatSomebodyElseHasPlantedIsNotFollowed(t *testing.T) {
	if on, err := os.ReadFile("/proc/sys/fs/protected_symlinks"); err != nil || strings.TrimSpace(string(on)) != "1" || os.Geteuid() != 0 {
		t.Skip("it takes root, and a system that protects links")
	}
	dir := t.TempDir()
	target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(dir, "receipt.json")
	if err := errors.Join(os.Chmod(dir, 0o777|os.ModeSticky), os.Symlink(target, link), os.Lchown(link, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if err := (receipt.Receipt{}).Write(link); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("it says: %v", err)
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("it was followed")
	}
}
