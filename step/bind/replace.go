package bind

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/with-creds/with-creds/step/spec"
)

// A Replacement is new content for several files. All of it is written beside the old before any takes the old's place, so that what cannot be written, as on a full disk, leaves
// every file as it was: a certificate is never left beside another's key. Each file is replaced in one step, rename(2): a reader sees the old or the new, whole. Between the first
// file and the last there is an instant, of one system call for each, in which a reader finds some of them new; one who finds a pair that does not
// match reads it again. Its zero value is empty. It is used once, and dropped in the end.
type Replacement struct{ parts []replaced }

// A replaced file is one whose new content is written.
type replaced struct {
	root         *os.Root
	dir          string // for messages
	name, beside string
	opened       bool // root is to be closed
	done         bool
}

// File writes what is to take the place of a file of a private directory.
func (n *Replacement) File(d *Dir, v Value) error {
	if !spec.IsName(v.Name) {
		return fmt.Errorf("replacing a private file: %s names no variable", plain(v.Name))
	}
	name := v.Name + v.Ending
	return n.write(replaced{root: d.root, dir: d.path, name: name, beside: Beside(name)}, v.Value)
}

// Private is File for a path that a person chose, such as WritePrivate makes. What was there before, a link too, is replaced and not written to. The new content is
// written to beside, a path that Beside made: whoever is to remove the file must know of that one too.
func (n *Replacement) Private(path, beside, content string) error {
	root, dir, name, err := openParent(path)
	if err != nil {
		return err
	}
	return n.write(replaced{root: root, dir: dir, name: name, beside: filepath.Base(beside), opened: true}, content)
}

func (n *Replacement) write(part replaced, content string) error {
	var err error
	if info, there := part.root.Lstat(part.name); there == nil && info.IsDir() { // which no file can take the place of
		err = writeError(part.dir, part.name, syscall.EISDIR)
	} else {
		err = writeNew(part.root, part.dir, part.beside, content)
	}
	if err != nil {
		part.close()
		return err
	}
	n.parts = append(n.parts, part)
	return nil
}

// Do puts all of it in its place.
func (n *Replacement) Do() error {
	for i := range n.parts {
		part := &n.parts[i]
		if err := part.root.Rename(part.beside, part.name); err != nil {
			return writeError(part.dir, part.name, err)
		}
		part.done = true
	}
	return nil
}

// Drop removes what has not been put in its place.
func (n *Replacement) Drop() error {
	var errs []error
	for _, part := range n.parts {
		if !part.done {
			errs = append(errs, part.root.Remove(part.beside))
		}
		part.close()
	}
	n.parts = nil
	return errors.Join(errs...)
}

func (p replaced) close() {
	if p.opened {
		p.root.Close()
	}
}

// Beside is a path in the same directory that nobody can have guessed and used.
func Beside(path string) string {
	dir, name := filepath.Split(path)
	return dir + "." + name + "." + strings.ToLower(rand.Text())
}
