package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/lease"
)

// revokedAtOnce is how many leases are ended together. The database behind them makes and drops users one after another.
const revokedAtOnce = 16

// A revoked lease is what became of one.
type revoked struct {
	Provider string          `json:"provider"`
	Lease    string          `json:"lease"`
	Proof    providers.Proof `json:"proof"`
	Note     string          `json:"note,omitempty"`
	Error    string          `json:"error,omitempty"`
}

func (r revoked) failed() bool { return r.Error != "" }

// cells are its row of a table, with what is done, or to be done.
func (r revoked) cells(what string) []string {
	if why := r.Note + r.Error; why != "" {
		return []string{what, r.Lease, why}
	}
	return []string{what, r.Lease}
}

// noLease is what became of one that there is not: what was never seen is not proven to be gone.
const noLease providers.Proof = "none"

func (w *world) revokeLeases(o *operator, c *cli.Context) error {
	if !c.Args().Present() {
		return errNoID
	}
	var all []revoked // not nil, which is null in JSON, unless all has failed
	var failed error
	if c.Bool("prefix") {
		all, failed = w.revokePlaces(o, c)
	} else {
		all, failed = o.revokeNamed(c)
	}
	if failed != nil && len(all) == 0 {
		return failed
	}
	if c.Bool("json") {
		if err := printJSON(w.stdout, all); err != nil {
			return err
		}
	} else if err := w.showRevoked(all); err != nil {
		return err
	}
	n := 0
	for _, r := range all {
		if r.failed() {
			n++
		}
	}
	if n > 0 {
		failed = errors.Join(fmt.Errorf("%d of %d leases are not revoked", n, len(all)), failed)
	}
	return failed
}

// revokeNamed ends the leases that are named, each whatever becomes of the others.
func (o *operator) revokeNamed(c *cli.Context) ([]revoked, error) {
	named, err := leasesNamed(c)
	if err != nil {
		return nil, err
	}
	all := []revoked{}
	for _, p := range named {
		all = append(all, o.revokeOne(p, c.Bool("sync")))
	}
	return all, nil
}

func (o *operator) revokeOne(p place, sync bool) revoked {
	l, err := o.lookupOne(p)
	switch {
	case l.session != nil && errors.Is(err, providers.ErrRefused): // a policy may let one revoke and not look
		r := o.end(l.session, providers.Lease{Provider: p.provider, ID: p.path}, sync)
		if r.Note == "" {
			r.Note = "whether it is a lease could not be looked up"
		}
		return r
	case err != nil:
		return revoked{p.provider, p.path, providers.Failed, "", err.Error()}
	case l.lease.IsZero():
		return o.notThere(p)
	}
	defer o.waiting("revoking %s", p.path)()
	return o.end(l.session, l.lease, sync)
}

// notThere is what becomes of a lease that there is not. That it is gone is what was wanted; but it may be a slip of the hand, or the place of leases that live.
func (o *operator) notThere(p place) revoked {
	r := revoked{p.provider, p.path, noLease, "there is no such lease: it is gone, or never was", ""}
	under, err := o.find(p)
	switch {
	case errors.Is(err, providers.ErrRefused):
		r.Note += "; what is under it may not be listed"
	case err != nil:
		r = revoked{p.provider, p.path, providers.Failed, "", err.Error()}
	case len(under) > 0:
		r = revoked{p.provider, p.path, providers.Failed, "", fmt.Sprintf("it is no lease, and %d lease%s under it: add --prefix to revoke %s",
			len(under), plural(len(under), " is", "s are"), plural(len(under), "it", "them"))}
	}
	return r
}

// end ends one lease: by itself and proven, or by the server's own queue where it has one.
func (o *operator) end(s *lease.Session, l providers.Lease, sync bool) revoked {
	r := revoked{Provider: l.Provider, Lease: l.ID}
	var err error
	if queue, ok := s.Session.(providers.Deferrer); ok && !sync {
		r.Proof, err = queue.Defer(o.ctx, l)
	} else {
		ctx, cancel := context.WithTimeout(o.ctx, o.RevokeTimeout)
		defer cancel()
		outcome := lease.Revoker{Book: o.book}.One(ctx, s, l)
		r.Proof, err = outcome.Proof, outcome.Err
	}
	if err != nil {
		r.Error = err.Error()
	}
	if r.Proof == providers.Expires {
		r.Note = "it cannot be revoked, and ends at " + l.Expires.UTC().Format(time.RFC3339)
	}
	return r
}

// revokePlaces ends all leases under each place that is named.
func (w *world) revokePlaces(o *operator, c *cli.Context) ([]revoked, error) {
	named := placesNamed(c)
	for _, p := range named {
		if strings.Trim(p.path, "/") == "" && p.provider == "vault" {
			return nil, errors.New("revoking every lease that Vault has, logins included, is not done: name a path, as in database/creds")
		}
	}
	all := []revoked{}
	var failed []error
	for _, p := range named {
		if o.ctx.Err() != nil {
			break
		}
		some, err := w.revokePlace(o, c, p)
		all, failed = append(all, some...), append(failed, err)
	}
	return all, errors.Join(failed...)
}

