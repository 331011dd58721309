package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step/mask"
)

// maskCommand is the masker as a filter, for output of what with-creds did not start.
func (w *world) maskCommand() *cli.Command {
	return &cli.Command{
		Name:  "mask",
		Usage: "copy stdin to stdout with secrets masked, for logs that are made elsewhere",
		UsageText: "COMMAND 2>&1 | with-creds mask --secret-file FILE …\n\nmake deploy 2>&1 | with-creds mask --secret-file token.txt --mask-env DEPLOY_KEY\n\n" +
			"Each line of a secret file is a secret, and so is the value of a line NAME=value, each key in PEM, each string of a file that is JSON,\n" +
			"and the file as a whole. They are masked in every form in which the output of a wrapped command is: base64, URL, JSON, shell and more.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "secret-file", Usage: "mask what is in `FILE`; repeatable"},
			&cli.StringSliceFlag{Name: "mask-env", Usage: "mask the value of the variable `NAME`; repeatable"},
		},
		Action:       w.mask,
		OnUsageError: usageError,
	}
}

func (w *world) mask(c *cli.Context) error {
	switch {
	case w.wraps:
		return errors.New("mask is a filter and runs no command: COMMAND | with-creds mask …")
	case c.Args().Present():
		return fmt.Errorf("mask takes no argument %q: what it masks comes from stdin, and the secrets from --secret-file", c.Args().First())
	}
	m := mask.New(mask.Options{})
	// A secret that cannot be read ends it here, before anything has passed: the writer of the pipe is told by its SIGPIPE.
	for _, path := range c.StringSlice("secret-file") {
		if err := w.addSecretFile(m, path); err != nil {
			return err
		}
	}
	env := environment(w.env)
	for _, name := range c.StringSlice("mask-env") {
		if env[name] == "" {
			return fmt.Errorf("--mask-env %s: there is no such variable, or it is empty", name)
		}
		for range m.Add(env[name]) {
			w.warn("--mask-env %s: its value is shorter than %d bytes and is not masked", name, mask.MinLength)
		}
	}
	if m.Empty() {
		return errors.New("there is nothing to mask: name secrets by --secret-file FILE or --mask-env NAME")
	}
	// Ctrl-C is for the command before the pipe; what that still says has to be masked.
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	if err := m.Copy(w.stdout, w.stdin); err != nil {
		if errors.Is(err, syscall.EPIPE) { // nobody reads any more
			w.code = 128 + int(syscall.SIGPIPE)
			return nil
		}
		return fmt.Errorf("copying the output: %w", err)
	}
	return nil
}

func (w *world) warn(format string, args ...any) {
	fmt.Fprintf(w.stderr, "with-creds: "+format+"\n", args...)
}

// addSecretFile makes what is in a file known to the masker. No error and no warning quotes it.
func (w *world) addSecretFile(m *mask.Masker, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	// Not from the descriptor: a pipe (<(pass show x)) has a mode that says nothing.
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o044 != 0 {
		w.warn("--secret-file %s: others can read it (mode %04o): chmod go-r it", path, info.Mode().Perm())
	}
	secrets := secretsOf(string(content))
	if len(secrets) == 0 {
		return fmt.Errorf("--secret-file %s: it is empty", path)
	}
	if short := m.Add(secrets...); len(short) > 0 {
		w.warn("--secret-file %s: %d value%s shorter than %d bytes and not masked", path, len(short), plural(len(short), " is", "s are"), mask.MinLength)
	}
	return nil
}
