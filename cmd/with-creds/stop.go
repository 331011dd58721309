package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/session"
)

func (w *world) stopCommand() *cli.Command {
	return &cli.Command{
		Name:      "stop",
		Usage:     "revoke what start issued, and prove it; the exit code is 0 when everything is proven to be gone",
		UsageText: "with-creds stop [--session DIRECTORY] [--json]\n\nwith-creds stop --session \"$WITH_CREDS_SESSION\" --json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "session", Usage: "the session in `DIRECTORY` (default: $" + sessionVariable + ")"},
			&cli.BoolFlag{Name: "json", Usage: "print the receipt on stdout"},
		},
		Action:       w.stop,
		OnUsageError: usageError,
	}
}

func (w *world) stop(c *cli.Context) error {
	name := c.String("session")
	if name == "" {
		name = environment(w.env)[sessionVariable]
	}
	switch {
	case w.wraps || c.Args().Present():
		return errors.New("stop takes no command and no argument")
	case name == "":
		return fmt.Errorf("which session? start gives it in %s; or name it with --session", sessionVariable)
	}
	end, err := w.endSession(name)
	if err != nil {
		return err
	}
	w.code = end.Code
	if !c.Bool("json") {
		return nil
	}
	return printJSON(w.stdout, end.Receipt)
}

// endSession stops a session. One that has ended before is as good: what it left tells the same.
func (w *world) endSession(name string) (session.End, error) {
	say := func(line string) { fmt.Fprintln(w.stderr, line) }
	client, err := session.Dial(name)
	var end session.End
	if err == nil {
		defer client.Close()
		end, err = client.Stop(say)
	}
	if over, ok := errors.AsType[*session.Over](err); ok {
		for _, line := range over.Lines {
			say(line)
		}
		newLog(w.stderr, settings{LogFormat: environment(w.env)["WITH_CREDS_LOG_FORMAT"]}).Say("%v", over)
		return over.End, nil
	}
	return end, err
}

// borrow makes a run one whose credentials are a session's.
func borrow(o *step.Options, name string) error {
	client, err := session.Dial(name)
	if err != nil {
		return err
	}
	defer client.Close()
	grant, err := client.Grant()
	if err != nil {
		return err
	}
	lent := &step.Lent{Secrets: grant.Secrets, Providers: grant.Providers, NotInherited: grant.NotInherited}
	for _, v := range grant.Values {
		lent.Values = append(lent.Values, bind.Value{Name: v.Name, Value: v.Value, Secret: v.Secret, Lasts: v.Lasts})
	}
	o.Specs, o.Lent, o.Guard = nil, lent, nil // there is nothing to guard: the session has a guard of its own
	return nil
}
