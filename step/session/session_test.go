//go:build unix

package session_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/session"
)

// dialled is a client of a session whose socket takes what is sent, and answers nothing.
func dialled(t *testing.T, dir string) (*session.Client, net.Listener) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(dir, "with-creds.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	client, err := session.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, listener
}

// Where a session's directory was, in a place that everybody may write to, another user can make one of that name, with a socket that answers.
func TestNobodyElsesDirectoryIsTakenForASession(t *testing.T) {
	dir := sessionDir(t)
	place := filepath.Dir(dir)
	_, listener := dialled(t, dir)

	refused := func(what, path, want string) {
		t.Helper()
		if client, err := session.Dial(path); err == nil {
			client.Close()
			t.Errorf("%s is taken for a session", what)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// And what it says of a session's end is not believed either, below.
	if err := os.WriteFile(filepath.Join(dir, "with-creds.ended"), []byte(`{"code":0,"why":"somebody says so"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	listener.Close()
	refused("one that has ended", dir, "somebody says so")
	refused("a directory that is not there", filepath.Join(place, "no"), "not there")
	refused("a path that depends on where one is", "with-creds-x", "WITH_CREDS_SESSION")
	link := filepath.Join(place, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	refused("a link", link, "directory")
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	refused("a directory that others write to", dir, "mode")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Log("not root: a directory of another user's cannot be made")
		return
	}
	if err := os.Chown(dir, 65534, -1); err != nil {
		t.Fatal(err)
	}
	refused("a directory of another user's", dir, "another user")
}

// A keeper that is stopped (SIGSTOP) has a socket that takes what is sent, and answers nothing.
func TestAKeeperThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	dir := sessionDir(t)
	client, _ := dialled(t, dir)
	client.Patience = 10 * time.Millisecond
	if _, err := client.Grant(); err == nil || !strings.Contains(err.Error(), "SIGSTOP") {
		t.Errorf("what it has to give: %v", err)
	}
	if _, err := client.Stop(func(string) {}); err == nil || !strings.Contains(err.Error(), "nothing is known to be revoked") {
		t.Errorf("to stop: %v", err)
	}
}

func TestWhatASessionLeftIsForgottenAfterADay(t *testing.T) {
	day := time.Now().Add(-25 * time.Hour)
	for _, row := range []struct {
		file string
		at   time.Time
		gone bool
	}{
		{"with-creds.ended", day, true},
		{"with-creds.ended", time.Now(), false},
		{"with-creds.sock", day, false}, // a session that has not ended
	} {
		dir := sessionDir(t)
		path := filepath.Join(dir, row.file)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, row.at, row.at); err != nil {
			t.Fatal(err)
		}
		session.Forget(filepath.Dir(dir))
		if _, err := os.Stat(dir); os.IsNotExist(err) != row.gone {
			t.Errorf("%s of %s: %v", row.file, row.at, err)
		}
	}
}

// sessionDir is a directory as a session has, in a place of a short name: a socket's path has 107 bytes.
func sessionDir(t *testing.T) string {
	t.Helper()
	place, err := os.MkdirTemp("", "wc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	dir := filepath.Join(place, "with-creds-x")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
