//go:build !windows

package harness

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A postgresCluster is the data directory that initdb made: unpacking it takes a sixth of the time.
type postgresCluster struct {
	archive
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
	c.archive, err = pack(data, postgresRoot())
	return c, err
}

// unpack makes the server's data directory.
func (s *PostgresServer) unpack(c postgresCluster) error {
	s.Password = c.password
	return c.archive.unpack(s.Data, s.own)
}
