//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A bench is a session and what it said and intended.
type bench struct {
	t   *testing.T
	env map[string]string

	mu      sync.Mutex
	intents []providers.Lease
	warned  []string
}

func newBench(t *testing.T, env map[string]string) *bench {
	b := &bench{t: t, env: map[string]string{"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "LANG": "C.UTF-8", "SECRET_OF_OTHERS": "x"}}
	maps.Copy(b.env, env)
	return b
}

func (b *bench) settings() providers.Settings {
	return providers.Settings{
		Lookup: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok },
		Run:    "r7k2", Leash: 5 * time.Minute,
		Intend: func(l providers.Lease) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.intents = append(b.intents, l)
			return nil
		},
		Warn: func(format string, args ...any) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.warned = append(b.warned, fmt.Sprintf(format, args...))
		},
	}
}

func (b *bench) open() *Session {
	b.t.Helper()
	s, err := Provider{}.Open(b.t.Context(), b.settings())
	if err != nil {
		b.t.Fatal(err)
	}
	return s.(*Session)
}

// said is all that was warned of.
func (b *bench) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.warned, "\n")
}

// script writes a program.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mint")
	// A descriptor for writing that another test's fork inherits would make the kernel refuse to run the file ("text file busy").
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func ask(command string, params ...providers.Param) providers.Request {
	return providers.Request{Provider: Name, Path: command, Params: params}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// issue makes a credential; its fields come by name.
func (b *bench) issue(s *Session, command string, params ...providers.Param) (providers.Credential, map[string]string) {
	b.t.Helper()
	c, err := s.Issue(within(b.t, 60*time.Second), ask(command, params...))
	if err != nil {
		b.t.Fatal(err)
	}
	fields := map[string]string{}
	for _, f := range c.Fields {
		fields[f.Name] = f.Value
	}
	return c, fields
}

// examples are the programs of examples/command, each needing something on this machine.
func examples(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, needs := range map[string][]string{"mint.sh": {"curl", "jq"}, "mint.py": {"python3"}} {
		for _, program := range needs {
			if _, err := exec.LookPath(program); err != nil {
				harness.Missing(t, "%s", program)
			}
		}
		path, err := filepath.Abs("../../examples/command/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = path
	}
	return found
}

func tokenEnv(s *harness.TokenService, url string) map[string]string {
	return map[string]string{"WITH_CREDS_COMMAND_ENV": "TOKENS_URL, TOKENS_KEY", "TOKENS_URL": url, "WITH_CREDS_COMMAND_ENV_TOKENS_KEY": s.APIKey}
}

func TestExamplesIssueRenewAndRevoke(t *testing.T) {
	for name, path := range examples(t) {
		t.Run(name, func(t *testing.T) {
			service := harness.Tokens(t)
			b := newBench(t, tokenEnv(service, service.URL))
			s := b.open()
			c, fields := b.issue(s, path)
			if !service.Usable(fields["token"]) || len(service.Live()) != 1 {
				t.Fatal("the token is not usable")
			}
			if len(b.intents) != 1 || service.Live()[0] != b.intents[0].ID || b.intents[0].Key() != c.Lease.Key() {
				t.Errorf("the service knows %q, the intents are %v", service.Live(), b.intents)
			}
			if left := time.Until(c.Lease.Expires); left > 5*time.Minute || left < 4*time.Minute || !c.Lease.Renewable {
				t.Errorf("it has %v, renewable %t: not the leash", left, c.Lease.Renewable)
			}
			l, err := s.Renew(within(t, 60*time.Second), c.Lease, 10*time.Minute)
			if left := time.Until(l.Expires); err != nil || left < 9*time.Minute {
				t.Errorf("renewed: %v left, %v", left, err)
			}
			// Another process, which knows the handoff and the intent alone.
			other, err := Provider{}.Resume(s.Handoff(), providers.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if proof, err := other.Revoke(within(t, 60*time.Second), b.intents[0]); proof != providers.Proven {
					t.Errorf("%v, %v", proof, err)
				}
			}
			if service.Usable(fields["token"]) {
				t.Error("the token is usable after its revocation")
			}
			if _, err := s.Renew(within(t, 60*time.Second), l, time.Minute); !errors.Is(err, providers.ErrRefused) {
				t.Errorf("renewing what is gone: %v", err)
			}
			if service.APIKey == "" || strings.Contains(fmt.Sprintf("%+v %+v", c, l)+b.said(), service.APIKey) || strings.Contains(fmt.Sprintf("%v %+v", c, l), fields["token"]) {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestExamplesConform(t *testing.T) {
	for name, path := range examples(t) {
		t.Run(name, func(t *testing.T) {
			service := harness.Tokens(t)
			b := newBench(t, tokenEnv(service, service.URL))
			n := 0
			kept := Conform(within(t, 2*time.Minute), b.settings(), ask(path), func(f Finding) {
				n++
				if f.Err != nil && f.Tried() {
					t.Errorf("%s: %v (%s)", f.Rule, f.Err, f.Note)
				}
			})
			if !kept || n < 10 {
				t.Errorf("kept %t, %d rules", kept, n)
			}
			if live := service.Live(); len(live) != 0 {
				t.Errorf("left: %q", live)
			}
		})
	}
}

func TestConformFindsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct{ body, rule string }{
		"no JSON":                {`echo hello`, "issue answers with a credential"},
		"nothing is secret":      {`echo '{"version":1,"fields":{"a":{"value":"bcdefghijk","secret":false}},"proof":"proven"}'`, "some field is secret"},
		"always the same":        {`echo '{"version":1,"fields":{"a":"bcdefghijk"},"proof":"proven"}'`, "and gives another credential"},
		"secret in the lease":    {`echo '{"version":1,"fields":{"a":"bcdefghijk"},"lease":"bcdefghijk","proof":"proven"}'`, "issue answers with a credential"},
		"revoke fails when gone": {`case $1 in issue) echo "{\"version\":1,\"fields\":{\"a\":\"long enough $$\"}}" ;; revoke) id=$(sed 's/.*"id":"\([^"]*\)".*/\1/'); [ ! -e ` + dir + `/$id ] || exit 1; touch ` + dir + `/$id; echo '{"version":1,"proof":"proven"}' ;; esac`, "revoking it again is no error"},
		"takes any version":      {`case $1 in issue) echo "{\"version\":1,\"fields\":{\"a\":\"long enough $$\"}}" ;; *) echo '{"version":1,"proof":"proven"}' ;; esac`, "a question of another version is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var broken []string
			kept := Conform(within(t, 2*time.Minute), newBench(t, nil).settings(), ask(script(t, test.body)), func(f Finding) {
				if f.Err != nil && f.Tried() {
					broken = append(broken, f.Rule)
				}
			})
			if kept || !strings.Contains(strings.Join(broken, "\n"), test.rule) {
				t.Errorf("kept %t; broken: %q", kept, broken)
			}
		})
	}
}

// ledger is a program that keeps a file for each credential in a directory, until it revokes it; before is what its issue does first.
func ledger(dir, before string) string {
	return `id=$(sed 's/.*"id":"\([^"]*\)".*/\1/'); case $1 in
issue) ` + before + `; touch ` + dir + `/$id; ` + `echo "{\"version\":1,\"fields\":{\"a\":\"long enough $$\"}}" ;;
revoke) rm -f ` + dir + `/$id; echo '{"version":1,"proof":"proven"}' ;; esac`
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func TestConformLeavesNothingWhereAnIssueFailsOrItIsStopped(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	second := script(t, strings.Replace(ledger(dir, ":"), "echo \"{", "[ -e "+at+"/once ] && exit 3; touch "+at+"/once; echo \"{", 1))
	var rules []string
	tell := func(f Finding) { rules = append(rules, f.Rule) }
	if kept := Conform(within(t, 2*time.Minute), newBench(t, nil).settings(), ask(second), tell); kept || slices.Contains(rules, "and gives another credential") {
		t.Errorf("kept %t: %q", kept, rules)
	}
	if names := left(t, dir); len(names) > 0 {
		t.Errorf("the issue that failed left %q", names)
	}
	ctx, stop := context.WithCancel(within(t, 2*time.Minute))
	slow := script(t, ledger(dir, "touch "+at+"/begun; while ! test -e "+at+"/go; do sleep 0.02; done"))
	rules = nil
	go func() {
		for {
			if _, err := os.Stat(at + "/begun"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		_ = os.WriteFile(at+"/go", nil, 0o600)
	}()
	if Conform(ctx, newBench(t, nil).settings(), ask(slow), tell) || len(rules) != 2 {
		t.Errorf("it was stopped while it issued, and went on: %q", rules)
	}
	if names := left(t, dir); len(names) > 0 {
		t.Errorf("what was stopped left %q", names)
	}
}

func TestALeaseWithASecretIsNeitherTakenNorKept(t *testing.T) {
	for name, value := range map[string]string{"plain": "S3cretValue", "escaped": `S3cret/"Välue<x`} {
		for _, action := range []string{"issue", "renew"} {
			t.Run(name+" "+action, func(t *testing.T) {
				b := newBench(t, map[string]string{"WITH_CREDS_COMMAND_ENV": "FIELD", "FIELD": strings.Trim(written(value), `"`)})
				dir := t.TempDir()
				path := script(t, strings.NewReplacer(
					`{\"a\":\"long enough $$\"}}`, `{\"a\":\"$FIELD\"},\"ttl\":60,\"renewable\":true$(test $1 != `+action+` || echo ",\"lease\":[\"x $FIELD\"]")}`,
					"revoke) ", `renew) echo "{\"version\":1,\"ttl\":60,\"lease\":{\"$FIELD\":1}}" ;; revoke) `).Replace(ledger(dir, ":")))
				s := b.open()
				c, err := s.Issue(within(t, 60*time.Second), ask(path))
				if action == "renew" && err == nil {
					_, err = s.Renew(within(t, 60*time.Second), c.Lease, time.Minute)
				} else if names := left(t, dir); len(names) > 0 {
					t.Errorf("left: %q", names)
				}
				if !errors.Is(err, providers.ErrRefused) || !errors.Is(err, errSecretInLease) || strings.Contains(err.Error(), value) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

func TestAProgramRunsWhereItsRunWas(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path := script(t, `pwd >>`+dir+`/ran; `+ledger(dir, ":"))
	s := newBench(t, nil).open()
	run, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.with.Dir = run
	c, _ := newBench(t, nil).issue(s, path)
	other := newBench(t, nil).open()
	other.with.Dir = elsewhere
	if s.Handoff().Origin != other.Handoff().Origin {
		t.Error("a sweep from another directory would take it for another server")
	}
	if proof, err := other.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("%v, %v", proof, err)
	}
	if err := os.Remove(run); err != nil {
		t.Fatal(err)
	}
	if proof, err := other.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("where the directory is gone: %v, %v", proof, err)
	}
	ran, err := os.ReadFile(dir + "/ran")
	if err != nil || string(ran) != run+"\n"+run+"\n"+elsewhere+"\n" {
		t.Errorf("it ran in %q (%v)", ran, err)
	}
}

func TestAPathWithASpaceIsQuoted(t *testing.T) {
	for path, want := range map[string][]string{
		`./mint --team data`:           {"./mint", "--team", "data"},
		`"./my tools/mint"  'a b' c`:   {"./my tools/mint", "a b", "c"},
		`printf {"a":"b"} "x"y it's "`: {"printf", `{"a":"b"}`, `"x"y`, "it's", `"`},
	} {
		if q, err := parseRequest(ask(path)); err != nil || !slices.Equal(q.argv, want) {
			t.Errorf("%s: %q (%v)", path, q.argv, err)
		}
	}
}

func TestTheProgramsEnvironmentIsCleanAndItsOwn(t *testing.T) {
	b := newBench(t, map[string]string{
		"WITH_CREDS_COMMAND_ENV": "PLAIN,HIDDEN", "PLAIN": "seen", "WITH_CREDS_COMMAND_ENV_HIDDEN": "known to the program alone", "HIDDEN": "weaker",
	})
	path := script(t, `cat >/dev/null; all=$(env | sort | grep -v '^_=\|^PWD=\|^SHLVL=\|^OLDPWD=' | tr '\n' ' '); printf '{"version":1,"fields":{"env":"%s","args":"%s","dir":"%s"}}' "$all" "$*" "$(pwd -P)"`)
	_, fields := b.issue(b.open(), path+" --team  data")
	want := "HIDDEN=known to the program alone HOME=" + b.env["HOME"] + " LANG=C.UTF-8 PATH=" + b.env["PATH"] + " PLAIN=seen "
	if fields["env"] != want {
		t.Errorf("environment %q, want %q", fields["env"], want)
	}
	if fields["args"] != "--team data issue" {
		t.Errorf("arguments %q", fields["args"])
	}
	here, err := filepath.EvalSymlinks(".")
	if err == nil {
		here, err = filepath.Abs(here)
	}
	if err != nil || fields["dir"] != here {
		t.Errorf("directory %q, want %q (%v)", fields["dir"], here, err)
	}
	b.env["WITH_CREDS_COMMAND_ENV"] = "MISSING"
	if _, err := (Provider{}).Open(t.Context(), b.settings()); !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "MISSING") {
		t.Errorf("a variable that is not set: %v", err)
	}
}

func TestTheQuestionIsAsDocumented(t *testing.T) {
	b := newBench(t, nil)
	dir := t.TempDir()
	path := script(t, `cat >`+dir+`/$1; case $1 in
issue) echo '{"version":1,"fields":{"t":"long enough"},"lease":{"n":[1,"two"]},"ttl":60,"max_ttl":600,"renewable":true,"warnings":["mind the long enough gap"]}' ;;
renew) echo '{"version":1,"ttl":120,"renewable":true}' ;;
revoke) echo '{"version":1,"proof":"accepted"}' ;;
esac`)
	s := b.open()
	c, _ := b.issue(s, path, providers.Param{Key: "scope", Value: "read me"})
	if len(c.Warnings) != 1 || c.Warnings[0] != "mind the *** gap" {
		t.Errorf("warnings %q", c.Warnings)
	}
	l, err := s.Renew(within(t, 60*time.Second), c.Lease, 90*time.Second)
	if err != nil || l.MaxExpire.IsZero() {
		t.Fatalf("%v, %+v", err, l)
	}
	if proof, err := s.Revoke(within(t, 60*time.Second), l); proof != providers.Accepted || err != nil {
		t.Errorf("%v, %v", proof, err)
	}
	id := c.Lease.ID
	for action, want := range map[string]string{
		"issue":  `{"version":1,"action":"issue","id":"` + id + `","run":"r7k2","ttl":300,"parameters":{"scope":"read me"}}`,
		"renew":  `{"version":1,"action":"renew","id":"` + id + `","run":"r7k2","ttl":90,"lease":{"n":[1,"two"]}}`,
		"revoke": `{"version":1,"action":"revoke","id":"` + id + `","run":"r7k2","lease":{"n":[1,"two"]}}`,
	} {
		got, err := os.ReadFile(filepath.Join(dir, action))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", action, got, err, want)
		}
	}
}

func TestStandardErrorIsShownWithoutTheSecretsOfTheAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		body    string
		fails   bool
		secrets []string
	}{
		"a good answer": {body: `echo "made S3cretValue/+x for you" >&2; printf 'in base64: %s\n' "$(printf S3cretValue/+x | base64)" >&2
			echo '{"version":1,"fields":{"t":"S3cretValue/+x"}}'`, secrets: []string{"S3cretValue", "UzNjcmV0VmFsdWUvK3g="}},
		"an answer that is none":    {body: `echo "made S3cretValue" >&2; echo 'token: S3cretValue'`, fails: true, secrets: []string{"S3cretValue"}},
		"a failure that says it":    {body: `echo '{"version":1,"error":"S3cretValue is taken","fields":{"t":"S3cretValue"}}'; exit 3`, fails: true, secrets: []string{"S3cretValue"}},
		"the program's own secret":  {body: `echo "logging in with $KEY" >&2; echo "{\"version\":1,\"error\":\"$KEY is wrong\"}"`, fails: true, secrets: []string{"k3y-of-the-service"}},
		"control characters, a lot": {body: `printf 'a\033[2Jb\rc S3cretValue\n' >&2; head -c 200000 /dev/zero | tr '\0' x >&2; echo '{"version":1,"fields":{"t":"S3cretValue"}}'`, secrets: []string{"S3cretValue", "\x1b"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]string{"WITH_CREDS_COMMAND_ENV": "KEY", "WITH_CREDS_COMMAND_ENV_KEY": "k3y-of-the-service"})
			c, err := b.open().Issue(within(t, 60*time.Second), ask(script(t, test.body)))
			if (err != nil) != test.fails {
				t.Fatalf("error: %v", err)
			}
			shown := b.said() + fmt.Sprint(err) + fmt.Sprintf("%v %+v", c, c.Lease)
			for _, s := range test.secrets {
				if strings.Contains(shown, s) {
					t.Errorf("%q is shown: %q", s, shown)
				}
			}
			if !strings.Contains(shown, "***") && test.fails {
				t.Errorf("nothing was hidden: the check is void: %q", shown)
			}
		})
	}
}

func TestAnswersThatAreNotTheProtocolsAreRefusedWithoutQuotingThem(t *testing.T) {
	for body, says := range map[string]string{
		``:                                      "answered nothing",
		`echo '[1]'`:                            "not a JSON object",
		`echo '{"version":2}'`:                  "version 2 of the protocol",
		`echo '{}'`:                             "version 0 of the protocol",
		`echo '{"error":"the moon is full"}'`:   "the moon is full",
		`echo '{"version":1}'`:                  "has no fields",
		`echo '{"version":1,"fields":{}}'`:      "has no fields",
		`echo '{"version":1,"fields":{"a":1}}'`: "a field is a string",
		`echo '{"version":1,"fields":{"a":"S3cretValue"},"ttl":"5m"}'`: "ttl cannot be a JSON string",
		`echo '{"version":1,"fields":{"a":"S3cretValue"},"ttl":-1}'`:   "number of seconds",
		`echo '{"version":1,"fields":{"served:x":"S3cretValue"}}'`:     "holds a colon",
		`echo '{"version":1,"fields":{"a":"S3cretValue"}} and more'`:   "something follows",
		`echo '{"version":1,"fields":{"a":"S3cretValue"}}'; exit 9`:    "exit status 9",
		`kill -9 $$`: "signal: killed",
		`printf '{"version":1,"fields":{"a":"'; head -c 2000000 /dev/zero | tr '\0' x; echo '"}}'`:           "longer than",
		`printf '{"version":1,"fields":{"a":"b"},"lease":"'; head -c 20000 /dev/zero | tr '\0' x; echo '"}'`: "lease is longer",
	} {
		b := newBench(t, nil)
		_, err := b.open().Issue(within(t, 60*time.Second), ask(script(t, body)))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error()+b.said(), "S3cretValue") {
			t.Errorf("%s: %v; want %q", body, err, says)
		}
		if len(b.intents) != 1 {
			t.Errorf("%s: %d intents, want the one that is to be revoked", body, len(b.intents))
		}
	}
}

func TestAProgramThatIsNotThereIsSaidToBe(t *testing.T) {
	b := newBench(t, nil)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for command, says := range map[string]string{
		"./nowhere": "no such file", text: "permission denied", "mint-of-nobody": "written command:./mint-of-nobody",
	} {
		_, err := b.open().Issue(within(t, 60*time.Second), ask(command))
		if !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", command, err, says)
		}
	}
	if len(b.intents) != 0 {
		t.Error("it was intended to issue")
	}
	_, fields := b.issue(b.open(), "env printf {\"version\":1,\"fields\":{\"a\":\"%s\"}}") // from PATH
	if fields["a"] != "issue" {
		t.Errorf("fields %q", fields)
	}
}

func TestAProgramThatHangsIsEndedWithAllItStarted(t *testing.T) {
	b := newBench(t, map[string]string{"WITH_CREDS_COMMAND_TIMEOUT": "300ms"})
	dir := t.TempDir()
	path := script(t, `sleep 600 & echo $! >`+dir+`/pid; echo started >&2; wait`)
	_, err := b.open().Issue(within(t, 60*time.Second), ask(path))
	if err == nil || !strings.Contains(err.Error(), "WITH_CREDS_COMMAND_TIMEOUT") {
		t.Errorf("error: %v", err)
	}
	if !strings.Contains(b.said(), "mint: started") {
		t.Errorf("what it said is not shown: %q", b.said())
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(string(text), &pid)
	eventually(t, "ended", func() bool { return !running(pid) })
}

// running reports whether a process has not ended; a zombie has.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/self/stat"); err == nil {
			return false
		}
		return syscall.Kill(pid, 0) == nil
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: not yet %s", what)
		}
	}
}

