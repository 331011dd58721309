package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A place is where a receipt goes. The zero mode is that of no file: what is at path is written to, and not replaced.
type place struct {
	path string      // with its links followed
	mode fs.FileMode // of the file
}

// Probe says why no receipt could be written to path, as far as it can be known without writing one.
func Probe(path string) error {
	at, err := find(path)
	if err == nil && at.mode != 0 {
		var f *os.File
		if f, err = at.beside(); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	return told(path, err)
}

// Write puts the receipt at path. A file takes the place of the one before it, whole or not at all, and with its mode: a reader never sees half of one. What is no
// file, such as a pipe, a terminal or /dev/null, is written to, and so is what this process has open already, such as /dev/stdout.
//
// It is the run's last deed, when its guard is gone; a process killed in the midst of it leaves .with-creds-receipt-… in the same directory.
func (r Receipt) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	text = append(text, '\n')
	at, err := find(path)
	switch {
	case err != nil:
	case at.mode == 0:
		err = at.pour(text)
	default:
		err = at.replace(text)
	}
	return told(path, err)
}

// told is an error as a person is told of it.
func told(path string, err error) error {
	if err != nil {
		return fmt.Errorf("receipt: writing %s: %w", path, err)
	}
	return nil
}

// find follows links, as opening the path would, down to what is there or is to be made. It stops at a name in /proc/PID/fd: that stands for something
// open, which has no name of its own, or must not be replaced under whoever else writes to it.
func find(path string) (place, error) {
	path = filepath.Clean(path)
	// Linux does not follow a link that somebody else has put into a directory such as /tmp (fs.protected_symlinks, proc(5)), and neither is it followed here.
	if _, err := os.Stat(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return place{}, err
	}
	for range 40 { // as many as Linux follows, path_resolution(7)
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return place{}, err
		}
		path = filepath.Join(dir, filepath.Base(path))
		if isDescriptors(dir) {
			return place{path: path}, nil
		}
		link, err := os.Readlink(path)
		if err != nil {
			break // it is none
		}
		if path = link; !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return place{path, 0o644}, nil
	case err != nil:
		return place{}, err
	case info.IsDir():
		return place{}, syscall.EISDIR
	case info.Mode().IsRegular():
		return place{path, info.Mode()}, nil
	}
	return place{path: path}, nil
}

func isDescriptors(dir string) bool {
	return strings.HasPrefix(dir, "/proc/") && filepath.Base(dir) == "fd"
}

// beside makes the file that will take the place.
func (at place) beside() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(at.path), ".with-creds-receipt-*")
}

func (at place) replace(text []byte) error {
	f, err := at.beside()
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(at.mode.Perm())
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), at.path)
	}
	return err
}

// patience is how long the reader of a pipe is waited for: one that never comes must not keep the exit code from whoever waits for that.
const patience = 2 * time.Second

func (at place) pour(text []byte) error {
	f, err := at.open()
	for until := time.Now().Add(patience); errors.Is(err, syscall.ENXIO) && time.Now().Before(until); f, err = at.open() {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	_ = f.SetWriteDeadline(time.Now().Add(patience)) // a file that knows none is no pipe
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (at place) open() (*os.File, error) {
	if filepath.Dir(at.path) == fmt.Sprintf("/proc/%d/fd", os.Getpid()) {
		return duplicate(at.path)
	}
	return os.OpenFile(at.path, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0)
}
