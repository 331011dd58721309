//go:build linux

package main

import (
	"os"
	"strconv"
	"syscall"
	"testing"
)

// TestARunWithinARunIsCleanedUpAfterWhicheverIsKilled kills processes so that the guard of the inner run is all there is to revoke what that was
// given, and is itself among what the outer run's guard, or the outer run, looks for.
func TestARunWithinARunIsCleanedUpAfterWhicheverIsKilled(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, outer *trial){
		"the outer one": func(_ *testing.T, outer *trial) { send(outer.pid(), syscall.SIGKILL) },
		"the inner one": func(t *testing.T, outer *trial) {
			inner, err := strconv.Atoi(outer.file("inner"))
			if err != nil {
				t.Fatal(err)
			}
			send(inner, syscall.SIGKILL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outer, inner := scripted(t, "OUTER"), scripted(t, "INNER")
			tr := newTrial(t, outer, []string{"--grace", "0s"}, "sh", "-c",
				`echo $$ > inner.new; mv inner.new inner; exec "$0" -c "$1" -- sh -c 'touch running; sleep 300'`, product(t), inner.specs[0])
			tr.start()
			tr.file("running")
			if a, b := len(outer.left()), len(inner.left()); a != 1 || b != 1 {
				t.Fatalf("%d and %d tokens, want one of each run", a, b)
			}
			kill(t, tr)
			if !within(cleanUpLimit, func() error {
				if len(inner.left()) > 0 {
					return os.ErrExist
				}
				return nil
			}) {
				t.Errorf("%q of the inner run is still there; journals: %q", inner.left(), journals(tr.path("home")))
			}
			tr.cleanedUp(cleanUpLimit)
		})
	}
}
