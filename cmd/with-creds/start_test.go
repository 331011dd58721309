//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// issuing is a source whose credential has these fields, each in the variable of its name.
func issuing(t *testing.T, fields map[string]string) *source {
	t.Helper()
	answer, err := json.Marshal(map[string]any{"version": 1, "fields": fields, "ttl": 300})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/answer", answer, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncase $1 in\nissue) cat '" + dir + "/answer' ;;\nrevoke) echo '{\"version\":1,\"proof\":\"proven\"}' ;;\nesac\n"
	if err := os.WriteFile(dir+"/mint", []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	spec := "command:" + dir + "/mint"
	for name := range fields {
		spec += " " + strings.ToUpper(name) + "=" + name
	}
	return &source{specs: []string{spec}, left: func() []string { return nil }}
}

// shell is a script of the job's, whose first words are the shell, and in which $wc is the binary and $spec what it is to issue.
func (j *jobTrial) shell(words ...string) (shown string, code int) {
	j.t.Helper()
	path, err := exec.LookPath(words[0])
	if err != nil {
		j.t.Skip(err)
	}
	c := exec.Command(path, words[1:]...)
	c.Dir, c.Env = j.dir, []string{"wc=" + j.exe, "spec=" + j.source.specs[0]}
	for name, value := range j.env {
		c.Env = append(c.Env, name+"="+value)
	}
	out, _ := c.CombinedOutput()
	return string(out), c.ProcessState.ExitCode()
}

// Jenkins runs a step by sh -xe.
func TestNoShellShowsWhatStartIssues(t *testing.T) {
	const script = `eval "$("$wc" start -c "$spec" --format shell)"
: still traced
set +xv
test -z "${WITH_CREDS_SHELL-}"
printf %s "$TOKEN" > token
"$wc" stop`
	for _, words := range [][]string{
		{"sh", "-xe"}, {"sh", "-euxv"}, {"dash", "-xe"}, {"bash", "-xe"}, {"bash", "-exv"}, {"bash", "--posix", "-exu"}, {"zsh", "-xe"}, {"zsh", "-exv"}, {"busybox", "ash", "-xe"}, {"sh", "-e"},
	} {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			token := rand.Text()
			j := newJob(t, issuing(t, map[string]string{"token": token}))
			shown, code := j.shell(append(words, "-c", script)...)
			if code != 0 || j.file("token") != token {
				t.Fatalf("code %d\n%s", code, shown)
			}
			if strings.Contains(shown, token) {
				t.Errorf("it shows the token:\n%s", shown)
			}
			if traces := strings.Contains(words[len(words)-1], "x"); traces != strings.Contains(shown, " still traced") {
				t.Errorf("tracing is not as it was:\n%s", shown)
			}
			j.over()
		})
	}
}

