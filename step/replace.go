package step

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/lease"
)

// replace issues anew, rewrites the files, and tells the command. It repeats until that is done; false: the run is over.
func (r *run) replace(ctx context.Context, k *lease.Keeper, old providers.Lease) bool {
	for wait := range lease.Backoff {
		err := r.replaceOnce(ctx, k, old)
		if err == nil {
			break
		}
		if errors.Is(err, errStopped) {
			return false
		}
		r.Log.Warn("replacing %s: %v; trying again", old.ID, err)
		if !lease.SleepUntil(ctx, time.Now().Add(max(wait, time.Second)), time.Now) {
			return false
		}
	}
	r.tellRotated()
	return true
}

// revokeReplaced revokes a lease that was replaced, and, where it is a login, all that hangs on it. The run's end does it when it comes first.
func (r *run) revokeReplaced(ctx context.Context, old providers.Lease) {
	revoke, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.RevokeTimeout)
	defer cancel()
	revoker := lease.Revoker{Book: r.book}
	for _, s := range r.book.Open() {
		own := s.Own()
		var all sync.WaitGroup // one that hangs must not take the others' time
		for _, l := range r.book.Held(s) {
			if l.Key() == old.Key() || own != nil && own.Key() == old.Key() {
				all.Go(func() { revoker.One(revoke, s, l) })
			}
		}
		all.Wait()
		if own != nil && own.Key() == old.Key() && len(r.book.Held(s)) == 0 {
			revoker.Session(revoke, s) // else the run's end has to answer for what is left under it
		}
	}
}

// tellRotated sends the signal of --on-rotate.
func (r *run) tellRotated() {
	if r.OnRotate != 0 {
		if err := r.child.Signal(r.OnRotate); err != nil {
			r.Log.Warn("--on-rotate: %v", err)
		}
	}
}

// replaceOnce logs in again if need be, and replaces each credential that has a file and still ends with the old lease: another attempt may have replaced some of
// them, and a login that ends takes along leases whose own end was told too. When the command ends meanwhile the answers are still waited for, within the grace:
// what they create must be known.
func (r *run) replaceOnce(running context.Context, k *lease.Keeper, old providers.Lease) error {
	r.replacing.Lock()
	defer r.replacing.Unlock()
	if r.over {
		return errStopped
	}
	ctx, cancel := r.outlasting(running, r.Grace)
	defer cancel()
	affected, relogin := r.affected(old)
	var errs []error
	for _, c := range affected {
		if !anyFile(c.values) && !c.served.Live() && r.envFile == "" {
			continue
		}
		name := c.spec.Request.Provider
		if relogin && (r.session(name) == c.session || expired(r.session(name).Own())) {
			if err := r.login(ctx, name); err != nil {
				return err
			}
			k.Session(r.session(name))
		}
		fresh, err := r.successor(ctx, k, c, r.session(name))
		if err == nil {
			err = r.rebind(c, fresh)
		}
		if _, never := errors.AsType[unbindable](err); never {
			r.lock.Lock()
			c.successor = nil // the next may be another
			r.lock.Unlock()
			r.giveBack(fresh.session, fresh.credential.Lease)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// successor is what is to take the place of a credential. Where that failed before, as it does while a disk is full, it is what was issued then: what is asked for again and again
// would pile up at the server.
func (r *run) successor(ctx context.Context, k *lease.Keeper, c *issued, session *lease.Session) (*issued, error) {
	r.lock.Lock()
	if was := c.successor; was != nil && was.session == session && !expired(&was.credential.Lease) {
		fresh := *was
		r.lock.Unlock()
		return &fresh, nil
	}
	r.lock.Unlock()
	fresh, err := r.ask(ctx, c.spec, session)
	if err != nil {
		return nil, err
	}
	kept := *fresh // the caller's is not under the lock, and this one may be renewed
	r.lock.Lock()
	c.successor = &kept
	r.lock.Unlock()
	k.Lease(fresh.session, fresh.credential.Lease)
	return fresh, nil
}

// expired reports whether a lease has ended; nil, as of a session that has no login of its own, has no end.
func expired(l *providers.Lease) bool {
	return l != nil && !l.Expires.IsZero() && l.TTL(time.Now()) == 0
}

// An unbindable error is one of a credential's values: bound again, they have it again.
type unbindable struct{ error }

func (u unbindable) Unwrap() error { return u.error }

// rebind puts a fresh credential in the place of an old one, or leaves everything as it is.
func (r *run) rebind(c, fresh *issued) error {
	fresh.served = c.served
	values, err := bind.Bind(c.spec, fresh.withServed(), r.Bind)
	if err != nil {
		return unbindable{err}
	}
	fresh.values = values
	r.mask(fresh) // before the command can see it
	if anyFile(values) {
		values = r.dir.Place(values)
	}
	if err := r.rewriteFiles(c, values); err != nil {
		return err
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	c.replaced = append(c.replaced, replaced{c.credential.Lease, c.at, c.ttl})
	c.credential, c.session, c.values = fresh.credential, fresh.session, values
	c.at, c.ttl = fresh.at, fresh.ttl
	if c.successor != nil {
		c.credential.Lease = c.successor.credential.Lease // as it was renewed meanwhile
	}
	c.replacements++
	c.successor = nil
	r.Log.Say("replaced %s: %s", c.spec.Request.Source(), fresh.credential.Lease.ID)
	return nil
}
