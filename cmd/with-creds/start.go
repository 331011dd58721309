package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/child"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/session"
)

// agentAway is how long an agent may be away, while the job's processes go on, before it is taken for lost: Jenkins' own measure
// (jenkinsci/workflow-durable-task-step-plugin, ExecutorPickle.java, TIMEOUT_WAITING_FOR_NODE_MILLIS).
const agentAway = 5 * time.Minute

// atLongest is what a session's end may take beyond --revoke-timeout: a request under way is waited for.
const atLongest = 2 * time.Minute

// longestJob is when a session ends that nobody has stopped: GitHub's limit on a job of its own runners.
const longestJob = 6 * time.Hour

func (w *world) startCommand() *cli.Command {
	return &cli.Command{
		Name:  "start",
		Usage: "issue credentials for a whole job, write what the CI reads, and return; stop revokes them",
		UsageText: "with-creds start [flags] [--format github|shell|dotenv|json|session] [--output FILE]\n\n" +
			"eval \"$(with-creds start -c 'vault:database/creds/readonly as=postgres')\"; pg_dump -h db app; with-creds stop",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "write the variables for `github|shell|dotenv|json|session` (default: github in its jobs, else shell; session: none, only where the session is)"},
			&cli.StringFlag{Name: "output", Usage: "write to `FILE`, which must not exist, instead of stdout (shell, dotenv, json)"},
			&cli.StringFlag{Name: "job-timeout", Usage: "give everything back after `DURATION` (default: the time that the CI says the job may take, else " + longestJob.String() + ")"},
			&cli.StringFlag{Name: "watch", Usage: "give everything back when the process `PID` has ended; auto: the CI's own for this job, where it has one; none (default auto)"},
		}, flags()...),
		Action: w.start,
		OnUsageError: func(c *cli.Context, err error, isSubcommand bool) error {
			w.failEval(c, starting{})
			return usageError(c, err, isSubcommand)
		},
	}
}

// A starting is what the settings of start come to.
type starting struct {
	judged
	format  string
	output  string
	timeout time.Duration
	watch   int // 0: nothing
}

// judgeStart reads the settings, in start and again in the keeper, by the same rules.
func (w *world) judgeStart(c *cli.Context) (starting, error) {
	s := starting{output: c.String("output")}
	if w.wraps {
		return s, errors.New("start runs no command: leave out the --, or leave out start")
	}
	if c.Args().Present() {
		return s, fmt.Errorf("start takes no argument %q", c.Args().First())
	}
	var err error
	if s.judged, err = w.judge(c); err != nil {
		return s, err
	}
	switch {
	case s.OnExpiry == "kill":
		return s, errors.New("--on-expiry=kill: start runs no command that could be ended")
	case s.OnRotate != "":
		return s, errors.New("--on-rotate: start runs no command that could be told")
	case s.EnvFile != "":
		return s, errors.New("--env-file: start writes what --format says, to --output")
	}
	if s.format, err = s.chooseFormat(c.String("format"), environment(w.env)); err != nil {
		return s, err
	}
	s.timeout = longestJob
	if s.ci != nil && s.ci.Limit > 0 {
		s.timeout = s.ci.Limit
	}
	if text := c.String("job-timeout"); text != "" {
		if s.timeout, err = time.ParseDuration(text); err != nil || s.timeout <= 0 {
			return s, fmt.Errorf("--job-timeout: %q is not a duration such as 90m or 2h", text)
		}
	}
	switch text := c.String("watch"); text {
	case "none":
	case "", "auto":
		if s.watch = session.Ancestor(os.Getpid(), s.ci.Workers()); s.watch == 0 {
			s.watch = session.Agent(s.ci.Agents())
		}
	default:
		if s.watch, err = strconv.Atoi(text); err != nil || s.watch <= 0 {
			return s, fmt.Errorf("--watch: %q is not the number of a process, nor auto or none", text)
		}
	}
	return s, nil
}

