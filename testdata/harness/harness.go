// Package harness starts the real servers that tests run against: on loopback, on free ports, in temporary directories,
// stopped by the test that started them.
//
// The servers themselves come from Debian's packages or are built once into Cache; testdata/servers/install does both.
package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// Full is the environment variable that `make test` sets to 1: a missing server is then a failure. Without it (a plain
// `go test ./...`) the test is skipped.
const Full = "WITH_CREDS_TEST_FULL"

// Missing ends the test because something it needs is not installed: a failure in a full run, a skip otherwise.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(Full) == "1" {
		t.Fatalf("missing in a full test run (testdata/servers/install installs it): "+format, args...)
	}
	t.Skipf("not a full test run (make test), and missing: "+format, args...)
}

// Cache is the directory of servers built once: $XDG_CACHE_HOME/with-creds/servers, else ~/.cache/with-creds/servers.
func Cache(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "with-creds", "servers")
}
