// Command with-creds wraps a build command: it issues short-lived credentials, hands them to the command as masked environment
// variables or private files, keeps them alive, and revokes them when the command ends, however it ends.
//
//	with-creds -c 'vault:database/creds/readonly as=postgres' -- pg_dump -h db app
//
// This package turns flags and environment into settings and calls package step; one file a command. What an operator does without a run (doctor, lease, sweep)
// asks the providers themselves.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers/registry"
	"github.com/with-creds/with-creds/step/child"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/serve"
	"github.com/with-creds/with-creds/step/session"
	"github.com/with-creds/with-creds/step/spec"
)

// failed is the exit code of with-creds' own failures, as env(1) and timeout(1) have it; the command's codes are its own.
const failed = 125

func main() { os.Exit(realMain()) }

func realMain() int {
	keepPrivate()
	if code, ok := child.Monitor(os.Args); ok { // the terminal's second process (see package child)
		return code
	}
	if len(os.Args) == 3 && os.Args[1] == guard.Arg {
		return beGuard()
	}
	if len(os.Args) == 2 && os.Args[1] == session.Arg {
		return beKeeper()
	}
	if serve.IsAskpass(os.Args[0]) { // ssh asks for the password of a command's credential
		return serve.Askpass(os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	}
	w := world{args: os.Args, env: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return w.main(context.Background())
}

// beGuard is the second process (see package guard). Its socket is descriptor 3.
func beGuard() int {
	socket := os.NewFile(3, "guard")
	if info, err := socket.Stat(); err != nil || info.Mode()&os.ModeSocket == 0 {
		fmt.Fprintln(os.Stderr, "with-creds: guard is started by with-creds itself, and by nobody else")
		return failed
	}
	if err := guard.Serve(socket, registry.All()); err != nil {
		return failed
	}
	return 0
}

// beKeeper is the process behind a session (see package session). Its socket is descriptor 3.
func beKeeper() int {
	socket := os.NewFile(3, "start")
	if info, err := socket.Stat(); err != nil || info.Mode()&os.ModeSocket == 0 {
		fmt.Fprintln(os.Stderr, "with-creds: keeper is started by with-creds itself, and by nobody else")
		return failed
	}
	keeper, order, err := session.Take(socket)
	if err != nil {
		return failed
	}
	// For what reads the process's own environment: Go's network code, and programs that a provider runs. What /proc shows is the environment it
	// was started with, which is as good as empty.
	for name, value := range environment(order.Env) {
		os.Setenv(name, value)
	}
	w := world{args: order.Args, env: order.Env, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, keeper: keeper}
	return w.main(context.Background())
}

// A world is what a process is given. Tests give another.
type world struct {
	args                  []string
	env                   []string
	stdin, stdout, stderr *os.File

	command []string // what followed the first --
	wraps   bool     // there was one
	code    int      // the exit code of a command that ran

	logFormat string // of what is told when that has failed; empty: text, or not known yet

	keeper *session.Keeper // in the process behind a session alone
}

// main cuts the command line at the first "--" before any flag parser sees it: what follows is the command, whatever it is called
// (`with-creds -- help` runs a program named help).
func (w *world) main(ctx context.Context) int {
	head := w.args
	if i := slices.Index(w.args, "--"); i > 0 {
		head, w.command, w.wraps = w.args[:i], w.args[i+1:], true
	}
	w.logFormat = environment(w.env)["WITH_CREDS_LOG_FORMAT"]
	out := &remembering{to: w.stdout}
	app := w.app()
	app.Writer = out
	err := typeset(head[1:])
	if err == nil {
		err = app.RunContext(ctx, flagsFirst(app, helpOf(app, head)))
	}
	if err == nil {
		err = out.err
	}
	if err == nil {
		return w.code
	}
	w.tell(err)
	return failed
}

// tell is the last word about what failed; of a spec at fault there is the place as well.
func (w *world) tell(err error) {
	if w.logFormat == "json" {
		newLog(w.stderr, settings{LogFormat: w.logFormat}).Warn("%v", err)
		return
	}
	fmt.Fprintf(w.stderr, "with-creds: %s\n", lines(err.Error()))
	if at, ok := errors.AsType[*spec.Error](err); ok {
		fmt.Fprintf(w.stderr, "  %s\n", strings.ReplaceAll(lines(at.Caret()), "\n", "\n  "))
	}
}

// remembering is where help goes: the library does not look whether it could be written.
type remembering struct {
	to  io.Writer
	err error
}

func (r *remembering) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("writing the help: %w", err)
	}
	return n, err
}

func (w *world) app() *cli.App {
	app := &cli.App{
		Name:            "with-creds",
		Usage:           "run a command with short-lived credentials, and revoke them when it ends",
		UsageText:       "with-creds [flags] -- COMMAND [argument …]\n\nwith-creds -c 'vault:database/creds/readonly as=postgres' -- pg_dump -h db app",
		HideHelpCommand: true,
		HideVersion:     true, // the command `version` tells it
		Suggest:         true,
		Writer:          w.stdout,
		ErrWriter:       w.stderr,
		Flags:           flags(),
		Action:          w.run,
		Commands: []*cli.Command{
			w.planCommand(),
			w.doctorCommand(),
			w.presetsCommand(),
			w.leaseCommand(),
			w.runCommand(),
			w.startCommand(),
			w.stopCommand(),
			w.sweepCommand(),
			w.maskCommand(),
			w.copyCommand(),
			w.completionCommand(),
			w.providerCommand(),
			w.credentialCommand(),
			w.versionCommand(),
		},
		OnUsageError:   usageError,
		ExitErrHandler: func(*cli.Context, error) {}, // nothing but main ends the process
		// A comma never splits a spec.
		DisableSliceFlagSeparator: true,
	}
	saysNothingOfFalse(app.Commands)
	return app
}

// saysNothingOfFalse takes "(default: false)" off the flags that are on when they are there.
func saysNothingOfFalse(commands []*cli.Command) {
	for _, c := range commands {
		for _, f := range c.Flags {
			if on, ok := f.(*cli.BoolFlag); ok {
				on.DisableDefaultText = true
			}
		}
		saysNothingOfFalse(c.Subcommands)
	}
}