func TestARevocationSlowerThanOneAttemptIsJoinedByTheNext(t *testing.T) {
	b := newBench(t, nil)
	dir := t.TempDir()
	path := script(t, `case $1 in issue) echo '{"version":1,"fields":{"a":"long enough"}}' ;;
revoke) echo run >>`+dir+`/runs; while ! test -e `+dir+`/go; do sleep 0.02; done; echo '{"version":1,"proof":"proven"}' ;; esac`)
	s := b.open()
	c, _ := b.issue(s, path)
	for range 3 {
		if proof, err := s.Revoke(within(t, 100*time.Millisecond), c.Lease); proof != providers.Failed || errors.Is(err, providers.ErrRefused) {
			t.Errorf("%v, %v; want a failure that may be retried", proof, err)
		}
	}
	eventually(t, "running", func() bool { _, err := os.Stat(dir + "/runs"); return err == nil })
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Proven {
		t.Errorf("%v, %v", proof, err)
	}
	if runs, _ := os.ReadFile(dir + "/runs"); string(runs) != "run\n" {
		t.Errorf("it was run %d times", strings.Count(string(runs), "run"))
	}
}

func TestWhatCannotBeRevokedExpiresAndIsNotAskedFor(t *testing.T) {
	b := newBench(t, nil)
	path := script(t, `case $1 in issue) echo '{"version":1,"fields":{"a":"long enough"},"ttl":900,"revocable":false}' ;; *) exit 1 ;; esac`)
	s := b.open()
	c, _ := b.issue(s, path)
	if proof, err := s.Revoke(within(t, 60*time.Second), c.Lease); proof != providers.Expires || err != nil || c.Lease.Renewable || c.Lease.Expires.IsZero() {
		t.Errorf("%v, %v, %+v", proof, err, c.Lease)
	}
}

