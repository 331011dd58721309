package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers/registry"
	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/bind"
)

// A plan is what a run would issue and bind, from settings alone.
type plan struct {
	Command     string         `json:"command,omitempty"` // argv[0]
	Leash       string         `json:"leash"`
	Mask        bool           `json:"mask"`
	Credentials []bind.Planned `json:"credentials"`
}

func (w *world) planCommand() *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "show what would be issued and bound, without issuing; values are never shown",
		UsageText: "with-creds plan [flags] [-- COMMAND …]\n\nwith-creds plan -c 'vault:database/creds/readonly as=postgres'",
		Flags:     append(flags(), &cli.BoolFlag{Name: "json", Usage: "for a program to read"}),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("plan takes no argument %q; a command goes after --", c.Args().First())
			}
			j, err := w.judge(c)
			if err != nil {
				return err
			}
			credentials, err := step.Plan(j.specs, registry.All(), j.bindOptions())
			if err != nil {
				return err
			}
			if err := step.Judge(j.specs, registry.All(), j.layers.Lookup); err != nil {
				return err
			}
			for i := range credentials {
				credentials[i].NotInherited = slices.DeleteFunc(credentials[i].NotInherited, func(name string) bool { return slices.Contains(j.PassEnv, name) })
			}
			p := plan{Leash: j.Leash.String(), Mask: j.Mask == "on", Credentials: credentials}
			if len(w.command) > 0 {
				p.Command = w.command[0]
			}
			if c.Bool("json") {
				return printJSON(w.stdout, p)
			}
			return p.print(w.stdout)
		},
		OnUsageError: usageError,
	}
}

// print is the plan for a person: a line a variable.
func (p plan) print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CREDENTIAL\tVARIABLE\tHOLDS")
	var notInherited []string
	for _, c := range p.Credentials {
		source := c.Source
		if c.Preset != "" {
			source += " as=" + c.Preset
		}
		if c.EveryField {
			fmt.Fprintf(t, "%s\t%s*\tevery field, known once it is issued\n", source, c.DefaultPrefix)
		}
		for _, v := range c.Variables {
			holds := strings.Join(v.Fields, ", ")
			if len(v.Fields) == 0 {
				holds = "a fixed text"
			}
			if v.File {
				holds = "the path of a private file with " + holds
			}
			if v.Optional {
				holds += " (where the credential has it)"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", source, v.Name, holds)
			source = ""
		}
		notInherited = append(notInherited, c.NotInherited...)
	}
	slices.Sort(notInherited)
	fmt.Fprintln(t)
	if notInherited = slices.Compact(notInherited); len(notInherited) > 0 {
		fmt.Fprintf(t, "not inherited: %s\n", strings.Join(notInherited, ", "))
	}
	fmt.Fprintf(t, "leash %s; nothing was issued\n", p.Leash)
	return t.Flush()
}
