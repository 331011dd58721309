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

// A daemon is a server in a directory of its own that is started, waited for, and ended when the test ends.
type daemon struct {
	t       testing.TB
	name    string
	dir     string         // its own; its log is in it
	owner   *account       // whom it runs as; nil: the test's own account
	abort   syscall.Signal // ends it at once
	process *process       // nil while stopped
}

// newDaemon makes the directory of a server that is about to be configured. A socket's path, and other accounts, can use it.
func newDaemon(t testing.TB, name string) *daemon {
	t.Helper()
	// Not t.TempDir(): its parent is closed to other accounts, and a socket's path must stay under 108 bytes.
	dir, err := os.MkdirTemp(serverRoot(), "wc-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, name: name, dir: dir, abort: syscall.SIGKILL}
	t.Cleanup(func() {
		d.stop(d.abort) // nobody needs the data again
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", d.name, tail(d.log(), 60))
		}
		os.RemoveAll(dir)
	})
	return d
}

// runAs makes the server run, where the tests are root's, under the account of its Debian package.
func (d *daemon) runAs(account string) {
	d.t.Helper()
	if os.Geteuid() == 0 {
		d.owner = accountOf(d.t, account)
		d.own(d.dir)
	}
}

// own gives a file to the account that the server runs as.
func (d *daemon) own(path string) {
	if d.owner == nil {
		return
	}
	if err := os.Chown(path, int(d.owner.uid), int(d.owner.gid)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// write makes a file in the server's directory that it alone can read, and returns its path.
func (d *daemon) write(name, content string) string {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.own(d.path(name))
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

// command is one of the server's programs with an environment of its own.
func (d *daemon) command(env []string, argv ...string) *exec.Cmd {
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = d.dir
	c.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + d.dir, "LC_ALL=C.UTF-8", "TZ=UTC"}, env...)
	c.SysProcAttr = procAttr(d.owner)
	return c
}

// start starts the server with an environment of its own, and waits until ready returns no error.
func (d *daemon) start(limit time.Duration, ready func() error, env []string, argv ...string) {
	d.t.Helper()
	logFile, err := os.OpenFile(d.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer logFile.Close()
	c := d.command(env, argv...)
	c.Stdout, c.Stderr = logFile, logFile
	p, err := startProcess(c)
	if err != nil {
		d.t.Fatalf("starting %s: %v", d.name, err)
	}
	d.process = p
	for deadline := time.Now().Add(limit); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.ended:
			d.t.Fatalf("%s ended before it answered:\n%s", d.name, tail(d.log(), 40))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s does not answer: %v\n%s", d.name, err, tail(d.log(), 40))
		}
	}
}

// stop ends the server with a signal, and waits.
func (d *daemon) stop(sig syscall.Signal) {
	if d.process == nil {
		return
	}
	if sig == syscall.SIGKILL {
		_ = syscall.Kill(-d.process.pid, sig) // its group: some are started by a shell
	}
	d.process.end(sig)
	d.process = nil
}

func (d *daemon) log() string { return d.read("log") }

// read is what the server has written to a file of its directory so far.
func (d *daemon) read(name string) string {
	b, err := os.ReadFile(d.path(name))
	if err != nil {
		return "(no " + name + ": " + err.Error() + ")"
	}
	return string(b)
}
