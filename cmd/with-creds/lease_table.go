package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers"
)

// A shownLease is a lease as a program reads it.
type shownLease struct {
	Provider  string     `json:"provider"`
	Lease     string     `json:"lease"`
	Run       string     `json:"run,omitempty"`   // which run holds it, where that is known
	Group     string     `json:"group,omitempty"` // what a login was issued for, where its name does not say
	Issued    *time.Time `json:"issued,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"` // missing: it has no end
	TTL       *int64     `json:"ttl,omitempty"`     // seconds; 0 when it has ended
	Renewable bool       `json:"renewable"`
}

func shown(l providers.Lease, run string, now time.Time) shownLease {
	s := shownLease{Provider: l.Provider, Lease: l.ID, Run: run, Group: l.Scope[providers.ScopeGroup], Renewable: l.Renewable}
	if own := l.Scope[providers.ScopeRun]; own != "" {
		s.Run = own
	}
	if !l.Issued.IsZero() {
		s.Issued = new(l.Issued.UTC().Truncate(time.Second))
	}
	if !l.Expires.IsZero() {
		s.Expires = new(l.Expires.UTC().Truncate(time.Second))
		s.TTL = new(int64(l.TTL(now).Round(time.Second) / time.Second))
	}
	return s
}

// showLeases prints leases on stdout.
func (w *world) showLeases(c *cli.Context, leases []providers.Lease) error {
	now, runs := time.Now(), w.runs()
	all := make([]shownLease, len(leases))
	for i, l := range leases {
		all[i] = shown(l, runs[l.Key()], now)
	}
	if c.Bool("json") {
		return printJSON(w.stdout, all)
	}
	return printLeases(w.stdout, all, now)
}

// printLeases is the table for a person. Who holds a lease is a column only where somebody is known.
func printLeases(to io.Writer, all []shownLease, now time.Time) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(to, "no leases")
		return err
	}
	known := false
	for _, l := range all {
		known = known || l.Run != ""
	}
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	head := "LEASE\tISSUED\tLEFT\tENDS\tRENEWABLE"
	if known {
		head += "\tRUN"
	}
	fmt.Fprintln(t, head)
	for _, l := range all {
		cells := []string{l.Lease, clock(l.Issued), left(l, now), clock(l.Expires), yesNo(l.Renewable)}
		if known {
			cells = append(cells, orDash(l.Run))
		}
		fmt.Fprintln(t, row(cells...))
	}
	if len(all) > 1 {
		fmt.Fprintf(t, "\n%d leases\n", len(all))
	}
	return t.Flush()
}

func clock(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.Format(time.RFC3339)
}

// left is the time that a lease has.
func left(l shownLease, now time.Time) string {
	switch {
	case l.Expires == nil:
		return "no end"
	case *l.TTL == 0:
		return "ended " + now.Sub(*l.Expires).Round(time.Second).String() + " ago"
	}
	return (time.Duration(*l.TTL) * time.Second).String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
