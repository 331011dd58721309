package bind

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/with-creds/with-creds/step/spec"
)

// A Dir is the private directory of one run. Its path, and so that of every file in it, is known before anything secret
// is written, so that the guard can be told first.
//
// What it defends against: other users (modes and owner, whatever the umask), what they planted beforehand (an
// unguessable name, O_EXCL, no link followed: os.Root opens relative to the directory's descriptor and refuses to leave
// it) and a disk (RAM is preferred, see NewDir; note that tmpfs can be swapped out where swap is on). Another process of
// the same user can read the files, as it can read the command's environment.
//
// Its methods are not safe for concurrent use on the same name.
type Dir struct {
	path string
	base *os.Root // the directory it is in
	root *os.Root // itself
}

// A Place is a directory that may hold a run's private directory.
type Place struct {
	Path string
	Name string // how a message names it: "$XDG_RUNTIME_DIR"
}

// Places are where private files may go, in order of preference: $XDG_RUNTIME_DIR, /dev/shm, then the disk's
// the directory in the variable temp (which a CI empties after the job; empty: there is none), $TMPDIR and the system's temporary directory.
func Places(lookup func(name string) (string, bool), temp string) []Place {
	var all []Place
	env := func(name string) {
		if path, _ := lookup(name); filepath.IsAbs(path) {
			all = append(all, Place{path, "$" + name})
		}
	}
	env("XDG_RUNTIME_DIR")
	if sharedMemory != "" {
		all = append(all, Place{sharedMemory, sharedMemory})
	}
	if temp != "" {
		env(temp)
	}
	env("TMPDIR")
	return append(all, Place{systemTemp, systemTemp})
}

// leastFree is the room, in bytes, that a place in RAM must have: a container's /dev/shm can be as good as full.
const leastFree = 1 << 20

// NewDir makes a private directory in the first place that is in RAM and fit for it, or else in the first that is fit,
// and says so through warn. A place is fit when nobody else can rename or replace what is made in it. The error lists
// what is wrong with each place. before is told a directory's path before there is one, so that whoever is to remove it in the place of a process that is
// killed knows of it in time. Either function may be nil.
func NewDir(places []Place, warn func(format string, args ...any), before func(path string)) (*Dir, error) {
	var faults []string
	var disks []Place
	for _, p := range places {
		ram, free := inRAM(p.Path)
		switch {
		case !ram:
			disks = append(disks, p)
			continue
		case free < leastFree:
			faults = append(faults, fmt.Sprintf("%s: only %d bytes are free", p.Name, free))
			continue
		}
		d, err := newDirIn(p.Path, before)
		if err == nil {
			return d, nil
		}
		faults = append(faults, fmt.Sprintf("%s: %v", p.Name, err))
	}
	for _, p := range disks {
		d, err := newDirIn(p.Path, before)
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", p.Name, err))
			continue
		}
		if warn != nil {
			warn("private files go to %s (%s), which is not known to be in RAM: what was on a disk may be recovered from it; mount a tmpfs and name it in XDG_RUNTIME_DIR", p.Name, p.Path)
		}
		return d, nil
	}
	return nil, fmt.Errorf("there is no place for private files: %s", strings.Join(faults, "; "))
}

// namePrefix begins the name of every private directory, so that sweep and RemoveDir know one.
const namePrefix = "with-creds-"

