//go:build linux

package child

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	outer "github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A screen is somebody at a terminal with a shell: it types, and waits for what is to appear.
type screen struct {
	t    *testing.T
	file *os.File

	mu   sync.Mutex
	text strings.Builder
	seen int // up to where expect has looked
}

const prompt = "$%$ "

// newScreen starts an interactive bash on a terminal of 30 rows and 100 columns. In it, "w CMD…" runs a command under the
// wrapper. The shell leaves the editing of its lines to the terminal.
func newScreen(t *testing.T, w wrapping) *screen {
	t.Helper()
	return newScreenOf(t, w, "--noediting")
}

// newScreenOf starts a bash with options of its own.
func newScreenOf(t *testing.T, w wrapping, options ...string) *screen {
	t.Helper()
	if w.Grace == 0 {
		w.Grace = 5 * time.Second
	}
	wrapping, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program(t, filepath.Join(dir, "w"), fmt.Sprintf("#!/bin/sh\nexec %s role:wrap '%s' \"$@\"\n", self(t), wrapping))
	if err := os.WriteFile(filepath.Join(dir, "inputrc"), []byte("set enable-bracketed-paste off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", append(options, "--norc", "--noprofile", "-i")...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PS1="+prompt, "SELF="+self(t), "TERM=xterm", "HISTFILE=", "INPUTRC="+dir+"/inputrc")
	f, err := outer.StartWithSize(cmd, &outer.Winsize{Rows: 30, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	s := watch(t, cmd, f)
	s.expect(prompt)
	return s
}

// watch reads what a terminal shows.
func watch(t *testing.T, cmd *exec.Cmd, f *os.File) *screen {
	t.Helper()
	// A file of the runtime's poller, so that closing it hangs up although somebody reads it.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, file: os.NewFile(uintptr(fd), "terminal")}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := s.file.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		s.file.Close() // hangs up
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the terminal showed:\n%q", s.all())
		}
	})
	return s
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) send(text string) {
	s.t.Helper()
	if _, err := s.file.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits for the text to appear after what was expected before, and returns what came between.
func (s *screen) expect(text string) string {
	s.t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if i := strings.Index(s.all()[s.seen:], text); i >= 0 {
			between := s.all()[s.seen : s.seen+i]
			s.seen += i + len(text)
			return between
		}
	}
	s.t.Fatalf("%q did not appear; after the last was:\n%q", text, s.all()[s.seen:])
	return ""
}

// command types a line and returns what it printed before the next prompt.
func (s *screen) command(line string) string {
	s.t.Helper()
	s.send(line + "\n")
	s.expect("\r\n") // the echo
	return s.expect(prompt)
}

func (s *screen) modes() unix.Termios {
	s.t.Helper()
	fd, err := descriptor(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *m
}

func (s *screen) resize(rows, cols uint16) {
	s.t.Helper()
	fd, err := descriptor(s.file)
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// sane reports whether the terminal is as a shell leaves it to a command.
func (s *screen) sane() bool {
	m := s.modes()
	return m.Lflag&unix.ICANON != 0 && m.Lflag&unix.ECHO != 0 && m.Oflag&unix.OPOST != 0
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("WITH_CREDS_TEST_FULL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}
