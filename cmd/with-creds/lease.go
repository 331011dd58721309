package main

import (
	"errors"
	"fmt"
	"slices"
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

// placesNamed are the arguments.
func placesNamed(c *cli.Context) []place {
	var all []place
	for _, arg := range c.Args().Slice() {
		all = append(all, placeOf(arg))
	}
	return all
}

// leasesNamed are the arguments where each is to be a lease's ID.
func leasesNamed(c *cli.Context) ([]place, error) {
	all := placesNamed(c)
	if len(all) == 0 || slices.ContainsFunc(all, func(p place) bool { return strings.Trim(p.path, "/") == "" }) {
		return nil, errNoID
	}
	return all, nil
}

var errNoID = errors.New("which lease? write its ID, as lease list shows it")

// listLeases goes through all the places: what cannot be listed of one says nothing of the next.
func (w *world) listLeases(o *operator, c *cli.Context) error {
	var found []providers.Lease
	var failed []error
	for _, p := range places(c) {
		some, err := o.find(p)
		found, failed = append(found, some...), append(failed, err)
	}
	return w.showFound(c, found, errors.Join(failed...))
}

// showFound prints leases, unless there are none because something failed, which is returned.
func (w *world) showFound(c *cli.Context, found []providers.Lease, failed error) error {
	if len(found) == 0 && failed != nil {
		return failed
	}
	return errors.Join(w.showLeases(c, found), failed)
}

func (w *world) lookupLeases(o *operator, c *cli.Context) error {
	found, failed := o.lookup(c)
	var there []providers.Lease
	for _, l := range found {
		if !l.lease.IsZero() {
			there = append(there, l.lease)
		}
	}
	return w.showFound(c, there, errors.Join(failed, missing(found)))
}

// A lookedUp lease is what the server knows of one that was named.
type lookedUp struct {
	place
	session *lease.Session
	lease   providers.Lease // zero: there is none
}

// lookup asks for each of the leases that are named. The error is of those which could not be asked for.
func (o *operator) lookup(c *cli.Context) ([]lookedUp, error) {
	named, err := leasesNamed(c)
	if err != nil {
		return nil, err
	}
	var all []lookedUp
	var failed []error
	for _, p := range named {
		l, err := o.lookupOne(p)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		all = append(all, l)
	}
	return all, errors.Join(failed...)
}

func (o *operator) lookupOne(p place) (lookedUp, error) {
	s, f, err := o.finder(p.provider)
	if err != nil {
		return lookedUp{place: p}, err
	}
	defer o.waiting("looking up %s", p.path)()
	l, err := f.Lookup(o.ctx, p.path)
	return lookedUp{p, s, l}, err
}

// find lists the leases under a place.
func (o *operator) find(p place) ([]providers.Lease, error) {
	_, f, err := o.finder(p.provider)
	if err != nil {
		return nil, err
	}
	defer o.waiting("listing the leases of %s under %q", p.provider, p.path)()
	return f.Find(o.ctx, p.path)
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
	found, unknown := o.lookup(c)
	var renewed []providers.Lease
	failed := []error{unknown}
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
		got, err := o.renewOne(l, want)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if short := asked.Add(want).Sub(got.Expires); short > 2*time.Second {
			o.log.Warn("%s: %s was asked for, and the server gave less: it is at, or near, its maximum TTL", l.path, want)
		}
		renewed = append(renewed, got)
	}
	return w.showFound(c, renewed, errors.Join(append(failed, missing(found))...))
}

func (o *operator) renewOne(l lookedUp, increment time.Duration) (providers.Lease, error) {
	defer o.waiting("renewing %s", l.path)()
	return l.session.Renew(o.ctx, l.lease, increment)
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
