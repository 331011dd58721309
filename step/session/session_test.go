//go:build unix

package session_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/step/session"
)

// Where a session's directory was, in a place that everybody may write to, another user can make one of that name, with a socket that answers.
func TestNobodyElsesDirectoryIsTakenForASession(t *testing.T) {
	place, err := os.MkdirTemp("", "wc") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(place)
	dir := filepath.Join(place, "with-creds-x")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "with-creds.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := session.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()

	refused := func(what, path, want string) {
		t.Helper()
		if client, err := session.Dial(path); err == nil {
			client.Close()
			t.Errorf("%s is taken for a session", what)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
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
