package lease

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// keeping holds one lease of the fake in a new book.
func keeping(f *fake, l providers.Lease) (*Book, *Session) {
	book := NewBook(nil)
	s := book.Add("fake", f)
	l.Session = s.ID
	book.Hold(l)
	return book, s
}

type ended struct {
	at  time.Duration
	why error
}

// keepFor runs a keeper for a while and returns when a lease was said to end.
func keepFor(t *testing.T, f *fake, book *Book, leash, d time.Duration) []ended {
	t.Helper()
	var all []ended
	k := &Keeper{Book: book, Leash: leash, Ending: func(_ context.Context, l providers.Lease, why error) {
		all = append(all, ended{l.Expires.Sub(f.began), why})
	}}
	k.Start(t.Context())
	time.Sleep(d)
	k.Stop()
	k.Wait()
	return all
}

func TestRenewalComesAtAboutTwoThirdsOfWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		book, _ := keeping(f, f.lease("a", 300*time.Second))
		keepFor(t, f, book, 300*time.Second, time.Hour)
		last := time.Duration(0)
		for _, at := range f.renewals {
			if gap := at - last; gap < 180*time.Second || gap > 200*time.Second {
				t.Errorf("renewed %s after the last time; want between 60 and 67 %% of 300s", gap)
			}
			last = at
		}
		if n := len(f.renewals); n < 18 || n > 20 {
			t.Errorf("%d renewals in an hour", n)
		}
	})
}

func TestWhatOutlivesTheLeashIsCutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		book, _ := keeping(f, f.lease("a", time.Hour))
		keepFor(t, f, book, 5*time.Minute, time.Second)
		if len(f.renewals) != 1 || f.renewals[0] != 0 {
			t.Fatalf("renewals at %v; want one at 0", f.renewals)
		}
		if ttl := book.Held(nil)[0].TTL(f.began); ttl != 5*time.Minute {
			t.Errorf("lives for %s", ttl)
		}
	})
}

func TestCuttingTheLoginIsEnoughWhereThereIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		own := f.lease("login", time.Hour)
		f.own = &own
		book, _ := keeping(f, f.lease("a", time.Hour))
		keepFor(t, f, book, 5*time.Minute, time.Second)
		if len(f.renewals) != 1 {
			t.Errorf("%d requests; want the login's alone", len(f.renewals))
		}
	})
}

func TestWithoutALeashTheIssuedTTLIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		book, _ := keeping(f, f.lease("a", time.Hour))
		keepFor(t, f, book, 0, 50*time.Minute)
		if len(f.renewals) != 1 || f.renewals[0] < 36*time.Minute {
			t.Fatalf("renewals at %v; want one at about 40m", f.renewals)
		}
	})
}

func TestRenewalsNeverComeFasterThanOnceASecondNearTheMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.maximum = 30 * time.Second
		book, _ := keeping(f, f.lease("a", 3*time.Second))
		all := keepFor(t, f, book, 3*time.Second, time.Minute)
		for i := 1; i < len(f.renewals); i++ {
			if gap := f.renewals[i] - f.renewals[i-1]; gap < time.Second {
				t.Errorf("renewed twice within %s", gap)
			}
		}
		if len(all) != 1 || all[0].at != 30*time.Second || !errors.Is(all[0].why, errMaximum) {
			t.Errorf("ending told: %v; want once, at 30s", all)
		}
	})
}

func TestAFailedRenewalIsRepeatedWhileTheLeaseLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.renewing = func(n int) error {
			if n <= 4 {
				return errors.New("connection refused")
			}
			return nil
		}
		book, _ := keeping(f, f.lease("a", 60*time.Second))
		if all := keepFor(t, f, book, 60*time.Second, 80*time.Second); len(all) > 0 {
			t.Errorf("said to end: %v", all)
		}
		if len(f.renewals) < 5 {
			t.Fatalf("%d attempts; want at least 5", len(f.renewals))
		}
		for i := 1; i < 5; i++ {
			if gap := f.renewals[i] - f.renewals[i-1]; gap < time.Second {
				t.Errorf("attempt %d came %s after the last", i+1, gap)
			}
		}
	})
}

func TestARefusedRenewalIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.renewing = func(int) error { return providers.Refused(errors.New("permission denied")) }
		book, _ := keeping(f, f.lease("a", 60*time.Second))
		all := keepFor(t, f, book, 60*time.Second, 2*time.Minute)
		if len(f.renewals) != 1 || len(all) != 1 || all[0].at != 60*time.Second {
			t.Errorf("%d attempts, ending told %v", len(f.renewals), all)
		}
	})
}

func TestALeaseThatIsGoneIsSaidToHaveEndedWhenThatWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.renewing = func(int) error { return providers.Gone(errors.New("no such lease")) }
		book, _ := keeping(f, f.lease("a", time.Hour))
		all := keepFor(t, f, book, time.Hour, 2*time.Hour)
		if len(f.renewals) != 1 || len(all) != 1 || all[0].at != f.renewals[0] {
			t.Errorf("renewals at %v, ending told %v; want one of each, at the same time", f.renewals, all)
		}
	})
}

// A lease of a minute is renewed after 40 s; then its server is away nearly until its end, and the waits between attempts would be longer than what is left.
func TestWaitsBetweenAttemptsDoNotReachBeyondALeasesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.renewing = func(int) error {
			if at := time.Since(f.began); at > 30*time.Second && at < 57*time.Second {
				return errors.New("connection refused")
			}
			return nil
		}
		book, _ := keeping(f, f.lease("a", time.Minute))
		keepFor(t, f, book, time.Minute, 90*time.Second)
		if !slices.ContainsFunc(f.renewals, func(at time.Duration) bool { return at >= 57*time.Second && at < time.Minute }) {
			t.Errorf("renewals at %v: none in the lease's last three seconds", f.renewals)
		}
		for i := 1; i < len(f.renewals); i++ {
			if gap := f.renewals[i] - f.renewals[i-1]; gap < time.Second {
				t.Errorf("tried twice within %s", gap)
			}
		}
	})
}

func TestALeaseThatCannotBeRenewedIsToldOfAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := f.lease("a", 15*time.Minute)
		l.Renewable = false
		book, _ := keeping(f, l)
		all := keepFor(t, f, book, 5*time.Minute, time.Second)
		if len(all) != 1 || !errors.Is(all[0].why, errNotRenewable) || all[0].at != 15*time.Minute {
			t.Errorf("told %v", all)
		}
	})
}

func TestALoginWithoutAnEndIsNotSaidToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.own = &providers.Lease{Provider: "fake", ID: "login"}
		book, _ := keeping(f, f.lease("a", 15*time.Minute))
		if all := keepFor(t, f, book, 5*time.Minute, time.Minute); len(all) != 0 {
			t.Errorf("told %v", all)
		}
	})
}

func TestAClockThatJumpsForwardRenewsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jump atomic.Int64
		f := newFake()
		book, _ := keeping(f, f.lease("a", time.Hour))
		k := &Keeper{Book: book, Leash: time.Hour, now: func() time.Time { return time.Now().Round(0).Add(time.Duration(jump.Load())) }}
		k.Start(t.Context())
		time.Sleep(time.Minute)
		jump.Store(int64(time.Hour)) // the machine slept: the wall clock went on and the timer did not
		time.Sleep(glance + time.Second)
		k.Stop()
		k.Wait()
		if len(f.renewals) == 0 {
			t.Error("not renewed within a glance of waking up")
		}
	})
}

func TestRevocationWaitsForARenewalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var order []string
		f.renewing = func(int) error {
			time.Sleep(3 * time.Second)
			order = append(order, "renewed")
			return nil
		}
		f.revoking = func(context.Context, providers.Lease, int) (providers.Proof, error) {
			order = append(order, "revoked")
			return "", nil
		}
		book, _ := keeping(f, f.lease("a", time.Hour))
		k := &Keeper{Book: book, Leash: time.Minute}
		k.Start(t.Context())
		time.Sleep(time.Second)
		k.Stop()
		Revoker{Book: book}.Everything(t.Context())
		if len(order) != 2 || order[1] != "revoked" {
			t.Errorf("order: %v", order)
		}
		if !book.Empty() {
			t.Error("the book is not empty")
		}
	})
}
