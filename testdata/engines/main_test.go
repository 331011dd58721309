//go:build linux

package engines

import (
	"fmt"
	"os"
	"testing"

	"github.com/with-creds/with-creds/testdata/engines/trial"
)

func TestMain(m *testing.M) {
	if plan := os.Getenv(workVariable); plan != "" {
		if err := work(plan); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Main(m))
}
