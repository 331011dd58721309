package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst puts the flags of a command before its arguments, for the flag parser stops at the first argument: `lease revoke ID --sync` would take
// --sync for a second ID. Flags before the command's name are the command's as well, and go first of all: the parser would give `--leash 30s run` to nobody. A line
// without a command is left as it is, and so is what follows run, whose arguments are a program's that lacks its --. Who asks for help in the middle of a line
// is given that alone.
func flagsFirst(app *cli.App, args []string) []string {
	known, commands := app.Flags, app.Commands
	path := args[:1:1]           // with-creds and the names of commands
	var before, flagged []string // the flags before the last of those, and after it
	begin := 1                   // of the arguments of the command
	for i := 1; i < len(args); i++ {
		if isFlag(args[i]) {
			flagged = append(flagged, args[i])
			if takesNext(known, args[i]) && i+1 < len(args) {
				i++
				flagged = append(flagged, args[i])
			}
			continue
		}
		command := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })
		if command < 0 {
			break
		}
		known, commands, begin = commands[command].Flags, commands[command].Subcommands, i+1
		path, before, flagged = append(path, args[i]), append(before, flagged...), nil
	}
	if begin == 1 {
		return args
	}
	path = append(path, before...)
	if args[begin-1] == "run" {
		return append(path, args[begin:]...)
	}
	for i := begin; i < len(args); i++ {
		if args[i] == "-h" || args[i] == "--help" {
			return append(path, "--help")
		}
	}
	if len(commands) > 0 { // the command that is meant is not named, or misspelt: that is to be told, and not of flags
		return args
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
	return slices.Concat(path, said, rest)
}

// helpOf is `with-creds COMMAND … --help` for `with-creds help COMMAND …`.
func helpOf(app *cli.App, args []string) []string {
	if len(args) < 3 || args[1] != "help" {
		return args
	}
	commands := app.Commands
	for _, word := range args[2:] {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if i < 0 {
			return args // which is explained where there is no such command
		}
		commands = commands[i].Subcommands
	}
	return slices.Concat(args[:1], args[2:], []string{"--help"})
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
