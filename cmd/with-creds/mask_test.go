//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secretFile writes a file that only its owner can read.
func secretFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// masked runs `with-creds mask ARGS…` over a text.
func masked(t *testing.T, text string, env map[string]string, args ...string) outcome {
	t.Helper()
	c := operation(t, t.TempDir(), env, append([]string{"mask"}, args...)...)
	c.Stdin = strings.NewReader(text)
	return c.run(t)
}

func TestMaskTakesEachLineOfAFileForASecretInEveryForm(t *testing.T) {
	first, second := rand.Text(), "p@ss w/ord+"+rand.Text()
	path := secretFile(t, first, "", second)
	for name, text := range map[string]string{
		"first": first, "second": second,
		"base64": base64.StdEncoding.EncodeToString([]byte("user:" + second)),
		"hex":    hex.EncodeToString([]byte(first)), "url": url.QueryEscape(second),
	} {
		o := masked(t, "before "+text+" after\nnext line\n", nil, "--secret-file", path).want(t, 0, "before ", " after\nnext line\n", "***")
		if strings.Contains(o.stdout, text) {
			t.Errorf("%s: %s", name, o.stdout)
		}
		if o.stderr != "" {
			t.Errorf("%s: it says %q", name, o.stderr)
		}
	}
	if o := masked(t, "nothing of note\n", nil, "--secret-file", path).want(t, 0); o.stdout != "nothing of note\n" {
		t.Errorf("%q", o.stdout)
	}
}

func TestMaskTakesAKeyInPEMWholeAndLineByLine(t *testing.T) {
	key := make([]byte, 200)
	_, _ = rand.Read(key) // it never fails
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	lines := strings.Split(strings.TrimSpace(block), "\n")
	token := rand.Text()
	path := secretFile(t, "", strings.TrimSpace(block), token)
	for name, text := range map[string]string{
		"whole": block, "a line": lines[2], "indented": "  " + strings.Join(lines, "\n  "), "in JSON": strings.Join(lines, `\n`), "the line after it": token,
	} {
		o := masked(t, text+"\n", nil, "--secret-file", path).want(t, 0, "***")
		for _, line := range append(lines[1:len(lines)-1], token) {
			if strings.Contains(o.stdout, line) {
				t.Errorf("%s: %q is in\n%s", name, line, o.stdout)
			}
		}
	}
	// The armour tells what stood there.
	masked(t, "expected "+lines[0]+"\n", nil, "--secret-file", path).want(t, 0, "expected "+lines[0])
}

