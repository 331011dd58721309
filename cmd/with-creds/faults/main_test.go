//go:build linux

// Package faults holds the whole binary against a Vault, and a database behind it, that fail in every way: answers that are wrong, late, cut short or
// missing, servers that are stopped, sealed or hang, tokens of every kind, and two hundred runs at once.
//
// What must hold after each: the command was started only if everything was issued; exit 0 only if everything it was given is gone; and what is not
// gone is told in the receipt and ended by the guard.
package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// binary is the product, built once.
var binary string

// TestMain builds the product; called as a worker (see worker_test.go), this binary is the wrapped command instead.
func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) != "" {
		os.Exit(work())
	}
	harness.HearSignals()
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // whatever the number of cores: they wait more than they compute
	os.Exit(withBinary(m.Run))
}

func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "with-creds-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "with-creds")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/with-creds/with-creds/cmd/with-creds").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building with-creds: %v\n%s", err, out)
		return 1
	}
	return run()
}
