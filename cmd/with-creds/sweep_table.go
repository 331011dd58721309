package main

import (
	"fmt"
	"text/tabwriter"
	"time"
)

// showSweeping is a sweep for a person.
func (w *world) showSweeping(dir string, s sweeping, dry bool) error {
	for _, why := range s.Skipped {
		fmt.Fprintf(w.stderr, "with-creds: skipped %s\n", oneLine(why))
	}
	t := tabwriter.NewWriter(w.stdout, 0, 8, 2, ' ', 0)
	if len(s.Journals) == 0 && len(s.Expired) == 0 {
		fmt.Fprintf(t, "nothing to sweep in %s\n", dir)
	}
	for _, j := range s.Journals {
		fmt.Fprintf(t, "run %s of %s: %s\n", oneLine(j.Run), j.Begun.Format(time.RFC3339), j.summary())
		printSwept(t, j.Leases, dry)
		for _, note := range j.Notes {
			fmt.Fprintf(t, "  %s\n", oneLine(note))
		}
	}
	if len(s.Expired) > 0 {
		fmt.Fprintln(t, "logins that had ended, of machines that are gone:")
		printSwept(t, s.Expired, dry)
	}
	return t.Flush()
}

func printSwept(t *tabwriter.Writer, leases []revoked, dry bool) {
	for _, l := range leases {
		proof := string(l.Proof)
		if dry {
			proof = "would revoke"
		}
		fmt.Fprintln(t, row(l.cells("  "+proof)...))
	}
}

func (j *swept) summary() string {
	switch j.State {
	case stateAlive:
		return "not over, or another sweep is at it; left alone"
	case stateElsewhere:
		return "left alone"
	case stateDone:
		return "nothing is left of it"
	case stateLeft:
		return "something is left"
	}
	return fmt.Sprintf("%d lease%s", len(j.remnant.Leases), plural(len(j.remnant.Leases), "", "s"))
}
