package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/spec"
	"github.com/with-creds/with-creds/step/spec/nearest"
)

func (w *world) presetsCommand() *cli.Command {
	return &cli.Command{
		Name:  "presets",
		Usage: "show what as=PRESET binds, the built-in ones and your own (WITH_CREDS_PRESET_NAME='…bindings…')",
		UsageText: "with-creds presets [--json] [NAME …]\n\nwith-creds presets postgres aws\n" +
			"export WITH_CREDS_PRESET_SHOP=\"SHOP_URL='https://{username|url}:{password|url}@shop' SHOP_KEY=@key?\"; with-creds plan -c 'vault:kv/data/shop as=shop'\n\n" +
			"A preset of your own is a setting, in the environment or in the dotenv file. NAME=field binds a variable,\n" +
			"NAME='text {field|filter}' composes one, NAME=@field is the path of a private file; a ? at the end binds only where the\n" +
			"credential has the field, and otherwise keeps the parent's from the command; NAME==text is fixed.",
		Flags: append(flags(), &cli.BoolFlag{Name: "json", Usage: "for a program to read"}),
		Action: func(c *cli.Context) error {
			j, err := w.judge(c)
			if err != nil {
				return err
			}
			o := j.bindOptions()
			if err := bind.Check(nil, o); err != nil {
				return err
			}
			all, err := named(o.All(), c.Args().Slice())
			if err != nil {
				return err
			}
			if c.Bool("json") {
				out := json.NewEncoder(w.stdout)
				out.SetEscapeHTML(false)
				out.SetIndent("", "  ")
				return out.Encode(all)
			}
			return printPresets(w.stdout, all)
		},
		OnUsageError: usageError,
	}
}

// named picks presets by name; no names: all.
func named(all []bind.Preset, names []string) ([]bind.Preset, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []bind.Preset
next:
	for _, name := range names {
		for _, p := range all {
			if p.Name == name {
				some = append(some, p)
				continue next
			}
		}
		return nil, fmt.Errorf("there is no preset %q%s; with-creds presets lists them", name, nearest.DidYouMean(name, presetNames(all)))
	}
	return some, nil
}

func presetNames(all []bind.Preset) []string {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names
}

// printPresets is for a person: each preset with a line for each variable.
func printPresets(to io.Writer, all []bind.Preset) error {
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	for i, p := range all {
		if i > 0 {
			fmt.Fprintln(t)
		}
		fmt.Fprintf(t, "as=%s\n", p.Name)
		for _, line := range [][2]string{{"gives", p.About}, {"read by", p.Clients}, {"example", p.Example}} {
			if line[1] != "" {
				fmt.Fprintf(t, "  %s: %s\n", line[0], line[1])
			}
		}
		if names := p.NotInherited(); len(names) > 0 {
			fmt.Fprintf(t, "  not inherited: %s\n", strings.Join(names, ", "))
		}
		bindings, err := spec.ParsePreset(p.Bindings)
		if err != nil {
			return fmt.Errorf("preset %s: %w", p.Name, err)
		}
		for len(bindings) > 0 {
			n := 1 // of the same name: the first that can be had counts
			for n < len(bindings) && bindings[n].Name == bindings[0].Name {
				n++
			}
			fmt.Fprintf(t, "    %s\t%s\n", bindings[0].Name, holds(bindings[:n]))
			bindings = bindings[n:]
		}
	}
	return t.Flush()
}

// holds says in words what the bindings of one name give.
func holds(bindings []spec.Binding) string {
	var all []string
	for _, b := range bindings {
		text, fixed := b.Template.Fixed()
		switch {
		case fixed && (text == "" || len(bindings) > 1):
			text = cmp.Or(text, "empty")
		case fixed:
			text = "always " + text
		case b.File:
			text = "the path of a private file with " + strings.Join(b.Template.Fields(), ", ")
		default:
			text = strings.ReplaceAll(b.Template.String(), "\n", `\n`)
		}
		all = append(all, text)
	}
	text := strings.Join(all, ", else ")
	if last := bindings[len(bindings)-1]; last.Optional {
		if _, fixed := last.Template.Fixed(); !fixed {
			text += " (where the credential has it)"
		}
	}
	return text
}