// newDirIn makes a private directory in an existing one.
func newDirIn(place string, before func(path string)) (_ *Dir, err error) {
	place, err = filepath.EvalSymlinks(place)
	if err != nil {
		return nil, err
	}
	if err := trusted(place); err != nil {
		return nil, err
	}
	base, err := os.OpenRoot(place)
	if err != nil {
		return nil, err
	}
	name := namePrefix + strings.ToLower(rand.Text())
	if before != nil {
		before(filepath.Join(place, name))
	}
	if err := base.Mkdir(name, 0o700); err != nil {
		return nil, errors.Join(err, base.Close())
	}
	d := &Dir{path: filepath.Join(place, name), base: base}
	// The umask may have taken rights away that are needed, never given any.
	if err = base.Chmod(name, 0o700); err == nil {
		if d.root, err = base.OpenRoot(name); err == nil {
			var info fs.FileInfo
			if info, err = d.root.Stat("."); err == nil {
				err = private(info)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a private directory: %w", err), d.Remove())
	}
	return d, nil
}

// IsPrivate reports why a path is not a private directory of this user's: where everybody may make directories, somebody else can make one
// in the place of one that has been removed.
func IsPrivate(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return private(info)
}

// private verifies that a directory is ours alone.
func private(info fs.FileInfo) error {
	switch {
	case !info.IsDir():
		return errors.New("it is no directory")
	case !ownedByUs(info):
		return errors.New("it belongs to another user")
	case hasModes && info.Mode().Perm() != 0o700:
		return fmt.Errorf("its mode is %#o, not 0700", info.Mode().Perm())
	}
	return nil
}

// Path is the directory's. No link is in it.
func (d *Dir) Path() string { return d.path }

// File is the path of the file of that name, whether it exists or not.
func (d *Dir) File(name string) string { return filepath.Join(d.path, name) }

// Place returns the values with the Path of each file set, and writes nothing.
func (d *Dir) Place(values []Value) []Value {
	placed := make([]Value, len(values))
	for i, v := range values {
		if v.File {
			v.Path = d.File(v.Name)
			if !v.inDirectory() {
				v.Path += v.Ending
			}
		}
		placed[i] = v
	}
	return placed
}

// inDirectory reports whether the file is in a directory of its own.
func (v Value) inDirectory() bool { return strings.HasPrefix(v.Ending, "/") }

// Write makes the file of a variable, or nothing: an existing one is refused, and what could not be written whole is
// removed.
func (d *Dir) Write(v Value) error {
	if !spec.IsName(v.Name) {
		return fmt.Errorf("writing a private file: %s names no variable", plain(v.Name))
	}
	if v.inDirectory() {
		if err := d.root.Mkdir(v.Name, 0o700); err != nil {
			return writeError(d.path, v.Name, err)
		}
		if err := d.root.Chmod(v.Name, 0o700); err != nil { // as in newDirIn
			return writeError(d.path, v.Name, err)
		}
	}
	return writeNew(d.root, d.path, v.Name+v.Ending, v.Value)
}

// Remove removes the directory and everything in it, whatever the command put there, without following a link. It may be
// called again.
func (d *Dir) Remove() error {
	var errs []error
	if d.root != nil {
		// By its descriptor first: the command may have moved the directory elsewhere.
		errs = append(errs, empty(d.root, nil))
	}
	if err := d.base.RemoveAll(filepath.Base(d.path)); !errors.Is(err, fs.ErrClosed) {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the private files in %s: %w", d.path, err)
	}
	if d.root != nil {
		d.root.Close()
	}
	d.base.Close()
	return nil
}

// Empty removes everything in the directory but what is named, as Remove does, and leaves the directory itself.
func (d *Dir) Empty(but ...string) error {
	if err := empty(d.root, but); err != nil {
		return fmt.Errorf("removing the private files in %s: %w", d.path, err)
	}
	return nil
}

// empty removes what is in a directory, but what is named.
func empty(root *os.Root, but []string) error {
	dir, err := root.Open(".")
	if errors.Is(err, fs.ErrClosed) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	_ = root.Chmod(".", 0o700) // the command may have taken the right to remove; if this fails, so does what follows
	names, err := dir.Readdirnames(-1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process has removed it meanwhile
	}
	errs := []error{err}
	for _, name := range names {
		if !slices.Contains(but, name) {
			errs = append(errs, root.RemoveAll(name))
		}
	}
	return errors.Join(errs...)
}

// RemoveDir is Remove for another process, which knows the path alone: the guard, or sweep. It removes only what NewDir
// can have made: a directory of that name and of this user, not a link. One that is gone is no error.
func RemoveDir(path string) error {
	if err := Removable(path); err != nil {
		return err
	}
	name := filepath.Base(path)
	base, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing private files: %w", err)
	}
	defer base.Close()
	info, err := base.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
	case !info.IsDir() || !ownedByUs(info):
		err = errors.New("it is no directory of this user's")
	default:
		_ = base.Chmod(name, 0o700) // as in empty
		err = base.RemoveAll(name)
	}
	if err != nil {
		return fmt.Errorf("removing the private files in %s: %w", path, err)
	}
	return nil
}

// Removable judges by the path alone whether RemoveDir would refuse it.
func Removable(path string) error {
	if !filepath.IsAbs(path) || !strings.HasPrefix(filepath.Base(path), namePrefix) {
		return fmt.Errorf("removing private files: %q is no private directory of with-creds", path)
	}
	return nil
}

// WritePrivate makes a file of mode 0600 at a path that a person chose (--env-file, --receipt), as Dir.Write does: never
// into a file that is there, never through a link.
func WritePrivate(path, content string) error {
	root, dir, name, err := openParent(path)
	if err != nil {
		return err
	}
	defer root.Close()
	return writeNew(root, dir, name, content)
}

// openParent opens the directory that a path is in.
func openParent(path string) (root *os.Root, dir, name string, err error) {
	dir, name = filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, "", "", fmt.Errorf("writing %s: %w", path, err)
	}
	return root, dir, name, nil
}

// writeNew makes a file that was not there. dir is for messages.
func writeNew(root *os.Root, dir, name, content string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return writeError(dir, name, err)
	}
	// Under a umask like 0777 the file has no mode at all yet; the descriptor writes all the same.
	err = f.Chmod(0o600)
	if err == nil {
		_, err = f.WriteString(content)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return writeError(dir, name, errors.Join(err, root.Remove(name)))
	}
	return nil
}

// writeError says what to do. The content of the file is no part of any error here.
func writeError(dir, name string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = " (it is full; make room there, or name another place in XDG_RUNTIME_DIR)"
	case errors.Is(err, fs.ErrExist):
		hint = " (something is there already, and it is neither overwritten nor followed)"
	}
	return fmt.Errorf("writing %s: %w%s", filepath.Join(dir, name), err, hint)
}
