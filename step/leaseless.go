package step

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/lease"
)

// followEnd watches a credential that has an end and no lease: a certificate of SSH, a token of a cloud's, the password of a static role, which
// the server changes by itself. What is in files and served is replaced by what is issued anew: before the end, or, where the server
// changes it, as soon as that is done.
func (r *run) followEnd(ctx context.Context, c *issued) {
	warned := false
	for {
		r.lock.Lock()
		ends, rotates := c.credential.Lease.Expires, c.credential.Rotates
		r.lock.Unlock()
		if ends.IsZero() {
			return
		}
		fixed, follows := r.followers([]*issued{c})
		if len(fixed) > 0 && !warned {
			warned = true
			r.Log.Warn("%s: what %s hold%s %s", c.spec.Request.Source(), strings.Join(fixed, ", "), plural(len(fixed), "s", ""), endsAt(ends))
		}
		if !follows {
			if r.KillOnExpiry {
				r.killAt(ctx, ends, fixed)
			}
			return
		}
		at := ends
		if left := providers.Until(ends, time.Now()); !rotates && left > shortLife {
			at = time.Now().Add(left * 2 / 3)
		} else if !rotates {
			at = time.Now().Add(left / 2)
		}
		if !lease.SleepUntil(ctx, at, time.Now) || !r.reissueUntilChanged(ctx, c) {
			return
		}
		r.tellRotated()
		if r.KillOnExpiry && len(fixed) > 0 {
			r.killAt(ctx, ends, fixed)
			return
		}
	}
}

// reissueUntilChanged asks again until the answer is another; false: the run is over. A server may be some seconds late.
func (r *run) reissueUntilChanged(ctx context.Context, c *issued) bool {
	said := false
	for wait := range lease.Backoff {
		changed, err := r.reissueOnce(ctx, c)
		if changed {
			return true
		}
		if err != nil && ctx.Err() == nil && !said {
			said = true
			r.Log.Warn("replacing %s: %v; trying again", c.spec.Request.Source(), err)
		}
		if !lease.SleepUntil(ctx, time.Now().Add(max(wait, time.Second)), time.Now) {
			return false
		}
	}
	return false
}

// reissueOnce asks once, and puts a changed answer in the place of the old.
func (r *run) reissueOnce(running context.Context, c *issued) (changed bool, err error) {
	r.replacing.Lock()
	defer r.replacing.Unlock()
	if r.over {
		return false, errStopped
	}
	ctx, cancel := r.outlasting(running, r.Grace)
	defer cancel()
	fresh, err := r.ask(ctx, c.spec, r.session(c.spec.Request.Provider))
	if err != nil {
		return false, err
	}
	if r.sameSecrets(c, fresh) {
		return false, nil
	}
	if err := r.rebind(c, fresh); err != nil {
		r.giveBack(fresh.session, fresh.credential.Lease) // should it have one now: another is asked for
		return false, fmt.Errorf("%s: %w", c.spec.Request.Source(), err)
	}
	return true, nil
}

// sameSecrets reports that nothing secret of a credential has changed.
func (r *run) sameSecrets(c, fresh *issued) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, f := range fresh.credential.Fields {
		if old, ok := c.credential.Field(f.Name); f.Secret && (!ok || old.Value != f.Value) {
			return false
		}
	}
	return true
}