func (w *world) revokePlace(o *operator, c *cli.Context, p place) ([]revoked, error) {
	found, err := o.find(p)
	if err != nil {
		return nil, err
	}
	s, err := o.at(p.provider)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		o.log.Warn("there are no leases under %s", p)
		return nil, nil
	}
	if !c.Bool("yes") {
		if err := w.ask(o.ctx, fmt.Sprintf("revoke %d lease%s under %s at %s", len(found), plural(len(found), "", "s"), p, s.Handoff().Origin)); err != nil {
			return nil, err
		}
	}
	if queue, ok := s.Session.(providers.Dropper); ok && !c.Bool("sync") {
		proof, err := o.drop(queue, p)
		if err == nil {
			return eachAs(found, proof), nil
		}
		if !errors.Is(err, providers.ErrRefused) {
			return nil, err
		}
		o.log.Warn("%v; ending each by itself", err)
	}
	all := o.endEach(s, found, c.Bool("sync"))
	if !c.Bool("sync") {
		return all, nil
	}
	return all, o.lookAgain(p, found)
}

func (o *operator) drop(queue providers.Dropper, p place) (providers.Proof, error) {
	defer o.waiting("revoking what is under %s", p.path)()
	return queue.Drop(o.ctx, p.path)
}

// eachAs gives each of the leases the same outcome.
func eachAs(leases []providers.Lease, proof providers.Proof) []revoked {
	all := make([]revoked, len(leases))
	for i, l := range leases {
		all[i] = revoked{Provider: l.Provider, Lease: l.ID, Proof: proof}
	}
	return all
}

// endEach ends leases in parallel, each by itself: one behind a database that does not answer must not hold up the others.
func (o *operator) endEach(s *lease.Session, leases []providers.Lease, sync bool) []revoked {
	all := make([]revoked, len(leases))
	done, stop := o.counting(len(leases))
	defer stop()
	var work errgroup.Group
	work.SetLimit(revokedAtOnce)
	for i, l := range leases {
		work.Go(func() error {
			defer done()
			all[i] = o.end(s, l, sync)
			return nil
		})
	}
	_ = work.Wait() // each has told of its own error
	return all
}

// counting says time and again how many of so many leases are seen to, until stop is called.
func (o *operator) counting(of int) (done, stop func()) {
	var n atomic.Int64
	return func() { n.Add(1) }, every(2*time.Second, func() { o.log.Say("%d of %d are done …", n.Load(), of) })
}

// every calls say time and again until what it returns is called.
func every(pause time.Duration, say func()) (stop func()) {
	tick := time.NewTicker(pause)
	over := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-tick.C:
				say()
			case <-over:
				return
			}
		}
	})
	return func() {
		tick.Stop()
		close(over)
		ended.Wait()
	}
}

// lookAgain tells of leases that were issued meanwhile: whoever asks for them still can.
func (o *operator) lookAgain(p place, before []providers.Lease) error {
	after, err := o.find(p)
	if err != nil {
		return fmt.Errorf("all that there were are seen to, and whether there are new ones is not known: %w", err)
	}
	known := map[string]bool{}
	for _, l := range before {
		known[l.Key()] = true
	}
	fresh := 0
	for _, l := range after {
		if !known[l.Key()] {
			fresh++
		}
	}
	if fresh > 0 {
		return fmt.Errorf("%d lease%s been issued under %s meanwhile: take away the right to ask for them, and revoke again",
			fresh, plural(fresh, " has", "s have"), p.path)
	}
	return nil
}

// ask asks a person. Where there is none the answer is no.
func (w *world) ask(ctx context.Context, what string) error {
	if !term.IsTerminal(int(w.stdin.Fd())) || !term.IsTerminal(int(w.stderr.Fd())) {
		return fmt.Errorf("to %s without being asked takes --yes: there is no terminal to ask at", what)
	}
	fmt.Fprintf(w.stderr, "with-creds: %s? [y/N] ", what)
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(w.stdin).ReadString('\n')
		answered <- line
	}()
	select {
	case line := <-answered:
		if a := strings.ToLower(strings.TrimSpace(line)); a == "y" || a == "yes" {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(w.stderr)
	}
	return errors.New("nothing was revoked")
}

// showRevoked is the table for a person; where all are the same, a line.
func (w *world) showRevoked(all []revoked) error {
	tally := map[string]int{}
	for _, r := range all {
		tally[string(r.Proof)]++
	}
	t := tabwriter.NewWriter(w.stdout, 0, 8, 2, ' ', 0)
	const most = 50 // a table longer than that is not read; what went wrong always is in it
	for _, r := range all {
		if len(all) > most && !r.failed() && r.Note == "" {
			continue
		}
		fmt.Fprintln(t, row(r.cells(string(r.Proof))...))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(all) > 1 {
		_, err := fmt.Fprintf(w.stdout, "%d leases: %s\n", len(all), enumerate(tally))
		return err
	}
	return nil
}

// enumerate is "3 proven, 1 failed".
func enumerate(tally map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(tally)) {
		parts = append(parts, fmt.Sprintf("%d %s", tally[what], what))
	}
	return strings.Join(parts, ", ")
}
