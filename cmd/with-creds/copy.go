package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step/guard"
)

// copyCommand is for an init container: its image holds this program and nothing that could copy it.
func (w *world) copyCommand() *cli.Command {
	return &cli.Command{
		Name:      "copy",
		Usage:     "put this program into a directory, as an init container does for the others of its pod",
		UsageText: "with-creds copy DIRECTORY\n\nwith-creds copy /with-creds",
		Action: func(c *cli.Context) error {
			if w.wraps || c.Args().Len() != 1 || c.Args().First() == "" {
				return fmt.Errorf("copy takes one directory, to put this program into: with-creds copy /with-creds")
			}
			return copyProgram(c.Args().First())
		},
		OnUsageError: usageError,
	}
}

// copyProgram puts the program in its place in one step: whoever looks there finds it whole or not at all.
func copyProgram(dir string) error {
	from, err := os.Open(guard.Self())
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, ".with-creds-*")
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("copy: there is no directory %s: make it first", dir)
	}
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer os.Remove(to.Name())
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Chmod(0o755)
	}
	if closed := to.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(to.Name(), filepath.Join(dir, "with-creds"))
	}
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return nil
}
