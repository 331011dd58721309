//go:build !windows

package harness

import (
	"archive/tar"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A postgresCluster is the data directory that initdb made, as a tar archive in a file without a name, which the system takes away with
// the process. Unpacking it takes a sixth of the time that initdb does, and tests start servers by the dozen.
type postgresCluster struct {
	file     *os.File
	size     int64
	password string
}

var firstCluster struct {
	once sync.Once
	postgresCluster
	err error
}

// postgresTemplate runs initdb once per test binary.
func postgresTemplate(t testing.TB, s *PostgresServer) postgresCluster {
	t.Helper()
	firstCluster.once.Do(func() { firstCluster.postgresCluster, firstCluster.err = s.initdb() })
	if firstCluster.err != nil {
		t.Fatal(firstCluster.err)
	}
	return firstCluster.postgresCluster
}

// initdb makes a cluster beside the server's own directories and packs it.
func (s *PostgresServer) initdb() (c postgresCluster, err error) {
	c.password = rand.Text()
	pwfile, data := filepath.Join(s.Socket, "pw"), filepath.Join(s.Socket, "template")
	if err := os.WriteFile(pwfile, []byte(c.password), 0o600); err != nil {
		return c, err
	}
	s.own(pwfile)
	defer os.Remove(pwfile)
	defer os.RemoveAll(data)
	out, err := s.command("initdb", "-D", data, "-U", s.User, "--pwfile="+pwfile, "--auth=scram-sha-256", "--encoding=UTF8",
		"--locale=C", "--wal-segsize=1", "--no-sync", "--no-instructions").CombinedOutput()
	if err != nil {
		return c, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if c.file, err = os.CreateTemp(postgresRoot(), "wc-pg-template-"); err != nil {
		return c, err
	}
	if err := os.Remove(c.file.Name()); err != nil {
		return c, err
	}
	archive := tar.NewWriter(c.file)
	if err := archive.AddFS(os.DirFS(data)); err != nil {
		return c, fmt.Errorf("packing the cluster: %w", err)
	}
	if err := archive.Close(); err != nil {
		return c, err
	}
	c.size, err = c.file.Seek(0, io.SeekEnd)
	return c, err
}

// unpack makes the server's data directory.
func (s *PostgresServer) unpack(c postgresCluster) error {
	s.Password = c.password
	if err := os.Mkdir(s.Data, 0o700); err != nil {
		return err
	}
	s.own(s.Data)
	archive := tar.NewReader(io.NewSectionReader(c.file, 0, c.size))
	for {
		entry, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpacking the cluster: %w", err)
		}
		path := filepath.Join(s.Data, filepath.FromSlash(entry.Name))
		if entry.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = writeFrom(archive, path)
		}
		if err != nil {
			return fmt.Errorf("unpacking the cluster: %w", err)
		}
		s.own(path)
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
