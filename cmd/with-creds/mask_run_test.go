//go:build linux

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// minted is a run in a directory of its own with a source that issues that token as TOKEN.
func minted(t *testing.T, token string, env map[string]string, args ...string) invocation {
	t.Helper()
	home := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in\nissue) echo '{\"version\": 1, \"fields\": {\"token\": \"%s\"}}' ;;\n*) echo '{\"version\": 1, \"proof\": \"proven\"}' ;;\nesac\n", token)
	if err := os.WriteFile(filepath.Join(home, "mint"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return operation(t, home, env, append([]string{"-c", "command:./mint TOKEN=token"}, args...)...)
}

func TestMaskEnvMasksAVariableTheCommandHasAnyway(t *testing.T) {
	token, key := rand.Text(), rand.Text()
	env := map[string]string{"DEPLOY_KEY": key, "PIN": "1234"}
	o := minted(t, token, env, "--mask-env", "DEPLOY_KEY", "--mask-env", "PIN", "--", "sh", "-c", `echo "$TOKEN, $DEPLOY_KEY, $PIN"; echo "$DEPLOY_KEY" | od -An -tx1 | tr -d ' \n' >&2`).run(t)
	o.want(t, 0, "--mask-env PIN: its value is shorter than 6 bytes and is not masked")
	if o.stdout != "***, ***, 1234\n" || !strings.Contains(o.stderr, "***0a") {
		t.Errorf("stdout %q, stderr %q", o.stdout, o.stderr)
	}
}

func TestWithMaskOffTheStreamsAreTheFilesThemselves(t *testing.T) {
	token := rand.Text()
	for mask, is := range map[string]func(name string) bool{
		"off": func(name string) bool { return strings.HasSuffix(name, "/log") },
		"on":  func(name string) bool { return strings.HasPrefix(name, "pipe:") },
	} {
		c := minted(t, token, nil, "--mask", mask, "--", "sh", "-c", `readlink /proc/$$/fd/1; echo "$TOKEN"`)
		log, err := os.Create(filepath.Join(c.Dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		c.Stdout = log
		err = c.Run()
		log.Close()
		content, _ := os.ReadFile(log.Name())
		name, printed, _ := strings.Cut(strings.TrimSpace(string(content)), "\n")
		if err != nil || !is(name) || (printed == token) != (mask == "off") {
			t.Errorf("--mask %s: %v; its stdout is %q; the token came out as it is: %v", mask, err, name, printed == token)
		}
	}
}

// TestAReplacementIsMaskedAsSoonAsTheCommandCanSeeIt: the command prints the old and the new one when its file changes.
func TestAReplacementIsMaskedAsSoonAsTheCommandCanSeeIt(t *testing.T) {
	c := minted(t, rand.Text(), nil)
	tokens := []string{rand.Text(), rand.Text()}
	script := "#!/bin/sh\ncase $1 in\nissue) t=" + tokens[0] + "; [ ! -e issued ] || t=" + tokens[1] + "\n\t: > issued\n" +
		"\techo '{\"version\": 1, \"ttl\": 6, \"max_ttl\": 6, \"fields\": {\"token\": \"'$t'\"}}' ;;\n*) echo '{\"version\": 1, \"proof\": \"proven\"}' ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(c.Dir, "mint"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Args = append(c.Args[:1], "-c", "command:./mint TOKEN=@token", "--", "sh", "-c",
		`first=$(cat "$TOKEN"); until grep -q `+tokens[1]+` "$TOKEN"; do sleep 0.1; done; echo "$first, $(cat "$TOKEN")"`)
	if o := c.run(t); o.code != 0 || o.stdout != "***, ***\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
	}
}

// TestAFullDiskFailsARun: what the command wrote fitted into the pipe, so it could not notice itself.
func TestAFullDiskFailsARun(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	c := minted(t, rand.Text(), nil, "--", "echo", "hello")
	var said strings.Builder
	c.Stdout, c.Stderr = full, &said
	_ = c.Run()
	if code := c.ProcessState.ExitCode(); code != 125 || !strings.Contains(said.String(), "no space left on device") {
		t.Errorf("exit code %d, it says %q", code, said.String())
	}
}
