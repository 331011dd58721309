package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func attributes(Options) *syscall.SysProcAttr { return nil }

func group(int) int { return 0 }

// send ends the command for every signal but Ctrl-C and Ctrl-Break, which the console sends it itself.
func send(p *os.Process, s os.Signal) error {
	if s == os.Interrupt {
		return nil
	}
	return p.Kill()
}

func find(argv, _ []string, _ string) (string, error) {
	if len(argv) == 0 {
		return "", &StartError{Code: codeFailed, Err: errors.New("no command given")}
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return "", &StartError{Command: argv[0], Code: codeNotFound, Err: errors.New("command not found in PATH")}
	}
	return path, nil
}

func refusal(argv []string, path, _ string, _ []string, err error) *StartError {
	return &StartError{Command: argv[0], Code: codeNotExecutable, Err: fmt.Errorf("%s: %w", path, err)}
}

// Look reports why Start could not execute the command, with the same error, as far as that is known without trying. It starts nothing.
func Look(o Options) error {
	_, err := find(o.Argv, o.Env, o.Dir)
	return err
}