func TestWhatAShellReadsIsPrivateAndGoesWithTheSession(t *testing.T) {
	token := rand.Text()
	j := newJob(t, issuing(t, map[string]string{"token": token}))
	stdout, stderr, code := j.step("start", "-c", j.source.specs[0], "--format", "shell")
	path, ok := strings.CutPrefix(strings.TrimSuffix(stdout, "'\n"), ". '")
	if code != 0 || !ok {
		t.Fatalf("code %d, %q\n%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "export TOKEN='"+token+"'") {
		t.Errorf("%s: %q, %v", path, text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	j.env[sessionVariable] = strings.TrimSuffix(path, "/"+shellFile)
	if _, stderr, code := j.step("stop"); code != 0 {
		t.Errorf("stop: code %d, %s", code, stderr)
	}
	j.over()
}

// onGitHub makes the job one of GitHub's.
func (j *jobTrial) onGitHub() {
	j.env["GITHUB_ACTIONS"], j.env["GITHUB_ENV"], j.env["GITHUB_OUTPUT"] = "true", j.path("env"), j.path("output")
}

func TestGitHubIsToldOfEverySecretAndNotOfWhatIsInEveryFile(t *testing.T) {
	short, token, odd := rand.Text(), rand.Text(), "-----"+rand.Text()
	config := "apiVersion: v1\nclusters:\n- name: c\n  token: " + token + "\n"
	key := "-----BEGIN PRIVATE KEY-----\n" + rand.Text() + "\n" + short + "\n-----END PRIVATE KEY-----\n"
	j := newJob(t, issuing(t, map[string]string{"org": short, "token": short + "-" + token, "odd": odd, "config": config, "key": key}))
	j.onGitHub()
	if err := os.WriteFile(j.path("env"), []byte("LAST=has no end of its line"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := j.step("start", "-c", j.source.specs[0])
	if code != 0 {
		t.Fatalf("code %d, %s", code, stderr)
	}
	told := strings.Split(stdout, "\n")
	for _, text := range []string{short, short + "-" + token, odd, "token: " + token, strings.Split(key, "\n")[1]} {
		if !slices.Contains(told, "::add-mask::"+text) {
			t.Errorf("the runner is not told of %q", text)
		}
	}
	for _, text := range []string{"apiVersion: v1", "clusters:", "- name: c", "name: c", "-----BEGIN PRIVATE KEY-----"} {
		if slices.Contains(told, "::add-mask::"+text) {
			t.Errorf("the runner masks %q all over the job", text)
		}
	}
	env, _ := os.ReadFile(j.path("env"))
	first, rest, _ := strings.Cut(string(env), "\n")
	if first != "LAST=has no end of its line" {
		t.Errorf("GITHUB_ENV begins with %q", first)
	}
	j.env[sessionVariable] = readHeredocs(t, rest)[sessionVariable]
	if _, stderr, code := j.step("stop"); code != 0 {
		t.Errorf("stop: code %d, %s", code, stderr)
	}
	j.over()
}

func TestWhatGitHubIsToldHasABound(t *testing.T) {
	long := make([]byte, 96000)
	rand.Read(long)
	var lines []string
	for part := range slices.Chunk(long, 48) {
		lines = append(lines, base64.StdEncoding.EncodeToString(part))
	}
	j := newJob(t, issuing(t, map[string]string{"keystore": strings.Join(lines, "\n")}))
	j.onGitHub()
	stdout, stderr, code := j.step("start", "-c", strings.ReplaceAll(j.source.specs[0], "KEYSTORE=", "KEYSTORE=@"), "--log-format", "json")
	if told := strings.Count(stdout, "::add-mask::"); code != 0 || told < len(lines) || told > len(lines)+mostForms {
		t.Errorf("code %d, told of %d texts for %d lines", code, told, len(lines))
	}
	if !strings.Contains(stderr, "not every encoded form") {
		t.Errorf("that it is not told of all is not said: %s", stderr)
	}
	env, _ := os.ReadFile(j.path("env"))
	j.env[sessionVariable] = readHeredocs(t, string(env))[sessionVariable]
	if _, stderr, code := j.step("stop"); code != 0 {
		t.Errorf("stop: code %d, %s", code, stderr)
	}
	j.over()
}

// What nobody reads would be a session that nobody stops; and a log filter that is told in a file is told nothing, while the file holds the secrets.
func TestStartIsParticularAboutWhereItsStreamsLead(t *testing.T) {
	token := rand.Text()
	for _, row := range []struct {
		streams string // of the shell
		format  string
		want    int
		says    string
	}{
		{">&-", "shell", failed, "closed"},
		{">&-", "github", failed, "closed"},
		{">&-", "session", failed, "closed"},
		{">/dev/null", "json", failed, "/dev/null"},
		{">/dev/full", "shell", failed, "no space"},
		{">file", "github", failed, "a file"},
		{">/dev/full", "github", failed, "no space"},
		{">/dev/null", "github", failed, "stdout"},
		{">file", "json", 0, ""},
		{"2>file", "shell", 0, ""},
	} {
		t.Run(row.format+" "+row.streams, func(t *testing.T) {
			j := newJob(t, issuing(t, map[string]string{"token": token}))
			j.onGitHub()
			shown, code := j.shell("sh", "-c", `"$wc" start -c "$spec" --format `+row.format+` `+row.streams)
			file, _ := os.ReadFile(j.path("file"))
			if code != row.want || !strings.Contains(shown, row.says) || bytes.Contains(file, []byte("::add-mask::")) {
				t.Errorf("code %d\n%s\nfile: %q", code, shown, file)
			}
			if row.want != 0 {
				j.over()
				return
			}
			if row.format == "shell" && !bytes.Contains(file, []byte("is not told")) {
				t.Errorf("that the log filter is not told is not said: %q", file)
			}
			j.endKeeper()
			j.over()
		})
	}
}

// endKeeper ends a session whose name the test has not read.
func (j *jobTrial) endKeeper() {
	j.t.Helper()
	process, err := os.FindProcess(j.keeper())
	if err == nil {
		err = process.Signal(os.Interrupt)
	}
	if err != nil {
		j.t.Fatal(err)
	}
}
