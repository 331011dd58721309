package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/session"
)

// sweepCommand finishes what a power cut, or the death of a run together with its guard, has left.
func (w *world) sweepCommand() *cli.Command {
	return &cli.Command{
		Name:  "sweep",
		Usage: "revoke what a power cut left, by the journals of this machine",
		UsageText: "with-creds sweep [flags] [PROVIDER …]\n\nwith-creds sweep --dry-run\nwith-creds sweep postgres\n\n" +
			"Each run keeps a journal of its leases, without secrets, until they are known to be gone. sweep reads those of runs that are\n" +
			"over, logs in as you are set up to (VAULT_ADDR, VAULT_TOKEN, PGHOST, …), revokes what they name, and removes them.\n" +
			"What sessions have told of their end for more than a day is removed, too.\n" +
			"With a PROVIDER it also looks on that server for logins that with-creds made, which have ended and nobody took away.",
		Flags: operatorFlags(
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done; log in nowhere unless a PROVIDER is named"},
			&cli.StringSliceFlag{Name: "from", Usage: "also sweep the journals of the machine `HOST`, which must be known to be off; repeatable"},
			&cli.DurationFlag{Name: "past", Value: 15 * time.Minute, Usage: "with a PROVIDER: leave alone what ended less than `DURATION` ago"},
			&cli.BoolFlag{Name: "json", Usage: "for a program to read"},
		),
		Action:       w.operate("sweep", w.sweep),
		OnUsageError: usageError,
	}
}

// What became of a journal.
const (
	stateDone      = "done"      // nothing is left, and the journal is gone
	stateLeft      = "left"      // something is left; the journal stays
	stateAlive     = "alive"     // the run is not over, or another sweep is at it
	stateElsewhere = "elsewhere" // another machine's
	statePlanned   = "planned"   // --dry-run
)

// A swept journal is what became of one run's remains.
type swept struct {
	Journal string    `json:"journal"`
	Run     string    `json:"run"`
	Host    string    `json:"host"`
	Begun   time.Time `json:"begun"`
	State   string    `json:"state"`
	Leases  []revoked `json:"leases"`
	Notes   []string  `json:"notes,omitempty"`

	remnant guard.Remnant
	claim   *guard.Claim // nil: not taken
}

// A sweeping is one sweep as a program reads it.
type sweeping struct {
	Journals []*swept  `json:"journals"`
	Skipped  []string  `json:"skipped,omitempty"` // files that are no journals
	Expired  []revoked `json:"expired,omitempty"` // found on the servers
}

func (w *world) sweep(o *operator, c *cli.Context) error {
	dir := journalDir(environment(w.env))
	if dir == "" {
		return errors.New("where journals are is not known: set HOME, or XDG_STATE_HOME")
	}
	var all sweeping
	if err := all.read(dir, c.StringSlice("from")); err != nil {
		return err
	}
	dry := c.Bool("dry-run")
	if dry {
		all.plan()
	} else {
		all.take()
		for _, place := range bind.Places(layers{environment(w.env)}.Lookup, "") {
			session.Forget(place.Path)
		}
		o.endJournals(all.Journals)
		for _, j := range all.Journals {
			j.finish()
		}
	}
	var failed []error
	for _, provider := range c.Args().Slice() {
		some, err := o.sweepExpired(strings.TrimSuffix(provider, ":"), c.Duration("past"), dry)
		all.Expired = append(all.Expired, some...)
		failed = append(failed, err)
	}
	if c.Bool("json") {
		failed = append(failed, printJSON(w.stdout, all))
	} else {
		failed = append(failed, w.showSweeping(dir, all, dry))
	}
	return errors.Join(append(failed, all.verdict())...)
}

// read lists the journals, and says which of them are not for this sweep.
func (s *sweeping) read(dir string, from []string) error {
	remnants, skipped, err := guard.Remnants(dir)
	if err != nil {
		return err
	}
	for _, why := range skipped {
		s.Skipped = append(s.Skipped, why.Error())
	}
	here, _ := os.Hostname()
	s.Journals = []*swept{}
	for _, r := range remnants {
		j := &swept{Journal: r.Path, Run: r.Run, Host: r.Host, Begun: r.Begun, Leases: []revoked{}, remnant: r}
		switch {
		case r.Host != here && !slices.Contains(from, r.Host):
			j.State = stateElsewhere
			j.Notes = append(j.Notes, "it is of the machine "+r.Host+": sweep there, or, when that is known to be off, add --from "+r.Host)
		case r.Alive:
			j.State = stateAlive
		}
		s.Journals = append(s.Journals, j)
	}
	return nil
}

// plan says what a sweep would do.
func (s *sweeping) plan() {
	for _, j := range s.Journals {
		if j.State != "" {
			continue
		}
		j.State = statePlanned
		for _, l := range j.remnant.Leases {
			j.Leases = append(j.Leases, revoked{Provider: l.Provider, Lease: l.ID, Note: "at " + orDash(j.remnant.Origins[l.Session])})
		}
		for _, dir := range j.remnant.Dirs {
			note := "would remove " + dir
			if err := bind.Removable(dir); err != nil {
				note = "would be refused: " + err.Error()
			}
			j.Notes = append(j.Notes, note)
		}
	}
}

// take claims the journals, so that of two sweeps one works on each.
func (s *sweeping) take() {
	kept := s.Journals[:0]
	for _, j := range s.Journals {
		if j.State == "" {
			claim, err := guard.Take(j.Journal)
			switch {
			case errors.Is(err, os.ErrNotExist): // another sweep has seen to all of it
				continue
			case errors.Is(err, guard.ErrInUse):
				j.State = stateAlive
			case err != nil:
				s.Skipped = append(s.Skipped, err.Error())
				continue
			default:
				j.claim, j.remnant = claim, claim.Remnant
			}
		}
		kept = append(kept, j)
	}
	s.Journals = kept
}

