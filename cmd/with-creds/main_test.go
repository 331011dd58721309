//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestMain makes this test binary the product as well: called with-creds, it is the whole of it. That holds, too, for the processes which
// the product starts from /proc/self/exe: the guard, and a terminal's monitor.
func TestMain(m *testing.M) {
	if called := filepath.Base(os.Args[0]); strings.HasPrefix(called, "with-creds") && !strings.HasSuffix(called, ".test") {
		os.Exit(realMain())
	}
	harness.HearSignals()
	waitTogether()
	os.Exit(withProductOnPath(m.Run))
}

// waitTogether lets more tests run at once than there are processors, unless -parallel says how many: what they do is wait.
func waitTogether() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", "8") // there is such a flag
	}
}

// withProductOnPath lets scripts and tests find with-creds as a user's shell does.
func withProductOnPath(run func() int) int {
	dir, err := os.MkdirTemp("", "with-creds-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		var self string
		if self, err = os.Executable(); err == nil {
			err = linkOrCopy(self, filepath.Join(dir, "with-creds"))
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "making the binary under test: %v\n", err)
		return 1
	}
	os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return run()
}

// linkOrCopy makes a second name of the file, or a second file where the two places are on different file systems.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

// product is the path of the binary under test.
func product(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("with-creds")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// journals lists the journals of runs whose home this is.
func journals(home string) []string {
	left, _ := filepath.Glob(filepath.Join(home, ".local/state/with-creds/journal/*"))
	return left
}

// adminEnv is the administrator's login as PG* variables.
func adminEnv(pg *harness.PostgresServer) map[string]string {
	return map[string]string{
		"PGHOST": pg.Host, "PGPORT": strconv.Itoa(pg.Port), "PGUSER": pg.User, "PGPASSWORD": pg.Password,
		"PGDATABASE": "postgres", "PGSSLMODE": "disable",
	}
}
