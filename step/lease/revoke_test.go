package lease

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func TestAHungLeaseDoesNotHoldUpAHealthyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		began := time.Now()
		var healthy time.Duration
		f.revoking = func(ctx context.Context, l providers.Lease, _ int) (providers.Proof, error) {
			if l.ID == "hung" {
				<-ctx.Done()
				return providers.Failed, ctx.Err()
			}
			healthy = time.Since(began)
			return "", nil
		}
		book, s := keeping(f, f.lease("hung", time.Hour))
		l := f.lease("healthy", time.Hour)
		l.Session = s.ID
		book.Hold(l)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		outcomes := Revoker{Book: book}.Everything(ctx)
		if healthy != 0 {
			t.Errorf("the healthy one was revoked after %s", healthy)
		}
		if o := outcomes["fake\x00hung"]; o.Proof != providers.Failed || o.Err == nil {
			t.Errorf("the hung one: %+v", o)
		}
		if o := outcomes["fake\x00healthy"]; !o.Confirmed() {
			t.Errorf("the healthy one: %+v", o)
		}
		if f.attempts["hung"] < 3 {
			t.Errorf("%d attempts at the hung one; each has a deadline of 5 s", f.attempts["hung"])
		}
		if d := time.Since(began); d > 45*time.Second {
			t.Errorf("took %s", d)
		}
		if book.Empty() {
			t.Error("the hung lease was forgotten; the guard must go on with it")
		}
	})
}

func TestTheLoginIsEndedAfterItsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		own := f.lease("login", time.Hour)
		f.own = &own
		rec := &told{}
		book := NewBook(rec)
		s := book.Add("fake", f)
		for _, id := range []string{"a", "b", "c"} {
			l := f.lease(id, time.Hour)
			l.Session = s.ID
			book.Hold(l)
		}
		f.revoking = func(_ context.Context, l providers.Lease, n int) (providers.Proof, error) {
			if l.ID == "b" && n < 3 {
				return providers.Failed, errors.New("database is down")
			}
			return "", nil
		}
		outcomes := Revoker{Book: book}.Everything(t.Context())
		if f.revoked[len(f.revoked)-1] != "login" || f.closed != 1 || len(outcomes) != 4 {
			t.Errorf("order %v, outcomes %v", f.revoked, outcomes)
		}
		if last := rec.lines[len(rec.lines)-1]; last != "closed fake-1" {
			t.Errorf("the recorder was last told %q", last)
		}
	})
}

// Who may not revoke now may again in a moment, and who cannot log in either. Only who has the time waits for that, and not for what can never be.
func TestARefusalIsWaitedOutByWhoIsPatient(t *testing.T) {
	denied := errors.New("permission denied")
	proven, expires := providers.Proven, providers.Expires
	for name, c := range map[string]struct {
		hasty    bool
		refusal  error
		own      bool                                 // the session has a login of its own
		closing  func(n int) (providers.Proof, error) // its n-th end; nil: proven
		passes   int                                  // the attempt that is not refused any more; 0: none
		attempts [2]int                               // at least and at most
		want     providers.Proof
	}{
		"in a hurry":                    {hasty: true, refusal: providers.Refused(denied), passes: 2, attempts: [2]int{1, 1}, want: providers.Failed},
		"patient":                       {refusal: providers.Refused(denied), passes: 4, attempts: [2]int{4, 4}, want: proven},
		"patient, and it does not pass": {refusal: providers.Refused(denied), attempts: [2]int{10, 40}, want: providers.Failed},
		"refused for good":              {refusal: providers.Final(denied), passes: 2, attempts: [2]int{1, 1}, want: providers.Failed},
		"its login can be ended":        {refusal: providers.Refused(denied), own: true, passes: 2, attempts: [2]int{1, 1}, want: providers.Accepted},
		"its login only expires": {refusal: providers.Refused(denied), own: true, passes: 3, attempts: [2]int{3, 3}, want: proven,
			closing: func(int) (providers.Proof, error) { return expires, nil }},
		"its login expires, and it can never be revoked": {refusal: providers.Final(denied), own: true, attempts: [2]int{1, 1}, want: providers.Failed,
			closing: func(int) (providers.Proof, error) { return expires, nil }},
		"its login may not be ended either, for a while": {refusal: providers.Refused(denied), own: true, attempts: [2]int{3, 3}, want: providers.Accepted,
			closing: func(n int) (providers.Proof, error) {
				if n < 3 {
					return providers.Failed, providers.Refused(denied)
				}
				return proven, nil
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.closing = c.closing
				f.revoking = func(_ context.Context, _ providers.Lease, n int) (providers.Proof, error) {
					if n == c.passes {
						return "", nil
					}
					return providers.Failed, c.refusal
				}
				book := NewBook(nil)
				if c.own {
					own := f.lease("own", time.Hour)
					f.own = &own
				}
				s := book.Add("fake", f)
				l := f.lease("a", time.Hour)
				l.Session = s.ID
				book.Hold(l)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				o := Revoker{Book: book, Patient: !c.hasty}.Session(ctx, s)[l.Key()]
				if n := f.attempts["a"]; o.Proof != c.want || n < c.attempts[0] || n > c.attempts[1] {
					t.Errorf("%+v after %d attempts, want %s after %v", o, n, c.want, c.attempts)
				}
			})
		})
	}
}

