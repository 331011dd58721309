package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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
			Flags: someFlags("config", "leash", "log-format"),
			Action: w.operate("provider check", func(o *operator, c *cli.Context) error {
				if c.NArg() != 1 {
					return errors.New("name one program: with-creds provider check ./mint.sh; one with arguments goes into quotes")
				}
				return w.checkProgram(o, c.Args().First())
			}),
			OnUsageError: usageError,
		}},
		Action: oneOf, OnUsageError: usageError,
	}
}

// checkProgram tries a program, written as in a spec, with or without its "command:".
func (w *world) checkProgram(o *operator, written string) error {
	source := program.Name + ":" + strings.TrimPrefix(written, program.Name+":")
	s, err := spec.Parse("'" + strings.ReplaceAll(source, "'", `'\''`) + "'")
	if err != nil {
		return fmt.Errorf("%q is not a program with arguments and parameters, as in a spec: %w", written, err)
	}
	if err := (program.Provider{}).Check(s.Request); err != nil {
		return err
	}
	settings := providers.Settings{Lookup: o.layers.Lookup, Run: "check", Leash: o.Leash, Warn: o.log.Warn}
	broken := 0
	kept := program.Conform(o.ctx, settings, s.Request, func(f program.Finding) {
		if f.Tried() && f.Err != nil {
			broken++
		}
		printFinding(w.stdout, f)
	})
	if o.ctx.Err() != nil {
		return fmt.Errorf("stopped before all was tried: %w", context.Cause(o.ctx))
	}
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
