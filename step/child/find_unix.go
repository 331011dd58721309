//go:build unix

package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is where execvp(3) looks when PATH is not set (glibc's _CS_PATH).
const defaultPath = "/bin:/usr/bin"

// find looks a command up as execvp(3) does: a name with a slash is taken as it is, any other is searched in the PATH
// of the command's own environment, where an empty element is the working directory. Unlike os/exec it does not refuse
// what it finds there: the command would be found without the wrapper too.
//
// The path it returns is relative to dir where it is not absolute.
func find(argv, env []string, dir string) (string, error) {
	if len(argv) == 0 {
		return "", &StartError{Code: codeFailed, Err: errors.New("no command given")}
	}
	name := argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	var denied string
	if name != "" {
		for _, element := range strings.Split(searchPath(env), ":") {
			path := element + "/" + name
			if element == "" {
				path = "./" + name
			}
			switch err := executable(from(dir, path)); {
			case err == nil:
				return path, nil
			case denied == "" && errors.Is(err, unix.EACCES):
				denied = path
			}
		}
	}
	if denied != "" {
		return "", &StartError{Command: name, Code: codeNotExecutable, Err: fmt.Errorf("%s: %w", denied, unix.EACCES), Advice: "chmod +x it, or give another command"}
	}
	return "", &StartError{Command: name, Code: codeNotFound, Err: errors.New("command not found in PATH"), Advice: oneWord(name)}
}

// oneWord is what to do about a command line that was given as one word.
func oneWord(name string) string {
	if strings.Contains(name, " ") {
		return "it is one word with spaces: leave out the quotes around the command as a whole, or write sh -c before them"
	}
	return ""
}

// Look reports why Start could not execute the command, with the same error, as far as that is known without trying. It starts nothing.
func Look(o Options) error {
	path, err := find(o.Argv, o.Env, o.Dir)
	if err != nil {
		return err
	}
	if errno, ok := errors.AsType[syscall.Errno](executable(from(o.Dir, path))); ok {
		return refusal(o.Argv, path, o.Dir, o.Env, errno)
	}
	return nil
}

func searchPath(env []string) string {
	for _, kv := range env { // the first one counts, as it does for getenv(3)
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			return v
		}
	}
	return defaultPath
}

func from(dir, path string) string {
	if dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
}

// viaShell returns the command line by which the system shell runs a script without a "#!" line, and whether path is
// one. execvp(3), env(1) and the shells do the same; what holds a NUL byte in its first line is a program for another
// machine and is left alone, as bash leaves it.
func viaShell(path string, argv []string, dir string) ([]string, bool) {
	f, err := os.Open(from(dir, path))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	head := make([]byte, 128)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false
	}
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	if bytes.IndexByte(line, 0) >= 0 {
		return nil, false
	}
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return append([]string{"/bin/sh", path}, argv[1:]...), true
}

// refusal explains what execve(2) answered, with the exit code env(1) has for it: 127 when something was not there,
// 126 when it was there and could not be executed.
func refusal(argv []string, path, dir string, env []string, err error) *StartError {
	e := &StartError{Command: argv[0], Code: codeNotExecutable, Err: err}
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case unix.ENOENT:
		e.Code, e.Advice = codeNotFound, oneWord(argv[0])
		if _, statErr := os.Stat(from(dir, path)); statErr == nil {
			e.Advice = "the file is there; the interpreter or loader it names is not"
		}
	case unix.EACCES:
		if info, statErr := os.Stat(from(dir, path)); statErr == nil && info.IsDir() {
			e.Err = unix.EISDIR
		}
	case unix.ENOEXEC:
		e.Advice = "it is neither a program for this machine nor a script"
	case unix.ETXTBSY:
		e.Advice = "some process still has it open for writing"
	case unix.E2BIG:
		e.Advice = fmt.Sprintf("%d bytes of arguments and %d of environment; a single one may be %d, and all together about a quarter of the stack limit: hand large values over in files", size(argv), size(env), 32*os.Getpagesize())
	case 0, unix.EINVAL, unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE:
		e.Code = codeFailed // whatever the command is, it was not its fault
	}
	return e
}

func size(words []string) (n int) {
	for _, w := range words {
		n += len(w) + 1
	}
	return n
}