func TestUnansweredRequestsAreSettledBeforeTheLoginIsEnded(t *testing.T) {
	f := newFake()
	book, s := keeping(f, f.lease("a", time.Hour))
	book.Asking(s)
	book.Asking(s)
	book.Answered(s)
	Revoker{Book: book}.Everything(t.Context())
	if len(f.revoked) != 3 || !slices.Contains(f.revoked, "settled") || f.revoked[2] != "login" || f.settled != 1 {
		t.Errorf("order %v, settled %d; want the login last", f.revoked, f.settled)
	}
}

func TestLeasesFoundWhileSettlingAreRevokedAndKnownOnesAreNotTakenForNew(t *testing.T) {
	f := newFake()
	known := f.lease("a", time.Hour)
	book, s := keeping(f, known)
	f.found = []providers.Lease{known, f.lease("b", time.Hour)}
	book.Asking(s)
	outcomes := Revoker{Book: book}.Everything(t.Context())
	if f.attempts["a"] != 1 || f.attempts["b"] != 1 {
		t.Errorf("%d attempts at the known lease and %d at the found one, want one each", f.attempts["a"], f.attempts["b"])
	}
	if o := outcomes[f.found[1].Key()]; o.Proof != providers.Proven || !book.Empty() {
		t.Errorf("the found lease is %+v; the book is empty: %t", o, book.Empty())
	}
}

// deferrer is a fake whose server has a queue of its own.
type deferrer struct{ *fake }

func (d deferrer) Defer(context.Context, providers.Lease) (providers.Proof, error) {
	return providers.Accepted, nil
}

func TestWhatCannotBeRevokedInTimeIsHandedToTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) {
			return providers.Failed, errors.New("failed to revoke entry: database is down")
		}
		book := NewBook(nil)
		s := book.Add("fake", deferrer{f})
		l := f.lease("a", time.Hour)
		l.Session = s.ID
		book.Hold(l)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		o := Revoker{Book: book}.Everything(ctx)[l.Key()]
		if o.Proof != providers.Accepted || o.Err == nil || o.Confirmed() {
			t.Errorf("%+v; accepted is not proven", o)
		}
		if book.Empty() {
			t.Error("accepted is not gone; the guard must go on")
		}
	})
}

func TestAPromiseIsToldWithWhyItIsNoProof(t *testing.T) {
	f := newFake()
	f.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) { return providers.Accepted, nil }
	l := f.lease("a", time.Hour)
	book, _ := keeping(f, l)
	o := Revoker{Book: book}.Everything(t.Context())[l.Key()]
	if o.Proof != providers.Accepted || o.Err == nil || o.Confirmed() || f.attempts["a"] != 1 {
		t.Errorf("%+v after %d attempts; want one, and why it is not proven", o, f.attempts["a"])
	}
}

// A credential that was replaced is revoked by who replaced it, and then its login is; the run's end, which may come just then, must not ask that login again.
func TestALeaseThatSomebodyElseHasSeenGoneIsNotAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := f.lease("a", time.Hour)
		book, s := keeping(f, l)
		f.revoking = func(_ context.Context, _ providers.Lease, n int) (providers.Proof, error) {
			time.Sleep(time.Second)
			if n > 1 {
				return providers.Accepted, nil // as of a login that has ended
			}
			return providers.Proven, nil
		}
		l.Session = s.ID
		go Revoker{Book: book}.One(t.Context(), s, l)
		synctest.Wait()
		if o := (Revoker{Book: book}).Everything(t.Context())[l.Key()]; o.Proof != providers.Proven || f.attempts["a"] != 1 {
			t.Errorf("%+v after %d attempts, want one", o, f.attempts["a"])
		}
	})
}

// A login that has lapsed, or was revoked, takes its leases along and can look no more. The run has logged in again since, and that login must not be ended before it has looked.
func TestWhatADeadLoginCannotSeeIsSeenByALaterOne(t *testing.T) {
	for name, c := range map[string]struct {
		old, later string // the server of each
		want       providers.Proof
	}{
		"with the same server": {"https://vault", "https://vault", providers.Proven},
		"with another":         {"https://vault", "https://other", providers.Accepted},
		"not known which":      {"", "", providers.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dead, later := newFake(), newFake()
				dead.origin, later.origin = c.old, c.later
				dead.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) {
					time.Sleep(time.Second) // the later one has nothing to do meanwhile
					return providers.Accepted, nil
				}
				later.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) {
					if later.closed > 0 {
						return providers.Accepted, nil
					}
					return providers.Proven, nil
				}
				l := dead.lease("a", time.Hour)
				book, _ := keeping(dead, l)
				book.Add("fake", later)
				if o := (Revoker{Book: book}).Everything(t.Context())[l.Key()]; o.Proof != c.want || later.closed != 1 {
					t.Errorf("%+v, and the later login was ended %d times", o, later.closed)
				}
			})
		})
	}
}

