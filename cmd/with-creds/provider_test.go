//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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
	if out, kept := checkProvider(t, service, "command:../../examples/command/mint.sh"); !kept {
		t.Errorf("named as in a spec:\n%s", out)
	}
	if out, _ := checkProvider(t, service, "--help"); strings.Contains(out, "--receipt") || !strings.Contains(out, "--leash") {
		t.Errorf("its help has a run's flags, or lacks its own:\n%s", out)
	}
	if out, kept := checkProvider(t, service); kept || !strings.Contains(out, "name one program") {
		t.Errorf("without a program: kept %t:\n%s", kept, out)
	}
}

// TestProviderCheckGivesBackWhatItHoldsWhenASignalEndsIt: what is under way is waited for.
func TestProviderCheckGivesBackWhatItHoldsWhenASignalEndsIt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range []string{"held", "at"} {
				if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			mint := filepath.Join(dir, "mint")
			if err := os.WriteFile(mint, []byte(`#!/bin/sh
id=$(sed 's/.*"id":"\([^"]*\)".*/\1/')
case $1 in
issue) touch "`+dir+`/at/$id"; while ! test -e "`+dir+`/go-$id"; do sleep 0.02; done; touch "`+dir+`/held/$id"; echo "{\"version\":1,\"fields\":{\"a\":\"long enough $$\"}}" ;;
revoke) rm -f "`+dir+`/held/$id"; echo '{"version":1,"proof":"proven"}' ;;
esac
`), 0o700); err != nil {
				t.Fatal(err)
			}
			c := exec.Command(product(t), "provider", "check", "sh "+mint)
			said := &harness.Transcript{}
			c.Stdout, c.Stderr, c.Env = said, said, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			files := func(of string) []os.DirEntry {
				files, _ := os.ReadDir(filepath.Join(dir, of))
				return files
			}
			if !within(time.Minute, func() error {
				if len(files("at")) == 0 {
					return errors.New("not yet")
				}
				return nil
			}) {
				t.Fatalf("it does not issue: %s", said)
			}
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "go-"+files("at")[0].Name()), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			if code := c.ProcessState.ExitCode(); code != failed || len(files("held")) != 0 || !strings.Contains(said.String(), "stopped before all was tried") {
				t.Errorf("exit code %d, %d held:\n%s", code, len(files("held")), said)
			}
		})
	}
}
