package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/pipelines"
	"github.com/with-creds/with-creds/providers/registry"
	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/child"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/step/spec"
)

// runCommand is the same by name, for who wants to read it: with-creds run --session … -- COMMAND.
func (w *world) runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "wrap a command; what with-creds does without a command's name",
		UsageText: "with-creds run [flags] -- COMMAND [argument …]\n\nwith-creds run --session \"$WITH_CREDS_SESSION\" -- pg_dump -h db app",
		Flags:     flags(), Action: w.run, OnUsageError: usageError,
	}
}

// run is `with-creds [flags] -- COMMAND`.
func (w *world) run(c *cli.Context) error {
	switch {
	case len(w.args) == 1, len(w.args) == 2 && w.args[1] == "help":
		return cli.ShowAppHelp(c)
	case c.Args().Present():
		return misplaced(c, c.Args().Slice(), w.command)
	case !w.wraps:
		return errors.New("no command: with-creds [flags] -- COMMAND")
	case len(w.command) == 0:
		return errors.New("no command after the --")
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, child.Signals()...)
	defer signal.Stop(signals)

	j, err := w.judge(c)
	if err != nil {
		return err
	}
	o := j.options(w, signals)
	// What -c asks for is this run's. What WITH_CREDS has asks for the whole job as a rule, and start has issued it.
	own := len(j.specs) > 0 && c.IsSet("credential")
	if own && c.IsSet("session") {
		return errors.New("-c and --session: a run has credentials of its own or a session's; two of them can be nested")
	}
	if !own && j.Session != "" {
		if err := borrow(&o, j.Session); err != nil {
			return err
		}
	}
	result := step.Run(o)
	w.code = result.Code
	return nil
}

// Judged is what the settings come to: all that is known before the first network call.
type judged struct {
	settings
	env      map[string]string // this process's
	layers   layers
	onRotate syscall.Signal
	specs    []spec.Spec
	ci       *pipelines.Job
	log      step.Log
}

// judge reads settings and specs from their four spellings and refuses what makes no sense.
func (w *world) judge(c *cli.Context) (judged, error) {
	j, err := w.settle(c)
	if err != nil {
		return j, err
	}
	if given := c.StringSlice("credential"); len(given) > 1 && slices.ContainsFunc(given, func(text string) bool { return strings.TrimSpace(text) == "" }) {
		return j, errors.New("-c (--credential): one of several is empty, so something would be missing: is a variable not set that it is made of?")
	}
	j.specs, err = spec.ParseAll(j.Specs)
	return j, err
}

// settle is judge without the specs, for the commands that issue nothing.
func (w *world) settle(c *cli.Context) (judged, error) {
	env := environment(w.env)
	said := flagLayer(c)
	j := judged{env: env, ci: pipelines.Detect(func(name string) string { return env[name] })}
	w.logFormat, _ = layers{said, env}.Lookup("WITH_CREDS_LOG_FORMAT")
	named, _ := layers{said, env}.Lookup("WITH_CREDS_CONFIG")
	dotenv, ignored, err := dotenvLayer(named, ".", j.ci != nil)
	if err != nil {
		return j, err
	}
	j.layers = layers{said, env, dotenv}
	w.logFormat, _ = j.layers.Lookup("WITH_CREDS_LOG_FORMAT")
	if j.settings, err = load(context.Background(), j.layers); err != nil {
		return j, err
	}
	if _, said := j.layers.Lookup("WITH_CREDS_GRACE"); !said {
		j.Grace = j.ci.Grace(j.Grace)
	}
	j.log = newLog(w.stderr, j.settings)
	if ignored != "" {
		j.log.Warn("%s", ignored)
	}
	for _, name := range misspelt(env) {
		j.log.Warn("%v; it is ignored", notASetting(name))
	}
	j.onRotate, err = signalNamed(j.OnRotate)
	return j, err
}

// options are the settings as a run takes them.
func (j judged) options(w *world, signals <-chan os.Signal) step.Options {
	env := environment(w.env)
	o := step.Options{
		Version:   version,
		Specs:     j.specs,
		Providers: registry.All(),
		Lookup:    j.layers.Lookup,
		Argv:      w.command,
		Env:       w.env,
		Stdin:     w.stdin, Stdout: w.stdout, Stderr: w.stderr,
		Signals:       signals,
		Bind:          j.bindOptions(),
		PassEnv:       j.PassEnv,
		Mask:          j.Mask == "on",
		MaskEnv:       j.MaskEnv,
		Leash:         j.Leash,
		Grace:         j.Grace,
		ReadyTimeout:  j.ReadyTimeout,
		RevokeTimeout: j.RevokeTimeout,
		WarnOnly:      j.RevokeFailure == "warn",
		KillOnExpiry:  j.OnExpiry == "kill",
		OnRotate:      j.onRotate,
		EnvFile:       j.EnvFile,
		Guard:         &guard.Options{Journal: journalDir(env), Env: networkEnv(env)},
		Receipt:       j.Receipt,
		Log:           j.log,
	}
	if j.VaultJWTName != "" {
		o.DropEnv = append(o.DropEnv, j.VaultJWTName)
	}
	if j.ci != nil {
		o.CI = &receipt.CI{System: j.ci.System, Job: j.ci.Name, ID: j.ci.ID, URL: j.ci.URL}
		o.Masking, o.Temp = j.ci.Masking, j.ci.Temp()
	}
	return o
}

func (j judged) bindOptions() bind.Options {
	parent := func(name string) (string, bool) { value, ok := j.env[name]; return value, ok }
	o := bind.Options{AllowEnv: j.AllowEnv, Presets: map[string]string{}, Parent: parent}
	for i := len(j.layers) - 1; i >= 0; i-- {
		for name, text := range j.layers[i] {
			if preset, ok := strings.CutPrefix(name, "WITH_CREDS_PRESET_"); ok && text != "" {
				o.Presets[strings.ToLower(preset)] = text
			}
		}
	}
	return o
}

// environment is "NAME=value" as a map; of a name that stands twice the first counts, as getenv(3) has it.
func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, nv := range list {
		name, value, _ := strings.Cut(nv, "=")
		if _, twice := env[name]; !twice {
			env[name] = value
		}
	}
	return env
}

// journalDir is where journals are kept: on a disk, for a power cut is what they are for. Empty where there is no home.
func journalDir(env map[string]string) string {
	switch {
	case filepath.IsAbs(env["XDG_STATE_HOME"]): // the XDG base directory specification ignores relative ones
		return filepath.Join(env["XDG_STATE_HOME"], "with-creds", "journal")
	case filepath.IsAbs(env["HOME"]):
		return filepath.Join(env["HOME"], ".local", "state", "with-creds", "journal")
	}
	return ""
}

// networkEnv is what Go's network code reads of the environment; the guard has none of its own.
func networkEnv(env map[string]string) map[string]string {
	some := map[string]string{}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v := env[name]; v != "" {
			some[name] = v
		}
	}
	return some
}

// signalNamed is the signal of a name such as HUP or SIGHUP; 0 for none.
func signalNamed(name string) (syscall.Signal, error) {
	if name == "" {
		return 0, nil
	}
	full := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if s := child.SignalNum(full); s != 0 {
		return s, nil
	}
	return 0, fmt.Errorf("--on-rotate (WITH_CREDS_ON_ROTATE): %q is not a signal such as HUP or USR1", name)
}