// What has gone before is in the account, too: it is as it was seen then.
func TestEverythingAccountsForWhatHasGoneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		own := f.lease("own", time.Hour)
		f.own = &own
		l := f.lease("a", time.Hour)
		book, s := keeping(f, l)
		began := time.Now()
		Revoker{Book: book}.Session(t.Context(), s)
		time.Sleep(time.Minute)
		all := Revoker{Book: book}.Everything(t.Context())
		for _, l := range []providers.Lease{l, own} {
			if o, known := all[l.Key()]; !known || o.Proof != providers.Proven || !o.At.Equal(began) || o.Lease.Key() != l.Key() {
				t.Errorf("%s: %+v", l.ID, o)
			}
		}
		if f.attempts["a"] != 1 || f.closed != 1 {
			t.Errorf("%d attempts at the lease, %d at the login", f.attempts["a"], f.closed)
		}
	})
}

// A guard whose login was ended under it could only watch.
func TestALoginIsLeftToWhoGoesOnWithItsLeases(t *testing.T) {
	for name, c := range map[string]struct {
		rec    Recorder
		err    error
		closed int
	}{
		"somebody goes on":                   {recording{}, errors.New("database is down"), 0},
		"nobody goes on":                     {nil, errors.New("database is down"), 1},
		"who was to go on is lost":           {lost{}, errors.New("database is down"), 1},
		"asking again for them is of no use": {recording{}, providers.Refused(errors.New("permission denied")), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				own := f.lease("own", time.Hour)
				f.own = &own
				f.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) { return providers.Failed, c.err }
				book := NewBook(c.rec)
				s := book.Add("fake", f)
				l := f.lease("a", time.Hour)
				l.Session = s.ID
				book.Hold(l)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				o := Revoker{Book: book}.Everything(ctx)[own.Key()]
				if f.closed != c.closed || o.Confirmed() != (c.closed == 1) {
					t.Errorf("the login was ended %d times, want %d; it is %+v", f.closed, c.closed, o)
				}
			})
		})
	}
}

type recording struct{}

func (recording) Session(string, providers.Handoff, *providers.Lease) {}
func (recording) Lease(providers.Lease)                               {}
func (recording) Pending(string, int)                                 {}
func (recording) Gone(providers.Lease)                                {}
func (recording) Closed(string)                                       {}
func (recording) Works() bool                                         { return true }

type lost struct{ recording }

func (lost) Works() bool { return false }

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	var waits []time.Duration
	for w := range Backoff {
		if waits = append(waits, w); len(waits) == 8 {
			break
		}
	}
	for i, longest := range []time.Duration{200 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second, 15 * time.Second} {
		if waits[i] > longest || waits[i] < longest*2/3-time.Millisecond {
			t.Errorf("wait %d is %s; want at most %s and at least two thirds of it", i, waits[i], longest)
		}
	}
}

// A driver's parser may stumble over what a hostile server sends.
func TestAProviderThatPanicsFailsForThatLeaseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, other := newFake(), newFake()
		f.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) { panic("s3cret") }
		f.closing = func(int) (providers.Proof, error) { panic(errors.New("s3cret")) }
		f.renewing = func(int) error { var none []int; _ = none[len(f.renewals)]; return nil }
		book, _ := keeping(f, f.lease("hostile's", time.Minute))
		s := book.Add("fake", other)
		l := other.lease("other's", time.Hour)
		l.Session = s.ID
		book.Hold(l)
		ends := keepFor(t, f, book, time.Minute, 2*time.Minute)
		if len(ends) != 1 || !errors.Is(ends[0].why, errPanicked) || !strings.Contains(ends[0].why.Error(), "index out of range") {
			t.Errorf("said to end: %+v", ends)
		}
		if len(other.renewals) == 0 {
			t.Error("the other server's lease is not renewed")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		outcomes := Revoker{Book: book}.Everything(ctx)
		if o := outcomes["fake\x00hostile's"]; o.Proof != providers.Failed || !errors.Is(o.Err, errPanicked) || strings.Contains(o.Err.Error(), "s3cret") {
			t.Errorf("the hostile server's: %+v", o)
		}
		if o := outcomes["fake\x00other's"]; !o.Confirmed() {
			t.Errorf("the other's: %+v", o)
		}
		if f.attempts["hostile's"] < 3 {
			t.Errorf("%d attempts: it is tried again, for a server may come to itself", f.attempts["hostile's"])
		}
	})
}
