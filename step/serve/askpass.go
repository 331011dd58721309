package serve

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// askpassName is what a link to with-creds is called that makes it the program which answers ssh's prompts.
const askpassName = "with-creds-askpass" //nolint:gosec // a name

// openAskpass makes a link to this program: SSH_ASKPASS takes a path and no arguments, and a script of our own could not be run
// where memory is mounted noexec, as /dev/shm is in containers.
func openAskpass(_ []string, e *Endpoints) error {
	dir, err := e.source.Dir()
	if err != nil {
		return err
	}
	program, err := e.source.Program()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, askpassName)
	if err := os.Symlink(program, path); err != nil && !errors.Is(err, os.ErrExist) { // of another credential of this run
		return fmt.Errorf("making %s: %w", askpassName, err)
	}
	e.add("served:askpass", path, false)
	return nil
}

// IsAskpass reports whether a process was started by the name of the link that openAskpass makes.
func IsAskpass(argv0 string) bool { return filepath.Base(argv0) == askpassName }

// Askpass is that program: it answers a prompt for a password with $SSHPASS, and no other. ssh asks it whether to trust an unknown host,
// too; saying nothing to that refuses the host. The result is its exit code.
func Askpass(args []string, lookup func(string) (string, bool), out, errOut io.Writer) int {
	prompt := strings.Join(args, " ")
	password, ok := lookup("SSHPASS")
	switch {
	case !strings.Contains(strings.ToLower(prompt), "password"):
		fmt.Fprintf(errOut, "with-creds: this is asked of a person, and not answered: %s\n", prompt)
		return 1
	case !ok:
		fmt.Fprintln(errOut, "with-creds: SSHPASS is not set")
		return 1
	}
	if _, err := fmt.Fprintln(out, password); err != nil {
		return 1
	}
	return 0
}
