package serve

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func gitCredential(token string) providers.Credential {
	return credential("username", "x-access-token", "password", token, "url", "https://git.example")
}

// socketOf is the socket in the helper's line.
func socketOf(t *testing.T, e *Endpoints) string {
	t.Helper()
	line := field(t, e, "served:git-helper")
	words := strings.Split(line, "'")
	if !strings.HasPrefix(line, "!'") || len(words) != 5 || words[2] != " credential git " {
		t.Fatalf("the helper is %q", line)
	}
	return words[3]
}

func TestGitIsAnsweredWithTheTokenThatIsCurrentAndForItsHostAlone(t *testing.T) {
	w := newWorld(t, gitCredential("first"))
	e := w.open("served:git-helper", "served:git-key", "served:git-header")
	if key, header := field(t, e, "served:git-key"), field(t, e, "served:git-header"); key != "credential.https://git.example.helper" || header != "http.https://git.example/.extraHeader" {
		t.Errorf("keys %q and %q", key, header)
	}
	socket := socketOf(t, e)
	ask := func(question string) string {
		t.Helper()
		var out bytes.Buffer
		if err := GitHelper(socket, "get", strings.NewReader(question), &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := ask("capability[]=authtype\nprotocol=https\nhost=git.example\nwwwauth[]=Basic realm=\"x\"\n\n"); got != "username=x-access-token\npassword=first\n" {
		t.Errorf("answer %q", got)
	}
	next := gitCredential("second")
	w.current.Store(&next)
	if got := ask("protocol=https\nhost=git.example\n"); !strings.Contains(got, "password=second\n") {
		t.Errorf("after a replacement: %q", got)
	}
	for _, question := range []string{"protocol=https\nhost=evil.example\n\n", "protocol=http\nhost=git.example\n\n", "host=git.example\n\n", "\n", "protocol=https\nhost=git.example:8443\n\n"} {
		if got := ask(question); got != "" {
			t.Errorf("%q is answered %q", question, got)
		}
	}
	var out bytes.Buffer
	for _, action := range []string{"store", "erase", "anything"} {
		if err := GitHelper(socket, action, strings.NewReader("protocol=https\nhost=git.example\n\n"), &out); err != nil || out.Len() != 0 {
			t.Errorf("%s: %v, %q", action, err, &out)
		}
	}
	e.Close()
	if err := GitHelper(socket, "get", strings.NewReader("protocol=https\nhost=git.example\n\n"), &out); err == nil || out.Len() != 0 {
		t.Errorf("after the end: %v, %q", err, &out)
	}
}

func TestAValueThatGitsProtocolCannotCarryIsNotSent(t *testing.T) {
	c := gitCredential("first\nhost=evil.example")
	asked := map[string]string{"protocol": "https", "host": "git.example"}
	if got := gitAnswer(asked, c); got != "" {
		t.Errorf("answer %q", got)
	}
}

func TestAClientThatSaysNothingDoesNotHoldUpTheEnd(t *testing.T) {
	e := newWorld(t, gitCredential("first")).open("served:git-helper")
	conn, err := net.Dial("unix", socketOf(t, e))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	e.Close()
	if took := time.Since(began); took > 10*gitPatience {
		t.Errorf("it took %v", took)
	}
}

func TestACredentialThatIsNoneForGitIsSaidToBe(t *testing.T) {
	if _, err := Open([]string{"served:git-helper"}, newWorld(t, credential("username", "u", "password", "p")).source()); err == nil || !strings.Contains(err.Error(), "url") {
		t.Errorf("error: %v", err)
	}
}
