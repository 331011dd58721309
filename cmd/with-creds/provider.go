package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers"
	program "github.com/with-creds/with-creds/providers/command"
	"github.com/with-creds/with-creds/step/spec"
)

func (w *world) providerCommand() *cli.Command {
	return &cli.Command{
		Name:      "provider",
		Usage:     "help with writing a provider of your own",
		UsageText: "with-creds provider check [flags] 'PROGRAM [argument …][?parameter=value&…]'\n\nwith-creds provider check ./mint.sh",
		Subcommands: []*cli.Command{{
			Name:  "check",
			Usage: "try a program that issues credentials (command:PROGRAM) against every rule of the protocol",
			UsageText: "with-creds provider check [flags] 'PROGRAM [argument …][?parameter=value&…]'\n\nwith-creds provider check ./mint.sh\n\n" +
				"It issues two credentials, renews and revokes them. The protocol: https://pkg.go.dev/github.com/with-creds/with-creds/providers/command",
			Flags: flags(),
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return errors.New("name one program: with-creds provider check ./mint.sh; one with arguments goes into quotes")
				}
				return w.checkProgram(c)
			},
			OnUsageError: usageError,
		}},
		Action: oneOf, OnUsageError: usageError,
	}
}

func (w *world) checkProgram(c *cli.Context) error {
	j, err := w.judge(c)
	if err != nil {
		return err
	}
	s, err := spec.Parse("'" + program.Name + ":" + c.Args().First() + "'")
	if err != nil {
		return fmt.Errorf("%q is not a program with arguments and parameters, as in a spec: %w", c.Args().First(), err)
	}
	if err := (program.Provider{}).Check(s.Request); err != nil {
		return err
	}
	settings := providers.Settings{Lookup: j.layers.Lookup, Run: "check", Leash: j.Leash, Warn: j.log.Warn}
	broken := 0
	kept := program.Conform(context.Background(), settings, s.Request, func(f program.Finding) {
		if f.Tried() && f.Err != nil {
			broken++
		}
		printFinding(w.stdout, f)
	})
	if !kept {
		return fmt.Errorf("%s does not conform: %d rule%s broken", s.Request.Path, broken, plural(broken, "", "s"))
	}
	return nil
}

// printFinding is a line for a person.
func printFinding(to io.Writer, f program.Finding) {
	switch {
	case !f.Tried():
		fmt.Fprintf(to, "  -     %s: %s\n", f.Rule, f.Note)
	case f.Err != nil:
		fmt.Fprintf(to, "  FAIL  %s: %v\n", f.Rule, f.Err)
	case f.Note != "":
		fmt.Fprintf(to, "  ok    %s (%s)\n", f.Rule, f.Note)
	default:
		fmt.Fprintf(to, "  ok    %s\n", f.Rule)
	}
}
