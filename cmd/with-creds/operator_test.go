//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// An outcome is what a command of an operator's said and how it ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// operate runs `with-creds ARGS…` with that home and the settings of a login, and nothing else in its environment.
func operate(t testing.TB, home string, env map[string]string, args ...string) outcome {
	t.Helper()
	return operation(t, home, env, args...).run(t)
}

// An invocation is one that is not started yet.
type invocation struct{ *exec.Cmd }

func operation(t testing.TB, home string, env map[string]string, args ...string) invocation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, product(t), args...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "VAULT_MAX_RETRIES=0"}
	for name, value := range env {
		c.Env = append(c.Env, name+"="+value)
	}
	c.Dir = home
	return invocation{c}
}

func (c invocation) run(t testing.TB) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want fails the test unless it ended with the code and said each of the texts, on either stream.
func (o outcome) want(t testing.TB, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d", o.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(o.stdout+o.stderr, text) {
			t.Errorf("it does not say %q", text)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", o.stdout, o.stderr)
	}
	return o
}

// read takes stdout for JSON.
func read[T any](t testing.TB, o outcome) T {
	t.Helper()
	var v T
	in := json.NewDecoder(strings.NewReader(o.stdout))
	in.DisallowUnknownFields()
	if err := in.Decode(&v); err != nil {
		t.Fatalf("%v in\n%s\nstderr:\n%s", err, o.stdout, o.stderr)
	}
	return v
}

// eventuallyEmpty waits for a list to be empty.
func eventuallyEmpty(t testing.TB, what string, list func() []string) {
	t.Helper()
	var left []string
	if !within(time.Minute, func() error {
		if left = list(); len(left) > 0 {
			return fmt.Errorf("left")
		}
		return nil
	}) {
		t.Errorf("%s: %q", what, left)
	}
}

func TestFlagsMayFollowArguments(t *testing.T) {
	w := world{}
	for line, want := range map[string]string{
		"with-creds lease revoke ID --sync":                   "with-creds lease revoke --sync ID",
		"with-creds lease renew ID --increment 10m ID2":       "with-creds lease renew --increment 10m ID ID2",
		"with-creds lease renew ID --increment=10m --json":    "with-creds lease renew --increment=10m --json ID",
		"with-creds --config f lease list -json a --config g": "with-creds lease list --config f -json --config g a",
		"with-creds lease": "with-creds lease",
		"with-creds --leash 5m run --leash 6m pg_dump -h db":   "with-creds run --leash 5m --leash 6m pg_dump -h db",
		"with-creds --quiet lease lst":                         "with-creds --quiet lease lst",
		"with-creds -c vault:x true --leash 5m":                "with-creds -c vault:x true --leash 5m",
		"with-creds sweep postgres --past 1h --dry-run vault":  "with-creds sweep --past 1h --dry-run postgres vault",
		"with-creds lease revoke a --prefix b --nosuch --sync": "with-creds lease revoke --prefix --nosuch --sync a b",
		"with-creds --nosuch":                                  "with-creds --nosuch",
		"with-creds lease renew --increment":                   "with-creds lease renew --increment",
	} {
		got := flagsFirst(w.app(), strings.Fields(line))
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s\n became %s\n wanted %s", line, strings.Join(got, " "), want)
		}
	}
}
