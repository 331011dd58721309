//go:build linux

// Package demo_test holds the demo to what it shows.
package demo_test

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

var update = flag.Bool("update", false, "write the demo's output into README.md")

// start runs the demo in an environment that is not this test's, so that neither CI nor a person's settings change what it shows.
func start(t *testing.T) (demo *exec.Cmd, output io.Reader, dir string) {
	t.Helper()
	if _, err := exec.LookPath("psql"); err != nil {
		harness.Missing(t, "psql (Debian: apt-get install postgresql)")
	}
	// Not t.TempDir(): the server may run as another account, and its socket's path is bounded.
	dir, err := os.MkdirTemp("", "wc-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	demo = exec.Command("./run")
	demo.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + dir, "LC_ALL=C"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN"} {
		if v := os.Getenv(name); v != "" {
			demo.Env = append(demo.Env, name+"="+v)
		}
	}
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	demo.Stdout, demo.Stderr = write, write
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() {
		_ = syscall.Kill(-demo.Process.Pid, syscall.SIGKILL)
		read.Close()
	})
	return demo, read, dir
}

func TestDemoShowsWhatItClaims(t *testing.T) {
	demo, out, dir := start(t)
	began := time.Now()
	read, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(read)
	if err := demo.Wait(); err != nil {
		t.Fatalf("the demo: %v\n%s", err, text)
	}
	t.Logf("the demo took %s", time.Since(began).Round(time.Millisecond))
	for claim, pattern := range map[string]string{
		"a login is issued and proven to be revoked": `(?m)^with-creds: revoked 1 credential: 1 proven`,
		"the dump holds the shop":                    `(?m)^\$ grep .*\n4$`,
		"a write is refused, and its code kept":      `permission denied for table orders\n(.*\n)?# exit code 1\n`,
		"a traced password is masked":                `(?m)^\+ psql \*\*\* -XAtc`,
		"a printed password is masked":               `(?m)^the password is \*\*\*, in base64 \*\*\*$`,
		"the careless script did work":               `(?m)^240$`,
		"a login is there before the kill":           `(?m)^wc_readonly_\w+\n\$ kill -9 \d+$`,
		"and gone after it":                          `(?m)^# its guard has revoked the login \d+ ms later\n\$ psql.*\nci_admin\npostgres\n$`,
		"the receipt says how it is known":           `"proof": "proven"`,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("not shown: %s (%s)", claim, pattern)
		}
	}
	if strings.Contains(text, "postgres://ci_admin") {
		t.Error("the administrator's password is in the output")
	}
	if t.Failed() {
		t.Logf("the output:\n%s", text)
	}
	nothingLeft(t, dir)
	if _, story, ok := strings.Cut(text, "\n\n"); ok {
		compareWithReadme(t, story)
	} else {
		t.Errorf("no story in %q", text)
	}
}

func TestDemoEndsCleanOnCtrlC(t *testing.T) {
	for name, at := range map[string]string{
		"while the server starts":         "demo: starting",
		"in the middle of a run":          "# A dump",
		"with a command left to run":      "sleep 300 &",
		"near the end of the story":       "# And if",
		"while a careless script is read": "$ cat careless",
	} {
		t.Run(name, func(t *testing.T) {
			code, seen := 0, ""
			for range 5 { // a test that stands still for a moment sends its signal when the story is over
				if code, seen = interrupted(t, at); code != 0 {
					break
				}
			}
			if code != 130 {
				t.Errorf("exit code %d, want 130\n%s", code, seen)
			}
		})
	}
}

// interrupted runs the demo, presses Ctrl-C when it has printed that, and looks for what is left; it returns the exit code and the whole output.
func interrupted(t *testing.T, at string) (code int, seen string) {
	t.Helper()
	demo, out, dir := start(t)
	var all bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(out, &all))
	for lines.Scan() && !strings.Contains(lines.Text(), at) {
	}
	// As a terminal does it: to everything in the foreground.
	if err := syscall.Kill(-demo.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	_ = demo.Wait()
	nothingLeft(t, dir)
	return demo.ProcessState.ExitCode(), all.String()
}

// nothingLeft looks for files and processes of the demo. A guard may be ending as the demo does.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, "with-creds-demo*")); len(left) != 0 {
		t.Errorf("files are left: %q", left)
	}
	var left []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if left = processesOf(dir); len(left) == 0 {
			return
		}
	}
	t.Errorf("processes are left: %q", left)
}

// processesOf lists the processes whose program, arguments or directory are under dir.
func processesOf(dir string) []string {
	var found []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		args, _ := os.ReadFile(proc + "/cmdline")
		exe, _ := os.Readlink(proc + "/exe")
		cwd, _ := os.Readlink(proc + "/cwd")
		if strings.Contains(string(args)+"\x00"+exe+"\x00"+cwd, dir) {
			found = append(found, filepath.Base(proc)+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// varying is what differs between two runs of the demo on the same machine, and between machines.
var varying = []struct {
	is   *regexp.Regexp
	mark string
}{
	{regexp.MustCompile(`wc_readonly_\w+`), "ROLE"},
	{regexp.MustCompile(`kill -9 \d+`), "kill -9 PID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`\b[0-9.]+m?s$`), "DURATION"},
	{regexp.MustCompile(`TTL [0-9.ms]+;`), "TTL DURATION;"}, // what is left of it when it is told
	{regexp.MustCompile(`\d+ ms later`), "DURATION later"},
	{regexp.MustCompile(`\d+ shop.dump`), "SIZE shop.dump"},
}

// said only where it is slow.
var patience = regexp.MustCompile(`^with-creds: still .* …$`)

func shape(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = slices.DeleteFunc(lines, patience.MatchString)
	for i := range lines {
		for _, v := range varying {
			lines[i] = v.is.ReplaceAllString(lines[i], v.mark)
		}
	}
	return strings.Join(lines, "\n")
}

const (
	readme = "../../README.md"
	begins = "<!-- the output of `make demo`; written by: go test ./examples/demo -update -->\n```console\n"
	ends   = "```\n"
)

// compareWithReadme holds the README to show what the demo shows today.
func compareWithReadme(t *testing.T, story string) {
	t.Helper()
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begins)
	shown, after, closed := strings.Cut(rest, "\n"+ends)
	if !ok || !closed {
		t.Fatalf("%s has no block that begins with %q", readme, begins)
	}
	if *update {
		whole := before + begins + strings.TrimSpace(story) + "\n" + ends + after
		if err := os.WriteFile(readme, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, got := strings.Split(shape(shown), "\n"), strings.Split(shape(story), "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Fatalf("the README shows another demo, from line %d of the story on; go test ./examples/demo -update\nthe README:\n%s\n\nthe demo:\n%s",
				i+1, strings.Join(want[min(i, len(want)):], "\n"), strings.Join(got[min(i, len(got)):], "\n"))
		}
	}
}
