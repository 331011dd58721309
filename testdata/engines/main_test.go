//go:build linux

package engines

import (
	"os"
	"testing"

	"github.com/with-creds/with-creds/testdata/engines/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Main(m)) }
