package step

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/lease"
)

// keep keeps everything alive until the command has ended. What cannot be kept is replaced where the command can follow, in files; a
// variable cannot be changed in a running process, so there the end is told as soon as it is known.
func (r *run) keep() *lease.Keeper {
	k := &lease.Keeper{
		Book:    r.book,
		Leash:   r.Leash,
		Renewed: r.renewed,
		Failing: func(l providers.Lease, err error) {
			r.Log.Warn("renewing %s: %v; trying again, it lives for %s", l.ID, err, max(time.Second, l.TTL(time.Now()).Round(time.Second)))
		},
	}
	k.Ending = func(ctx context.Context, l providers.Lease, why error) { r.ending(ctx, k, l, why) }
	var leaseless []*issued // looked up before anything is replaced
	for _, c := range r.issued {
		if l := c.credential.Lease; l.IsZero() && !l.Expires.IsZero() {
			leaseless = append(leaseless, c)
		}
	}
	k.Start(context.Background())
	for _, c := range leaseless {
		k.Go(func(ctx context.Context) { r.followEnd(ctx, c) })
	}
	return k
}

// renewed takes the new end of a lease into account.
func (r *run) renewed(l providers.Lease) {
	r.learn(l, func(c *issued) { c.renewals++ })
	r.Log.Debug("renewed %s until %s", l.ID, clock(l.Expires))
}

// learn takes what is newly known of a lease to whoever has it, and calls each, under the lock, with those whose own it is.
func (r *run) learn(l providers.Lease, each func(*issued)) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, c := range r.issued {
		if c.credential.Lease.Key() == l.Key() {
			c.credential.Lease = l
			each(c)
		}
		if c.successor != nil && c.successor.credential.Lease.Key() == l.Key() {
			c.successor.credential.Lease = l
		}
	}
}

// ending is called when a lease cannot be extended beyond l.Expires: a credential's, or a login's, which takes all its credentials along. It may have ended already.
func (r *run) ending(ctx context.Context, k *lease.Keeper, l providers.Lease, why error) {
	r.learn(l, func(*issued) {})
	affected, _ := r.affected(l)
	for len(affected) == 0 {
		// The end of what takes another's place may be known before it is there.
		if !r.current(l) || !lease.SleepUntil(ctx, time.Now().Add(time.Second), time.Now) {
			return
		}
		affected, _ = r.affected(l)
	}
	if r.endsWithLogin(affected[0], l) {
		return
	}
	fixed, follows := r.followers(affected)
	at, ends := replaceAt(l, time.Now()), l.Expires
	if follows {
		ends = changedOver(l, at, len(fixed) > 0)
	}
	switch {
	case len(fixed) > 0:
		r.Log.Warn("%s cannot be extended (%v): what %s hold%s %s", l.ID, why, strings.Join(fixed, ", "), plural(len(fixed), "s", ""), endsAt(ends))
	case follows:
		r.Log.Say("%s cannot be extended (%v): it is replaced at %s", l.ID, why, clock(at))
	}
	kill := r.KillOnExpiry && len(fixed) > 0
	if !follows {
		if kill {
			r.killAt(ctx, ends, fixed)
		}
		return
	}
	if !lease.SleepUntil(ctx, at, time.Now) || !r.replace(ctx, k, l) {
		return
	}
	ends = changedOver(l, time.Now(), len(fixed) > 0)
	if kill {
		r.killAt(ctx, ends, fixed)
	}
	if lease.SleepUntil(ctx, ends, time.Now) {
		r.revokeReplaced(ctx, l)
	}
}

// endsAt says when what a variable holds ends, or has ended.
func endsAt(end time.Time) string {
	left := providers.Until(end, time.Now())
	if left <= 0 {
		return "has ended"
	}
	return fmt.Sprintf("ends at %s, in %s", clock(end), left.Round(time.Second))
}

// followers tells the variables that cannot change, and whether anything else can.
func (r *run) followers(some []*issued) (fixed []string, follows bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, c := range some {
		follows = follows || c.served.Live()
		for _, v := range c.values {
			switch {
			case v.File, r.envFile != "":
				follows = true
			case !v.Lasts:
				fixed = append(fixed, v.Name)
			}
		}
	}
	return fixed, follows
}

// replaceAt is when to replace a lease that cannot be extended: when two thirds of what it has left are over, for the command needs some of it to change
// over. When little is left it is replaced at once, but where the role gives no more than a little, when two thirds of that are over, and a
// second after it was issued at the soonest: what replaces it is as short-lived.
func replaceAt(l providers.Lease, now time.Time) time.Time {
	left := l.TTL(now)
	if left > shortLife {
		return now.Add(left * 2 / 3)
	}
	at := l.Issued.Add(max(l.Expires.Sub(l.Issued)*2/3, time.Second))
	if l.Issued.IsZero() || at.Before(now) {
		return now
	}
	return at
}

// shortLife is what is little.
const shortLife = 15 * time.Second

// changedOver is when a lease that was replaced at a time is revoked: when the command has had time to change over. What variables hold cannot change, so it is left to
// them nearly to its end, but not longer than it takes to revoke it with a login that may end then too.
func changedOver(l providers.Lease, replaced time.Time, fixed bool) time.Time {
	left := l.TTL(replaced)
	if fixed {
		return replaced.Add(left - min(left/2, 5*time.Second))
	}
	return replaced.Add(min(left/2, overlap))
}

// overlap is how long the old credential lives beside the new at most, for the command to change over.
const overlap = 10 * time.Second

// killAt ends the command when what its variables hold has ended.
func (r *run) killAt(ctx context.Context, end time.Time, names []string) {
	if lease.SleepUntil(ctx, end, time.Now) {
		reason := "the credential in " + strings.Join(names, ", ") + " has expired"
		r.Log.Warn("ending the command: %s (--on-expiry=kill)", reason)
		r.child.Terminate(reason)
	}
}

// affected are the credentials that end with a lease; the second result says that it is the login itself that ends.
func (r *run) affected(l providers.Lease) ([]*issued, bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	var some []*issued
	login := false
	for _, s := range r.opened {
		if own := s.Own(); own != nil && own.Key() == l.Key() {
			login = true
			for _, c := range r.issued {
				if c.session == s {
					some = append(some, c)
				}
			}
		}
	}
	for _, c := range r.issued {
		if c.credential.Lease.Key() == l.Key() {
			some = append(some, c)
		}
	}
	return some, login
}

// endsWithLogin reports whether a credential's lease ends with its login, or after it, and nothing extends that: then the login's end is told as well, and a new login replaces
// all that hang on the old.
func (r *run) endsWithLogin(c *issued, l providers.Lease) bool {
	r.lock.Lock()
	own := c.session.Own()
	r.lock.Unlock()
	if own == nil || own.Key() == l.Key() || own.Expires.IsZero() || own.Expires.After(l.Expires) {
		return false
	}
	return !own.Renewable || !own.MaxExpire.IsZero() && own.MaxExpire.Sub(own.Expires) < time.Second
}

// current reports whether a lease is that of a login by which credentials are issued now, or of a credential that is about to take another's place.
func (r *run) current(l providers.Lease) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, c := range r.issued {
		if c.successor != nil && c.successor.credential.Lease.Key() == l.Key() {
			return true
		}
	}
	for _, s := range r.sessions {
		if own := s.Own(); own != nil && own.Key() == l.Key() {
			return true
		}
	}
	return false
}
