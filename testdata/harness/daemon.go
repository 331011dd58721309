//go:build !windows

package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A daemon is a server that needs nothing but to be started, waited for, and killed when the test ends.
type daemon struct {
	t       testing.TB
	name    string
	dir     string // its own; its log is in it
	process *postgresProcess
}

// newDaemon makes the directory of a server that is about to be configured. A socket's path, and other accounts, can use it.
func newDaemon(t testing.TB, name string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp(postgresRoot(), "wc-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &daemon{t: t, name: name, dir: dir}
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// write makes a file in the server's directory and returns its path.
func (d *daemon) write(name, content string) string {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return d.path(name)
}

// program finds a program, also where Debian keeps servers, off an ordinary user's PATH.
func (d *daemon) program(name, debianPackage string) string {
	d.t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/lib/openssh"} {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	Missing(d.t, "%s (Debian: apt-get install %s)", name, debianPackage)
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// start starts the server with an environment of its own, and waits until ready returns no error.
func (d *daemon) start(limit time.Duration, ready func() error, env []string, argv ...string) {
	d.t.Helper()
	logFile, err := os.OpenFile(d.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer logFile.Close()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir, c.Stdout, c.Stderr = d.dir, logFile, logFile
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "LC_ALL=C.UTF-8", "TZ=UTC"}, env...)
	c.SysProcAttr = postgresProcAttr(nil)
	if d.process, err = startPostgres(c); err != nil {
		d.t.Fatalf("starting %s: %v", d.name, err)
	}
	d.t.Cleanup(func() {
		_ = syscall.Kill(-d.process.pid, syscall.SIGKILL) // its group: some are started by a shell
		d.process.end(syscall.SIGKILL)
		if d.t.Failed() {
			d.t.Logf("end of the log of %s:\n%s", d.name, tail(d.log(), 12))
		}
	})
	for deadline := time.Now().Add(limit); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-d.process.ended:
			d.t.Fatalf("%s ended before it answered:\n%s", d.name, tail(d.log(), 40))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s does not answer: %v\n%s", d.name, err, tail(d.log(), 40))
		}
	}
}

func (d *daemon) log() string {
	b, err := os.ReadFile(d.path("log"))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return string(b)
}
