//go:build !windows

package harness

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An archive is a data directory that a server's own tool made, as a tar in a file without a name, which the system takes away with the
// process. Unpacking it takes a fraction of the time that making it does, and tests start servers by the dozen.
type archive struct {
	file *os.File
	size int64
}

// pack archives a directory into a nameless file below root ("": the system's temporary directory).
func pack(dir, root string) (a archive, err error) {
	if a.file, err = os.CreateTemp(root, "wc-template-"); err != nil {
		return a, err
	}
	if err := os.Remove(a.file.Name()); err != nil {
		return a, err
	}
	to := tar.NewWriter(a.file)
	if err := to.AddFS(os.DirFS(dir)); err != nil {
		return a, fmt.Errorf("packing %s: %w", dir, err)
	}
	if err := to.Close(); err != nil {
		return a, err
	}
	a.size, err = a.file.Seek(0, io.SeekEnd)
	return a, err
}

// unpack makes the directory; own is called with each path made.
func (a archive) unpack(dir string, own func(path string)) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	own(dir)
	from := tar.NewReader(io.NewSectionReader(a.file, 0, a.size))
	for {
		entry, err := from.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpacking into %s: %w", dir, err)
		}
		path := filepath.Join(dir, filepath.FromSlash(entry.Name))
		if entry.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = writeFrom(from, path)
		}
		if err != nil {
			return fmt.Errorf("unpacking into %s: %w", dir, err)
		}
		own(path)
	}
}

func writeFrom(r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
