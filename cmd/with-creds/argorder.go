package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst puts the flags of a command before its arguments, for the flag parser stops at the first argument: `lease revoke ID --sync` would take
// --sync for a second ID. A line without a command is left as it is, and one of run, whose arguments are a program's that lacks its --. Who asks for help in the
// middle of a line is given that alone.
func flagsFirst(app *cli.App, args []string) []string {
	known, commands := app.Flags, app.Commands
	begin := 1 // of the arguments of the command
	for i := 1; i < len(args); i++ {
		if isFlag(args[i]) {
			if takesNext(known, args[i]) {
				i++
			}
			continue
		}
		command := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })
		if command < 0 {
			break
		}
		known, commands, begin = commands[command].Flags, commands[command].Subcommands, i+1
	}
	if begin == 1 || args[begin-1] == "run" {
		return args
	}
	for i := begin; i < len(args); i++ {
		if args[i] == "-h" || args[i] == "--help" {
			return append(slices.Clone(args[:begin]), "--help")
		}
	}
	var said, rest []string
	for i := begin; i < len(args); i++ {
		switch {
		case !isFlag(args[i]):
			rest = append(rest, args[i])
		case takesNext(known, args[i]) && i+1 < len(args):
			said = append(said, args[i], args[i+1])
			i++
		default:
			said = append(said, args[i])
		}
	}
	return slices.Concat(args[:begin], said, rest)
}

func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// takesNext reports whether the value of a flag is the argument after it.
func takesNext(known []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	for _, f := range known {
		if slices.Contains(f.Names(), name) {
			documented, ok := f.(cli.DocGenerationFlag)
			return ok && documented.TakesValue()
		}
	}
	return false
}
