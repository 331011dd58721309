//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// checkProvider runs `with-creds provider check` and returns what it printed, and whether it was content.
func checkProvider(t *testing.T, service *harness.TokenService, args ...string) (out string, kept bool) {
	t.Helper()
	c := exec.Command(product(t), append([]string{"provider", "check"}, args...)...)
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"WITH_CREDS_COMMAND_ENV=TOKENS_URL,TOKENS_KEY", "TOKENS_URL=" + service.URL, "WITH_CREDS_COMMAND_ENV_TOKENS_KEY=" + service.APIKey,
	}
	text, err := c.CombinedOutput()
	return string(text), err == nil
}

func TestProviderCheckTellsOfEachRule(t *testing.T) {
	service := harness.Tokens(t)
	out, kept := checkProvider(t, service, "../../examples/command/mint.sh?max_ttl=600")
	if !kept || strings.Count(out, "\n  ok    ")+1 < 10 || strings.Contains(out, "FAIL") || len(service.Live()) != 0 {
		t.Errorf("kept %t, left %q:\n%s", kept, service.Live(), out)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, kept = checkProvider(t, service, bad)
	if kept || !strings.Contains(out, "FAIL  issue answers with a credential") || !strings.Contains(out, "does not conform") {
		t.Errorf("a program that fails: kept %t:\n%s", kept, out)
	}
	if out, kept := checkProvider(t, service); kept || !strings.Contains(out, "name one program") {
		t.Errorf("without a program: kept %t:\n%s", kept, out)
	}
}