// TestAnIssueThatOutlivesItsProcessIsWaitedForAndThenRevoked: the guard has the pipe of the program, and the intent.
func TestAnIssueThatOutlivesItsProcessIsWaitedForAndThenRevoked(t *testing.T) {
	service := harness.Tokens(t)
	target, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			once.Do(func() { close(arrived) })
			<-release
		}
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	b := newBench(t, tokenEnv(service, slow.URL))
	s := b.open()
	var pipes []*os.File
	s.OnConnect(func(c syscall.Conn) func() {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Error(err)
			return func() {}
		}
		raw.Control(func(fd uintptr) {
			duplicate, err := syscall.Dup(int(fd))
			if err != nil {
				t.Error(err)
				return
			}
			syscall.CloseOnExec(duplicate)
			syscall.SetNonblock(duplicate, true)
			pipes = append(pipes, os.NewFile(uintptr(duplicate), "pipe"))
		})
		return func() {}
	})
	issued := make(chan error, 1)
	go func() {
		_, err := s.Issue(within(t, 2*time.Minute), ask(examples(t)["mint.sh"]))
		issued <- err
	}()
	<-arrived
	other, err := Provider{}.Resume(s.Handoff(), providers.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	guard := other.(*Session)
	guard.Inherit(pipes)
	if proof, err := guard.Revoke(within(t, 200*time.Millisecond), b.intents[0]); proof != providers.Failed || !strings.Contains(err.Error(), "still at work") {
		t.Errorf("while the program is at work: %v, %v", proof, err)
	}
	if strings.Contains(service.Log(), "DELETE") {
		t.Error("it was revoked before it was issued")
	}
	close(release)
	if proof, err := guard.Revoke(within(t, 60*time.Second), b.intents[0]); proof != providers.Proven {
		t.Errorf("%v, %v", proof, err)
	}
	if err := <-issued; err != nil {
		t.Errorf("the issue itself: %v", err)
	}
	if log := service.Log(); !strings.HasSuffix(log, "DELETE /tokens/"+b.intents[0].ID) || len(service.Live()) != 0 {
		t.Errorf("left %q; the service was asked: %s", service.Live(), log)
	}
}