// start is `with-creds start`: in the process that the job calls it spawns the keeper and passes on what that was given; in the keeper it is the run.
func (w *world) start(c *cli.Context) error {
	s, err := w.judgeStart(c)
	switch {
	case err == nil && w.keeper != nil:
		return w.keep(s)
	case err == nil:
		err = w.begin(s)
	}
	if w.keeper == nil && (err != nil || w.code != 0) {
		w.failEval(c, s)
	}
	return err
}

// begin is start in the process that the job calls. Of one that fails nothing is left.
func (w *world) begin(s starting) (err error) {
	to, err := w.destination(s)
	if err != nil {
		return err
	}
	defer func() { to.end(err == nil && w.code == 0) }()
	if _, err := step.Plan(s.specs, s.options(w, nil).Providers, s.bindOptions()); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	if s.watch != 0 {
		if err := session.Watch(s.watch, func() {}); err != nil {
			return fmt.Errorf("--watch: %w", err)
		}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	begun, err := w.spawnKeeper(s)
	if err != nil {
		return err
	}
	return w.passOn(s, to, begun, signals)
}

// spawnKeeper starts the process behind the session, and gives it this one's command line and environment.
func (w *world) spawnKeeper(s starting) (*session.Starting, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	process, socket, err := guard.Spawn(guard.Self(), dir, session.Arg)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	_ = process.Release() // it outlives this process
	return session.Begin(socket, session.Order{Args: withWatch(w.args, s.watch), Env: w.env, Dir: dir})
}

// passOn waits for what the keeper issues, and writes it where the job reads it. A signal ends that, with all that was issued given back.
func (w *world) passOn(s starting, to destination, begun *session.Starting, signals <-chan os.Signal) (err error) {
	say := func(line string) { fmt.Fprintln(w.stderr, line) }
	var stopped atomic.Int32 // the exit code that a signal asks for
	go func() {
		for sig := range signals {
			stopped.Store(128 + int32(sig.(syscall.Signal)))
			begun.Abandon("start was stopped by " + sig.String())
		}
	}()
	defer func() {
		if code := int(stopped.Load()); code != 0 {
			if err != nil {
				say("with-creds: " + err.Error())
			}
			w.code, err = code, nil
		}
	}()
	grant, end, err := begun.Await(say)
	if err != nil {
		return err
	}
	if end != nil {
		w.code = max(end.Code, failed)
		return nil
	}
	if err := w.write(s, to, *grant); err != nil {
		begun.Abandon(err.Error())
		_, _, _ = begun.Await(say) // everything is given back before this process says that it failed
		return err
	}
	if err := begun.Kept(); err != nil {
		return errors.New("the session's keeper was lost; its guard revokes what it had been given")
	}
	return nil
}

// withWatch is the command line with the process to watch, which the keeper could not find: it is nobody's child.
func withWatch(args []string, pid int) []string {
	watch := "none"
	if pid != 0 {
		watch = strconv.Itoa(pid)
	}
	return append(append([]string{}, args...), "--watch", watch)
}

// watchJob calls ended when the process whose end is the job's has ended.
func (s starting) watchJob(ended func()) error {
	switch agents := s.ci.Agents(); {
	case s.watch == 0:
		return nil
	case s.watch == session.Agent(agents):
		return session.WatchAgent(s.watch, agents, agentAway, ended)
	}
	return session.Watch(s.watch, ended)
}

// keep is the keeper's run.
func (w *world) keep(s starting) error {
	if err := s.watchJob(func() { w.keeper.GiveBack("the job's process has ended") }); err != nil {
		w.keeper.GiveBack(err.Error()) // it was there a moment ago
	}
	defer time.AfterFunc(s.timeout, func() { w.keeper.GiveBack("the job's time is over (--job-timeout)") }).Stop()
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, child.Signals()...)
	defer signal.Stop(signals)
	o := s.options(w, signals)
	o.Argv, o.Stdin, o.Stdout, o.Stderr, o.Masking = nil, nil, nil, nil, nil
	o.Log = newLog(w.keeper, s.settings)
	o.Hold = w.keeper.Hold(s.RevokeTimeout + atLongest)
	o.Hold.Secret = s.format == "shell"
	result := step.Run(o)
	w.code = result.Code
	w.keeper.End(result.Code, result.Receipt)
	return nil
}
