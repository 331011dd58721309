//go:build linux

package main

import (
	"crypto/rand"
	"crypto/tls"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestTheCommandInheritsNoSecretOfWithCredsOwn: what with-creds logs in with is not for the command, unless it is said by name.
func TestTheCommandInheritsNoSecretOfWithCredsOwn(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			src, unheardOf := s.direct(t, 1), rand.Text()
			for _, admitted := range []bool{false, true} {
				flags := []string{}
				if admitted {
					flags = []string{"--pass-env", s.secrets[0]}
				}
				tr := newTrial(t, src, flags, "sh", "-c", "env >environment")
				tr.cmd.Env = append(tr.cmd.Env, "WITH_CREDS_UNHEARD_OF="+unheardOf)
				if code := tr.run(); code != 0 {
					t.Fatalf("exit code %d; stderr:\n%s", code, tr.stderr)
				}
				text := tr.file("environment")
				for _, name := range s.secrets {
					if has, want := strings.Contains(text, src.env[name]), admitted && name == s.secrets[0]; has != want {
						t.Errorf("--pass-env %t: the command has %s: %t", admitted, name, has)
					}
				}
				if strings.Contains(text, unheardOf) {
					t.Error("the command has what begins with WITH_CREDS_")
				}
				tr.endedClean()
			}
		})
	}
}

// TestASettingsFileThatSomebodyElseMayHaveWrittenIsNotRead: whoever writes it decides what this user's credentials are issued for.
func TestASettingsFileThatSomebodyElseMayHaveWrittenIsNotRead(t *testing.T) {
	const text = "WITH_CREDS=\"vault:database/creds/planted as=postgres\"\n"
	for name, plant := range map[string]func(t *testing.T, path string) (env map[string]string, read bool){
		"one's own":             func(*testing.T, string) (map[string]string, bool) { return nil, true },
		"one's own, in CI":      func(*testing.T, string) (map[string]string, bool) { return map[string]string{"CI": "true"}, false },
		"writable by the group": func(t *testing.T, path string) (map[string]string, bool) { return nil, chmod(t, path, 0o660) },
		"writable by all":       func(t *testing.T, path string) (map[string]string, bool) { return nil, chmod(t, path, 0o606) },
		"a link to one's own":   func(t *testing.T, path string) (map[string]string, bool) { return nil, swap(t, path, os.Symlink) },
		"a pipe":                func(t *testing.T, path string) (map[string]string, bool) { return nil, swap(t, path, pipeAt) },
		"another user's":        func(t *testing.T, path string) (map[string]string, bool) { return nil, chown(t, path) },
		"another user's, but named": func(t *testing.T, path string) (map[string]string, bool) {
			chown(t, path)
			return map[string]string{"WITH_CREDS_CONFIG": path}, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			path := filepath.Join(home, configName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			env, read := plant(t, path)
			o := operate(t, home, env, "plan").want(t, map[bool]int{true: 0, false: failed}[read])
			if strings.Contains(o.stdout, "planted") != read {
				t.Errorf("it was read: %t\n%s%s", !read, o.stdout, o.stderr)
			}
			if !read && !strings.Contains(o.stderr, "not reading ") {
				t.Errorf("that it was not read is not told: %s", o.stderr)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) bool {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return false
}

func chown(t *testing.T, path string) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return false
}

// swap puts something else in the place of a file, which is then called otherwise.
func swap(t *testing.T, path string, with func(old, path string) error) bool {
	t.Helper()
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
	if err := with(path+".real", path); err != nil {
		t.Fatal(err)
	}
	return false
}

func pipeAt(_, path string) error { return syscall.Mkfifo(path, 0o600) }

// TestNobodyElseCanEnterWhereARunHasItsFilesAndSockets looks at all there is while credentials are served, and in a session.
func TestNobodyElseCanEnterWhereARunHasItsFilesAndSockets(t *testing.T) {
	gh := harness.GitHub(t)
	gh.Repository("acme", "app")
	const spec = "github:installation?repositories=app&permissions=contents:read"
	tr := newTrial(t, githubSource(gh, spec+" as=git USER_0=username PASSWORD_0=token FILE=@token"), nil, "sh", "-c", "umask 0; "+untilFinish)
	tr.start()
	tr.file("login")
	sockets, files := 0, 0
	dir := tr.private[0]
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode()
		if int(info.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
			t.Errorf("%s is another user's", path)
		}
		switch {
		case mode.IsDir() && mode.Perm() != 0o700, mode.IsRegular() && mode.Perm() != 0o600:
			t.Errorf("%s has mode %v", path, mode)
		case mode&fs.ModeSocket != 0:
			sockets++
		case mode.IsRegular():
			files++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if sockets == 0 || files == 0 {
		t.Errorf("%d sockets and %d files were seen: nothing is tested", sockets, files)
	}
	tr.finish(0)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	tr.endedClean()
}

// TestAServerThatSpeaksOldTLSAloneIsNotTalkedTo: before 1.2 what is sent can be read, the login as well.
func TestAServerThatSpeaksOldTLSAloneIsNotTalkedTo(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s := &source{specs: []string{"vault:database/creds/r A=username"}, left: func() []string { return nil }, env: map[string]string{
		"VAULT_ADDR": server.URL, "VAULT_TOKEN": rand.Text(), "VAULT_SKIP_VERIFY": "true", "VAULT_MAX_RETRIES": "0",
	}}
	tr := newTrial(t, s, nil, "true")
	if code := tr.run(); code != failed || !strings.Contains(tr.stderr.String(), "protocol version") || len(asked) > 0 {
		t.Errorf("exit code %d, %d requests; stderr:\n%s", code, len(asked), tr.stderr)
	}
	tr.cleanedUp(cleanUpLimit)
}
