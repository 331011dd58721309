package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/lease"
)

// leaseCommand is the incident drill: what is out there, for how long, and away with it.
func (w *world) leaseCommand() *cli.Command {
	json := &cli.BoolFlag{Name: "json", Usage: "for a program to read"}
	command := func(name, usage, args, example string, more []cli.Flag, act func(*operator, *cli.Context) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage,
			UsageText:    "with-creds lease " + name + " [flags] " + args + "\n\n" + example,
			Flags:        operatorFlags(append(more, json)...),
			Action:       w.operate("lease "+name, act),
			OnUsageError: usageError,
		}
	}
	all := &cli.Command{
		Name:  "lease",
		Usage: "look at the leases on a server, renew them and revoke them, whoever they were issued for",
		UsageText: "with-creds lease list|lookup|renew|revoke [flags] [argument …]\n\nwith-creds lease list\nwith-creds lease revoke --prefix --sync --yes database/creds/readonly\n\n" +
			"A PLACE is a path of Vault's (database/creds/readonly, or a part of one), or PROVIDER:PLACE, as in postgres:readonly.\n" +
			"An ID is one that list shows. The login is your own: VAULT_ADDR, VAULT_TOKEN, … as for a run.",
		Action: oneOf, OnUsageError: usageError,
	}
	all.Subcommands = []*cli.Command{
		command("list", "the leases under a place", "[PLACE …]", "with-creds lease list database/creds", nil, w.listLeases),
		command("lookup", "what is known of a lease", "ID …", "with-creds lease lookup database/creds/readonly/ojyZ…", nil, w.lookupLeases),
		command("renew", "give a lease more time, as far as its maximum allows", "ID …", "with-creds lease renew --increment 10m database/creds/readonly/ojyZ…",
			[]cli.Flag{&cli.DurationFlag{Name: "increment", Usage: "make it end `DURATION` from now (default: as long as it was given last)"}}, w.renewLeases),
		command("revoke", "end leases before their time", "ID …", "with-creds lease revoke database/creds/readonly/ojyZ…\nwith-creds lease revoke --prefix --sync --yes database/creds/readonly",
			[]cli.Flag{
				&cli.BoolFlag{Name: "prefix", Usage: "all leases under the PLACE that is given in place of an ID; asks first"},
				&cli.BoolFlag{Name: "sync", Usage: "end each by itself, wait for it, and prove that it is gone (otherwise the server promises to)"},
				&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
			}, w.revokeLeases),
	}
	return all
}

// places are the arguments; without one it is everything at Vault.
func places(c *cli.Context) []place {
	if !c.Args().Present() {
		return []place{{provider: "vault"}}
	}
	return placesNamed(c)
}

// placesNamed are the arguments, which may be leases' IDs.
func placesNamed(c *cli.Context) []place {
	var all []place
	for _, arg := range c.Args().Slice() {
		all = append(all, placeOf(arg))
	}
	return all
}

var errNoID = errors.New("which lease? write its ID, as lease list shows it")

func (w *world) listLeases(o *operator, c *cli.Context) error {
	var found []providers.Lease
	for _, p := range places(c) {
		_, f, err := o.finder(p.provider)
		if err != nil {
			return err
		}
		some, err := f.Find(o.ctx, p.path)
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	return w.showLeases(c, found)
}

func (w *world) lookupLeases(o *operator, c *cli.Context) error {
	found, err := o.lookup(c)
	if err != nil {
		return err
	}
	var there []providers.Lease
	for _, l := range found {
		if !l.lease.IsZero() {
			there = append(there, l.lease)
		}
	}
	if err := w.showLeases(c, there); err != nil {
		return err
	}
	return missing(found)
}

// A lookedUp lease is what the server knows of one that was named.
type lookedUp struct {
	place
	session *lease.Session
	lease   providers.Lease // zero: there is none
}

// lookup asks for each of the leases that are named.
func (o *operator) lookup(c *cli.Context) ([]lookedUp, error) {
	var all []lookedUp
	if !c.Args().Present() {
		return nil, errNoID
	}
	for _, p := range placesNamed(c) {
		s, f, err := o.finder(p.provider)
		if err != nil {
			return nil, err
		}
		l, err := f.Lookup(o.ctx, p.path)
		if err != nil {
			return nil, err
		}
		all = append(all, lookedUp{p, s, l})
	}
	return all, nil
}

// missing is an error that names those that there are not.
func missing(all []lookedUp) error {
	var gone []string
	for _, l := range all {
		if l.lease.IsZero() {
			gone = append(gone, l.path)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return fmt.Errorf("there is no lease %s: gone, or never there", strings.Join(gone, ", "))
}

func (w *world) renewLeases(o *operator, c *cli.Context) error {
	increment := c.Duration("increment")
	if c.IsSet("increment") && increment < time.Second {
		return fmt.Errorf("--increment: %s is less than a second; to end a lease, revoke it", increment)
	}
	found, err := o.lookup(c)
	if err != nil {
		return err
	}
	var renewed []providers.Lease
	var failed []error
	for _, l := range found {
		if l.lease.IsZero() {
			continue
		}
		want := increment
		if want == 0 {
			want = lastGiven(l.lease)
		}
		if want == 0 {
			failed = append(failed, fmt.Errorf("renewing %s: how long it was given last is not known: say --increment 1h", l.path))
			continue
		}
		asked := time.Now()
		got, err := l.session.Renew(o.ctx, l.lease, want)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if short := asked.Add(want).Sub(got.Expires); short > 2*time.Second {
			o.log.Warn("%s: %s was asked for, and the server gave less: it is at, or near, its maximum TTL", l.path, want)
		}
		renewed = append(renewed, got)
	}
	if err := w.showLeases(c, renewed); err != nil {
		return err
	}
	return errors.Join(append(failed, missing(found))...)
}

// lastGiven is the time that a lease was given by the server when it was issued, or renewed last; 0 when that is not known.
func lastGiven(l providers.Lease) time.Duration {
	from := l.Issued
	if renewed, err := time.Parse(time.RFC3339, l.Scope[providers.ScopeRenewed]); err == nil {
		from = renewed
	}
	if from.IsZero() || l.Expires.IsZero() {
		return 0
	}
	return max(0, l.Expires.Sub(from)).Round(time.Second)
}

// runs are the runs on this machine which hold leases, or have left them, by Lease.Key: the server itself does not tell whose a lease is.
func (w *world) runs() map[string]string {
	by := map[string]string{}
	remnants, _, _ := guard.Remnants(journalDir(environment(w.env))) // what is no journal is for sweep to tell
	for _, r := range remnants {
		for _, l := range r.Leases {
			by[l.Key()] = r.Run
		}
	}
	return by
}
