package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/registry"
	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/spec"
)

// doctorCommand says what the promises rest on here, before somebody relies on them.
func (w *world) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look at settings, this machine and the servers, and say what each promise rests on here",
		UsageText: "with-creds doctor [flags] [PROVIDER …]\n\nwith-creds doctor -c 'vault:database/creds/readonly as=postgres'\nwith-creds doctor vault\n\n" +
			"It takes the settings and credentials that a run would take, logs in as a run would (and out again), and issues nothing.\n" +
			"Each line says which promise it is about (P1: exit 0 means revoked; P2: whatever dies, credentials die; P3: no secret escapes;\n" +
			"P4: the command cannot tell; P5: all or nothing), and what to do where something is to be done. To see a credential issued\n" +
			"and revoked: with-creds … -- true",
		Flags:        append(flags(), &cli.BoolFlag{Name: "json", Usage: "for a program to read"}),
		Action:       w.operate("doctor", w.doctor),
		OnUsageError: usageError,
	}
}

// A section is what was found in one place.
type section struct {
	About    string              `json:"about"` // settings, machine, or a provider
	Findings []providers.Finding `json:"findings"`
}

// A diagnosis is all that was found, as a program reads it.
type diagnosis struct {
	OK       bool      `json:"ok"` // nothing has failed
	Sections []section `json:"sections"`
}

func (w *world) doctor(o *operator, c *cli.Context) error {
	settings, specs := o.examineSettings()
	d := diagnosis{OK: true, Sections: []section{{"settings", settings}, {"machine", w.examineMachine(o.ci)}}}
	for _, name := range examined(specs, c.Args().Slice()) {
		about, found := o.examineProvider(name, specs)
		d.Sections = append(d.Sections, section{about, found})
	}
	failed := 0
	for _, s := range d.Sections {
		for _, f := range s.Findings {
			if f.Level == providers.Fail {
				failed++
			}
		}
	}
	d.OK = failed == 0
	if c.Bool("json") {
		if err := printJSON(w.stdout, d); err != nil {
			return err
		}
	} else {
		d.print(w.stdout)
	}
	if failed > 0 {
		return fmt.Errorf("%d thing%s to be mended", failed, plural(failed, " has", "s have"))
	}
	return nil
}

// examined are the providers to look at: those that are asked for credentials, and those that are named.
func examined(specs []spec.Spec, named []string) []string {
	var all []string
	for _, s := range specs {
		all = append(all, s.Request.Provider)
	}
	for _, name := range named {
		all = append(all, strings.TrimSuffix(name, ":"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// examineSettings judges the specs, and tells which settings give a promise up.
func (o *operator) examineSettings() (found []providers.Finding, specs []spec.Spec) {
	add := func(level providers.Level, promise, fix, format string, args ...any) {
		found = append(found, providers.Finding{Level: level, Promise: promise, Says: fmt.Sprintf(format, args...), Fix: fix})
	}
	specs, err := spec.ParseAll(o.Specs)
	if err == nil && len(specs) > 0 {
		_, err = step.Plan(specs, registry.All(), o.bindOptions())
	}
	switch {
	case err != nil:
		add(providers.Fail, "", "mend the spec; with-creds plan judges it, and asks nobody", "%v", err)
	case len(specs) == 0:
		add(providers.Warn, "", "add -c SPEC, or name a PROVIDER, to have the servers looked at too", "no credentials are asked for")
	default:
		add(providers.OK, "P5", "", "%d credential%s asked for, and what is bound where makes sense (with-creds plan shows it)", len(specs), plural(len(specs), " is", "s are"))
	}
	const longLeash = time.Hour
	switch {
	case o.Leash > longLeash:
		add(providers.Warn, "P2", "leave --leash at its default", "the leash is %v: should this machine vanish, credentials live for that long", o.Leash)
	case o.Leash > 0:
		add(providers.OK, "P2", "", "the leash is %v: should this machine vanish, what can be renewed ends that soon", o.Leash)
	default:
		add(providers.Warn, "P2", "leave --leash at its default", "there is no leash: should this machine vanish, credentials live for their whole TTL")
	}
	if o.RevokeFailure == "warn" {
		add(providers.Warn, "P1", "leave --revoke-failure at its default", "a run exits 0 also when revocation is not proven")
	}
	if o.Mask == "off" {
		add(providers.Warn, "P3", "leave --mask at its default", "secrets in the command's output are not masked")
	}
	if o.ci != nil {
		job := o.ci.System
		if o.ci.Name != "" {
			job += ": " + o.ci.Name
		}
		add(providers.OK, "", "", "this is a job of %s", job)
	}
	if longest := o.ci.Grace(o.Grace); o.Grace > longest {
		add(providers.Warn, "P2", "leave --grace at its default, "+longest.String()+" here, unless the CI was told to wait longer",
			"--grace is %v: a command that heeds no signal would outlast a cancelled job, and %s kills before anything is revoked", o.Grace, o.ci.System)
	}
	return found, specs
}

// examineProvider logs in as a run would, and has the session look around.
func (o *operator) examineProvider(name string, specs []spec.Spec) (about string, found []providers.Finding) {
	defer func() {
		for i, f := range found {
			if f.Level != providers.OK && f.Fix == "" {
				found[i].Fix = "mend what it says, and look again: with-creds doctor " + name
			}
		}
	}()
	began, before := time.Now(), o.requests.Load()
	s, err := o.at(name)
	took := time.Since(began)
	if err != nil {
		says, fix := providers.Advice(err)
		return name, []providers.Finding{{Level: providers.Fail, Says: says, Fix: fix}}
	}
	about = name + " at " + s.Handoff().Origin
	var requests []providers.Request
	for _, one := range specs {
		if one.Request.Provider == name {
			requests = append(requests, one.Request)
		}
	}
	if o.requests.Load() > before { // else there was nobody to answer: what is at hand is tried below
		found = append(found, providers.Finding{Level: providers.OK, Says: fmt.Sprintf("logged in, in %v", took.Round(100*time.Microsecond))})
	}
	examiner, ok := s.Session.(providers.Examiner)
	if !ok {
		return about, append(found, providers.Finding{Level: providers.OK, Says: "nothing more can be told without issuing: with-creds … -- true"})
	}
	return about, append(found, examiner.Examine(o.ctx, requests)...)
}

// print is the diagnosis for a person.
func (d diagnosis) print(to io.Writer) {
	for i, s := range d.Sections {
		if i > 0 {
			fmt.Fprintln(to)
		}
		fmt.Fprintln(to, s.About)
		for _, f := range s.Findings {
			promise := ""
			if f.Promise != "" {
				promise = f.Promise + ": "
			}
			fmt.Fprintf(to, "  %-4s  %s%s\n", f.Level, promise, oneLine(f.Says))
			if f.Fix != "" {
				fmt.Fprintf(to, "        → %s\n", f.Fix)
			}
		}
	}
}