// What reads the file prints the values alone.
func TestMaskTakesTheValuesInADotenvFileAndInJSON(t *testing.T) {
	secret, other := rand.Text(), rand.Text()
	for content, printed := range map[string]string{
		"TOKEN=" + secret: secret,
		"# of the build\n\nexport TOKEN=" + secret + "\r\nA=b": secret,
		"TOKEN='" + secret + " x' # of the build":              secret + " x",
		`TOKEN="` + secret + `\"\$\\` + other + `"`:            secret + `"$\` + other,
		`TOKEN="` + secret + `\n` + other + `"`:                secret + "\n" + other,
		"TOKEN=" + secret + " # of the build":                  secret,
		"[default]\naws_secret_access_key = " + secret:         secret,
		"db.password=" + secret + "==":                         secret + "==",

		`{"a": {"b": ["` + secret + `", 1]}}`:                           secret,
		`{"a":"` + other + `"}` + "\n" + `{"a":"\u0061` + secret + `"}`: "a" + secret,
		`{"db": "lower-case", "token": "x"}`:                            "lower-case",
		`["` + secret + `\n` + other + `"]`:                             secret + "\n" + other,
	} {
		o := masked(t, "it is "+printed+"\n", nil, "--secret-file", secretFile(t, content)).want(t, 0)
		if o.stdout != "it is ***\n" {
			t.Errorf("%q: %q became %q", content, printed, o.stdout)
		}
	}
	if o := masked(t, "TOKEN: "+secret+"\n", nil, "--secret-file", secretFile(t, secret+"==")).want(t, 0); o.stderr != "" {
		t.Errorf("a value in base64: %s", o.stderr)
	}
}

func TestMaskTakesVariablesAndSeveralFiles(t *testing.T) {
	a, b, c := rand.Text(), rand.Text(), rand.Text()
	o := masked(t, a+" "+b+" "+c+"\n", map[string]string{"TOKEN": c}, "--secret-file", secretFile(t, a), "--secret-file", secretFile(t, b), "--mask-env", "TOKEN").want(t, 0)
	if o.stdout != "*** *** ***\n" {
		t.Errorf("%q", o.stdout)
	}
}

// TestMaskPassesNothingOnWithoutItsSecrets: a secret that cannot be read would be printed.
func TestMaskPassesNothingOnWithoutItsSecrets(t *testing.T) {
	good := secretFile(t, rand.Text())
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing named":  {nil, "there is nothing to mask"},
		"no such file":   {[]string{"--secret-file", good, "--secret-file", "nosuch"}, "no such file"},
		"an empty file":  {[]string{"--secret-file", secretFile(t, "", " ")}, "it is empty"},
		"no variable":    {[]string{"--secret-file", good, "--mask-env", "NOSUCH"}, "there is no such variable"},
		"only short":     {[]string{"--secret-file", secretFile(t, "abc")}, "there is nothing to mask"},
		"an argument":    {[]string{"--secret-file", good, "make"}, "mask takes no argument"},
		"a command":      {[]string{"--secret-file", good, "--", "make"}, "mask is a filter"},
		"a wrong flag":   {[]string{"--secret-fil", good}, "there is no flag"},
		"a directory":    {[]string{"--secret-file", t.TempDir()}, "is a directory"},
		"without a file": {[]string{"--secret-file"}, "secret-file"},
	} {
		o := masked(t, "the text\n", nil, c.args...)
		if o.code != 125 || o.stdout != "" || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, o.code, o.stdout, o.stderr)
		}
	}
}

func TestMaskSaysWhatItDoesNotMaskAndWhoCanReadTheFile(t *testing.T) {
	path := secretFile(t, rand.Text(), "abc", "xyz")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	o := masked(t, "abc\n", map[string]string{"PIN": "1234"}, "--secret-file", path, "--mask-env", "PIN").want(t, 0,
		"others can read it (mode 0644): chmod go-r it", "2 values are shorter than 6 bytes and not masked", "--mask-env PIN: its value is shorter")
	if o.stdout != "abc\n" || strings.Contains(o.stderr, "1234") || strings.Contains(o.stderr, "xyz") {
		t.Errorf("stdout %q, stderr %q", o.stdout, o.stderr)
	}
}

func TestMaskReadsSecretsFromAPipe(t *testing.T) {
	secret := rand.Text()
	c := exec.Command("bash", "-c", `echo "a $SECRET b" | with-creds mask --secret-file <(echo "$SECRET")`)
	c.Env = append(os.Environ(), "SECRET="+secret)
	out, err := c.CombinedOutput()
	if err != nil || string(out) != "a *** b\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestMaskHoldsNothingBackThatIsDecided: a prompt without a line end, and what comes before the first byte of a secret.
func TestMaskHoldsNothingBackThatIsDecided(t *testing.T) {
	secret := "S" + rand.Text()
	c := operation(t, t.TempDir(), nil, "mask", "--secret-file", secretFile(t, secret))
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	see := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(in, text); err != nil {
			t.Fatal(err)
		}
	}
	say("Password: ")
	see("Password: ")
	say(secret[:9])
	// Ctrl-C goes to every process of a pipeline. What the command before it still says is masked.
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	say(secret[9:] + " bye")
	see("*** bye")
	say(secret[:9])
	in.Close()
	see(secret[:9]) // it has ended and was none
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestMaskEndsAsCatDoesWhenNobodyReads(t *testing.T) {
	path := secretFile(t, rand.Text())
	out, err := exec.Command("bash", "-c", `yes | with-creds mask --secret-file "$0" | head -n 1; echo "${PIPESTATUS[*]}"`, path).CombinedOutput()
	if err != nil || string(out) != "y\n141 141 0\n" {
		t.Errorf("%q, %v", out, err)
	}
	full := operation(t, t.TempDir(), nil, "mask", "--secret-file", path)
	sink, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	var stderr bytes.Buffer
	full.Stdin, full.Stdout, full.Stderr = strings.NewReader("text\n"), sink, &stderr
	if _ = full.Run(); full.ProcessState.ExitCode() != 125 || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("exit code %d, stderr %q", full.ProcessState.ExitCode(), stderr.String())
	}
}
