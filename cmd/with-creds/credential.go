package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step/serve"
)

// credentialCommand are the helper protocols of programs that ask for credentials, instead of finding them in the environment.
func (w *world) credentialCommand() *cli.Command {
	return &cli.Command{
		Name:  "credential",
		Usage: "answer a program that asks for credentials, for as long as the run lasts",
		UsageText: "with-creds credential git SOCKET get|store|erase\n\n" +
			"with-creds -c 'github:installation?repositories=app&permissions=contents:read as=git' -- git ls-remote https://github.com/acme/app",
		Subcommands: []*cli.Command{{
			Name:  "git",
			Usage: "git's credential helper; as=git tells git to run it",
			UsageText: "with-creds credential git SOCKET get|store|erase\n\n" +
				"with-creds -c 'github:installation?repositories=app&permissions=contents:read as=git' -- git clone https://github.com/acme/app",
			Action: func(c *cli.Context) error {
				if c.NArg() != 2 {
					return errors.New("git runs this by itself: with-creds credential git SOCKET ACTION")
				}
				return serve.GitHelper(c.Args().Get(0), c.Args().Get(1), w.stdin, w.stdout)
			},
			OnUsageError: usageError,
		}},
		Action: oneOf, OnUsageError: usageError,
	}
}
