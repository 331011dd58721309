//go:build linux

package main

import (
	"os"
	"testing"

	"github.com/with-creds/with-creds/providers"
)

// TestAConnectionCutAtAKnownMomentIsNoneOfTheCommandsBusiness goes over every provider: the request never arrived, or its answer never came. Either the run gets over it, or
// nothing was run, or what is not proven is told; and nothing stays.
func TestAConnectionCutAtAKnownMomentIsNoneOfTheCommandsBusiness(t *testing.T) {
	for _, s := range servers(t) {
		for _, m := range s.moments {
			if m.answer && m.holds == "/login" {
				continue // a login whose answer is lost is one that nobody knows, and on which nothing hangs (see trial.killedAtLogin)
			}
			t.Run(s.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				m.cut, m.order.n = true, 1
				p := newProxy(t, s.address, m)
				var flags []string
				if m.leash > 0 {
					flags = append(flags, "--leash", m.leash.String())
				}
				command := "touch ran"
				if m.lasting {
					command += "; while ! test -e finish; do sleep 0.02; done"
				}
				tr := newTrial(t, s.behind(t, p, m.order), flags, "sh", "-c", command)
				tr.start()
				tr.await(p)
				if err := os.WriteFile(tr.path("finish"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				code := tr.wait()
				_, err := os.Stat(tr.path("ran"))
				switch ran := err == nil; {
				case !ran && code != failed, code != 0 && code != failed:
					t.Errorf("exit code %d, the command was run: %t; stderr:\n%s", code, ran, tr.stderr)
				case code == 0:
					for _, c := range tr.receipt().Credentials {
						if c.Revocation == nil || c.Revocation.Proof != providers.Proven {
							t.Errorf("exit code 0, and the receipt has %+v", c.Revocation)
						}
					}
					// What an answer told nobody of goes with the login that it was asked for by, a moment later, or at its own end.
					if left := tr.leftThere(); len(left) > 0 && !m.answer {
						t.Errorf("exit code 0, and there still is: %q", left)
					}
				}
				tr.lostAnswers()
				tr.cleanedUp(cleanUpLimit)
			})
		}
	}
}
