package step

import (
	"slices"
	"time"

	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/mask"
)

// A Hold makes a run hold its credentials for others: what wraps a command otherwise waits for a word. All else is as with a command: the guard, the
// leash, renewal, rotation of files, and revocation with proof.
type Hold struct {
	// Ready is told once, when everything is issued and in its place. An error ends the run.
	Ready func(Held) error
	// Until yields the reason for which the credentials are to be given back; that it is empty, or the channel closed, is one too.
	Until <-chan string
	// Ending is told the reason, once, before they are given back; a signal is one.
	Ending func(why string)
	// Secret says that Ready writes secrets into Held.Dir.
	Secret bool
	// Keep are the names in Held.Dir that stay when the rest is taken away.
	Keep []string
}

// Held is what a run holds for others. Its functions may be called at any time until the run ends, and tell what is so at that time.
type Held struct {
	Run     string
	Dir     string // private to this user, in RAM where there is some; emptied when the credentials are given back, and then the holder's to remove
	Values  func() []bind.Value
	Secrets func() []string // what is to be masked; a value of several lines is one
	// Providers are those whose own secrets a command must not inherit beside what they issued.
	Providers []string
	// NotInherited are other variables that it must not inherit (see bind.Preset).
	NotInherited []string
}

// hand gives what was issued to whoever it is held for.
func (r *run) hand() error {
	warn := r.Log.Warn
	if !r.Hold.Secret {
		warn = nil
	}
	dir, err := r.makeDir(warn)
	if err != nil {
		return err
	}
	held := Held{Run: r.id, Dir: dir, Values: r.valuesNow, Secrets: r.secretsNow, Providers: r.inUse(), NotInherited: r.notInherited()}
	if err := r.Hold.Ready(held); err != nil {
		return err
	}
	r.held = true
	return nil
}

// hold keeps the credentials alive until they are given back.
func (r *run) hold() {
	began := time.Now()
	keeper := r.keep()
	var why string
	select {
	case why = <-r.Hold.Until:
	case <-r.signals.ctx.Done():
		why = "it was ended by a signal: " + r.signals.caught().String()
	}
	r.Log.Debug("giving back: %s", why)
	r.Hold.Ending(why)
	r.endUse(keeper, began)
}

func (r *run) valuesNow() []bind.Value {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.values()
}

func (r *run) secretsNow() []string {
	r.lock.Lock()
	defer r.lock.Unlock()
	var all []string
	for _, c := range r.issued {
		for _, f := range c.credential.Fields {
			if f.Secret && f.Value != "" {
				all = append(all, f.Value)
			}
		}
		for _, v := range c.values {
			all = append(all, filtered(v)...)
		}
	}
	for _, secret := range all {
		all = append(all, mask.Within(secret)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