func TestAHungIssueOfAProcessThatDiedIsNotWaitedForForever(t *testing.T) {
	b := newBench(t, map[string]string{"WITH_CREDS_COMMAND_TIMEOUT": "200ms"})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() // nobody ever closes it
	guard, err := Provider{}.Resume(b.open().Handoff(), providers.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	guard.(*Session).Inherit([]*os.File{r})
	path := script(t, `echo '{"version":1,"proof":"proven"}'`)
	l := providers.Lease{Provider: Name, ID: "wc-x-y", Scope: map[string]string{scopeProgram: `["` + path + `"]`}}
	if proof, err := guard.Revoke(within(t, 60*time.Second), l); proof != providers.Proven {
		t.Errorf("%v, %v", proof, err)
	}
}

func TestLeasesOfOthersAreRefused(t *testing.T) {
	s := newBench(t, nil).open()
	for _, l := range []providers.Lease{
		{}, {Provider: "vault", ID: "wc-x"}, {Provider: Name, ID: "wc-x"}, {Provider: Name, ID: "wc-x", Scope: map[string]string{scopeProgram: "[]"}},
		{Provider: Name, ID: "x", Scope: map[string]string{scopeProgram: `["/bin/true"]`}},
	} {
		if proof, err := s.Revoke(within(t, 60*time.Second), l); proof != providers.Failed || !errors.Is(err, providers.ErrRefused) {
			t.Errorf("%+v: %v, %v", l, proof, err)
		}
	}
}

func TestExamineLooksForTheProgramsAndRunsNone(t *testing.T) {
	dir := t.TempDir()
	path := script(t, "touch "+dir+"/ran")
	found := newBench(t, nil).open().Examine(t.Context(), []providers.Request{ask(path), ask(path + " again"), ask("./nowhere")})
	if len(found) != 2 || found[0].Level != providers.OK || found[1].Level != providers.Fail || !strings.Contains(found[1].Says, "no such file") {
		t.Errorf("found %+v", found)
	}
	if _, err := os.Stat(dir + "/ran"); err == nil {
		t.Error("it was run")
	}
}
