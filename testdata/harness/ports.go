//go:build unix

package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// FreePort returns a TCP port of 127.0.0.1 on which nobody listens, nor on the one after it, which Vault takes too. It is the test's until that ends, also while its
// server is stopped: no system takes ports under 32768 for connections, and no other test takes one whose file is locked.
func FreePort(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("with-creds-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		port := 10000 + 2*rand.N(10000)
		taken, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if syscall.Flock(int(taken.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && unheard(port) && unheard(port+1) {
			t.Cleanup(func() { taken.Close() })
			return port
		}
		taken.Close()
	}
	t.Fatal("no port is free between 10000 and 30000")
	return 0
}

// unheard reports whether nobody listens on a port.
func unheard(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}
