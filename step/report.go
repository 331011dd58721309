package step

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/lease"
	"github.com/with-creds/with-creds/step/receipt"
)

// sayIssued is the first of the run's two lines: how many, to which variables, for how long, how fast.
func (r *run) sayIssued() {
	var names []string
	files := 0
	shortest := time.Duration(0)
	for _, c := range r.issued {
		for _, v := range c.values {
			names = append(names, v.Name)
			if v.File {
				files++
			}
		}
		if c.ttl > 0 && (shortest == 0 || c.ttl < shortest) {
			shortest = c.ttl
		}
	}
	line := fmt.Sprintf("issued %d credential%s → %s", len(r.issued), plural(len(r.issued), "", "s"), strings.Join(names, ", "))
	if files > 0 {
		line += fmt.Sprintf(" (%d in private files)", files)
	}
	if shortest > 0 {
		line += "; TTL " + shortest.Round(time.Second).String()
	}
	r.Log.Say("%s; %s", line, took(r.timings.Login+r.timings.Issue))
}

// judge puts the outcomes into the receipt, says the second line, and counts what is not confirmed.
func (r *run) judge(outcomes map[string]lease.Outcome) (unproven int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	tally := map[string]int{}
	for _, c := range r.issued {
		entry := c.entry()
		if entry.Revocation = ended(c.credential.Lease, outcomes); entry.Revocation != nil {
			tally[string(entry.Revocation.Proof)]++
		} else if c.credential.Lease.IsZero() {
			tally["nothing to revoke"]++
		}
		for _, old := range c.replaced {
			entry.Replaced = append(entry.Replaced, receipt.Replaced{
				Lease: old.lease.ID, Issued: old.at.UTC().Truncate(time.Millisecond), TTL: seconds(old.ttl), Revocation: ended(old.lease, outcomes),
			})
		}
		r.receipt.Credentials = append(r.receipt.Credentials, entry)
	}
	for _, s := range r.opened {
		own := s.Own()
		if own == nil {
			continue
		}
		entry := receipt.Session{Provider: own.Provider, Lease: own.ID}
		if o, ok := outcomes[own.Key()]; ok {
			entry.Revocation = revocation(*own, o)
		}
		r.receipt.Sessions = append(r.receipt.Sessions, entry)
	}
	for key, o := range outcomes {
		_, id, _ := strings.Cut(key, "\x00")
		r.Log.Debug("%s: revocation %s in %s", id, o.Proof, o.Took.Round(10*time.Microsecond))
		if o.Confirmed() {
			continue
		}
		unproven++
		r.Log.Warn("%s is not proven to be revoked (%s): %v%s", id, o.Proof, o.Err, r.andNow(o))
	}
	if len(r.issued) > 0 {
		var parts []string
		for _, how := range slices.Sorted(maps.Keys(tally)) {
			parts = append(parts, fmt.Sprintf("%d %s", tally[how], how))
		}
		r.Log.Say("revoked %d credential%s: %s; %s", len(r.issued), plural(len(r.issued), "", "s"), strings.Join(parts, ", "), took(r.timings.Revoke))
	}
	return unproven
}

// entry is the receipt's of a credential, without how it ended.
func (c *issued) entry() receipt.Credential {
	entry := receipt.Credential{
		Source: c.spec.Request.Source(), Lease: c.credential.Lease.ID,
		Issued: c.at.UTC().Truncate(time.Millisecond), TTL: seconds(c.ttl),
		Renewals: c.renewals, Replacements: c.replacements, Variables: []string{},
	}
	if f, ok := c.credential.Field("username"); ok && !f.Secret {
		entry.Username = f.Value
	}
	for _, v := range c.values {
		entry.Variables = append(entry.Variables, v.Name)
		if v.File {
			entry.Files++
		}
	}
	return entry
}

// andNow says what happens to a lease that the run could not end.
func (r *run) andNow(o lease.Outcome) string {
	end := "with its TTL"
	if !o.Lease.Expires.IsZero() {
		end = "at " + o.Lease.Expires.UTC().Format(time.RFC3339)
	}
	switch {
	case o.Proof == providers.Accepted:
		return "; the server has promised to"
	case errors.Is(o.Err, providers.ErrFinal):
		return "; nobody can go on with it: it ends " + end
	case r.guard.Works() && o.Lease.Expires.IsZero():
		return "; the guard goes on trying for " + guard.Patience.String()
	case r.guard.Works():
		return "; the guard goes on trying until it has expired, " + end
	case r.guard != nil: // and its journal is there
		return "; the guard is lost: it ends " + end + ", unless `with-creds sweep` ends it before"
	}
	return "; there is no guard to go on: it ends " + end + ", unless `with-creds lease revoke` ends it before"
}

func seconds(d time.Duration) int64 { return int64(d.Round(time.Second).Seconds()) }

// ended is the receipt's of how a credential has ended, or ends; nil where there is nothing to end.
func ended(l providers.Lease, outcomes map[string]lease.Outcome) *receipt.Revocation {
	if o, known := outcomes[l.Key()]; known {
		return revocation(l, o)
	}
	if l.IsZero() && !l.Expires.IsZero() {
		return &receipt.Revocation{Proof: providers.Expires, At: l.Expires.UTC()}
	}
	return nil
}

func revocation(l providers.Lease, o lease.Outcome) *receipt.Revocation {
	v := &receipt.Revocation{Proof: o.Proof, At: o.At.UTC().Truncate(time.Millisecond), TookMs: o.Took.Milliseconds()}
	if o.Proof == providers.Expires && !l.Expires.IsZero() {
		v.At = l.Expires.UTC().Truncate(time.Second)
	}
	if o.Err != nil {
		v.Error = o.Err.Error()
	}
	return v
}

// slow says what is waited for when it takes longer than two seconds.
func (r *run) slow(what string) (done func() bool) {
	return time.AfterFunc(2*time.Second, func() { r.Log.Say("still %s …", what) }).Stop
}

// clock is a time for a person: with its date where that is not plain.
func clock(at time.Time) string {
	if left := time.Until(at); left < 24*time.Hour && left > -24*time.Hour {
		return at.Format(time.TimeOnly)
	}
	return at.Format(time.DateTime)
}

func since(began time.Time) time.Duration { return time.Since(began).Round(10 * time.Microsecond) }

func took(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