// endJournals revokes what the journals name: first the leases, then the logins on which they hang.
func (o *operator) endJournals(all []*swept) {
	n := 0
	for _, j := range all {
		if j.claim != nil {
			n += len(j.remnant.Leases)
		}
	}
	done, stop := o.counting(n)
	defer stop()
	for _, own := range []bool{false, true} {
		var work errgroup.Group
		work.SetLimit(revokedAtOnce)
		for _, j := range all {
			if j.claim == nil {
				continue
			}
			if !own {
				j.Leases = make([]revoked, len(j.remnant.Leases))
			}
			for i, l := range j.remnant.Leases {
				if j.remnant.Own(i) == own {
					work.Go(func() error {
						defer done()
						j.Leases[i] = o.endLeft(j.remnant, l, own)
						return nil
					})
				}
			}
		}
		_ = work.Wait() // each lease tells of its own error
	}
}

// endLeft revokes one lease of a journal, at the server that it is of: another one would say that it knows no such lease, and that would be taken for a proof.
func (o *operator) endLeft(r guard.Remnant, l providers.Lease, own bool) revoked {
	left := revoked{Provider: l.Provider, Lease: l.ID, Proof: providers.Failed}
	s, err := o.at(l.Provider)
	if err != nil {
		left.Error = err.Error()
		return left
	}
	origin, here := r.Origins[l.Session], s.Handoff().Origin
	switch {
	case origin == "":
		left.Error = "the journal does not say which server it is of"
		return left
	case origin != here:
		left.Error = fmt.Sprintf("it is of %s, and the settings are for %s: sweep again with those of the former", origin, here)
		return left
	}
	if !own {
		return o.end(s, l, true)
	}
	ctx, cancel := context.WithTimeout(o.ctx, o.RevokeTimeout)
	defer cancel()
	if left.Proof, err = s.Revoke(ctx, l); err != nil {
		left.Error = err.Error()
	}
	if left.Proof != providers.Proven && !l.Expires.IsZero() {
		left.endsByItself(l)
	}
	return left
}

// endsByItself is what is left to say of a login that may not be revoked: it has an end.
func (r *revoked) endsByItself(l providers.Lease) {
	const skew = time.Minute // between the clocks of the two machines
	if time.Since(l.Expires) > skew {
		r.Proof, r.Error = providers.Expires, ""
		r.Note = "it ended at " + l.Expires.UTC().Format(time.RFC3339)
		return
	}
	until := "it ends at " + l.Expires.UTC().Format(time.RFC3339)
	if r.failed() {
		r.Error += "; " + until
		return
	}
	r.Note = until
}

// finish removes private files and the journal, when nothing is left that it is needed for.
func (j *swept) finish() {
	if j.claim == nil {
		return
	}
	j.State = stateDone
	for _, l := range j.Leases {
		if l.failed() || l.Proof == providers.Accepted {
			j.State = stateLeft
		}
	}
	for _, dir := range j.remnant.Dirs {
		if err := bind.RemoveDir(dir); err != nil {
			j.State = stateLeft
			j.Notes = append(j.Notes, err.Error())
		}
	}
	for _, file := range j.remnant.Files {
		if _, err := os.Lstat(file); err == nil {
			j.Notes = append(j.Notes, file+" may still hold what was issued: remove it if it is not needed")
		}
	}
	if pids := guard.Running(j.Run); len(pids) > 0 {
		j.Notes = append(j.Notes, fmt.Sprintf("what it ran is still running: process %s", strings.Trim(fmt.Sprint(pids), "[]")))
	}
	if j.State == stateLeft {
		j.claim.Leave()
		return
	}
	if err := j.claim.Done(); err != nil {
		j.State = stateLeft
		j.Notes = append(j.Notes, err.Error())
	}
}

// sweepExpired ends logins of with-creds' making that no journal here names: of a machine that is gone for good.
func (o *operator) sweepExpired(provider string, past time.Duration, dry bool) ([]revoked, error) {
	s, err := o.at(provider)
	if err != nil {
		return nil, err
	}
	e, ok := s.Session.(providers.Expirer)
	if !ok {
		return nil, fmt.Errorf("%s: there is nothing to look for: its server takes away by itself what has ended", provider)
	}
	if past < time.Minute {
		return nil, fmt.Errorf("--past: %s is too short: a run that is alive may be late with a renewal; at least 1m", past)
	}
	found, err := o.expired(e, provider, past)
	if err != nil {
		return nil, err
	}
	if dry {
		return eachAs(found, ""), nil
	}
	return o.endEach(s, found, true), nil
}

func (o *operator) expired(e providers.Expirer, provider string, past time.Duration) ([]providers.Lease, error) {
	defer o.waiting("looking for what has ended on %s", provider)()
	return e.Expired(o.ctx, past)
}

// verdict is an error when something is left that should not be.
func (s *sweeping) verdict() error {
	runs, logins := 0, 0
	for _, j := range s.Journals {
		if j.State == stateLeft {
			runs++
		}
	}
	for _, l := range s.Expired {
		if l.failed() {
			logins++
		}
	}
	var left []string
	if runs > 0 {
		left = append(left, fmt.Sprintf("%d run%s", runs, plural(runs, "", "s")))
	}
	if logins > 0 {
		left = append(left, fmt.Sprintf("%d login%s", logins, plural(logins, "", "s")))
	}
	if left == nil {
		return nil
	}
	return fmt.Errorf("something is left of %s", strings.Join(left, " and "))
}
