package providers_test

import (
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/with-creds/with-creds/providers"
)

// slept is a time at which a machine wakes up that has slept for so long before: its monotonic clock stood still meanwhile.
func slept(now time.Time, d time.Duration) time.Time {
	inside := (*struct { // of time.Time; the test says so should it ever be otherwise
		wall uint64
		ext  int64 // the monotonic reading
	})(unsafe.Pointer(&now)) // there is no other way to a time whose two clocks differ
	inside.ext -= int64(d)
	return now
}

func TestWhatALeaseHasLeftIsByTheClockThatSaysLess(t *testing.T) {
	began := time.Now()
	l := providers.Lease{ID: "x", Expires: began.Add(time.Hour)}
	woke := slept(began.Add(50*time.Minute), 50*time.Minute)
	if woke.Sub(began) != 0 || woke.Round(0).Sub(began.Round(0)) != 50*time.Minute {
		t.Fatalf("%v is not what a machine sees that has slept since %v", woke, began)
	}
	for name, c := range map[string]struct {
		now  time.Time
		want time.Duration
	}{
		"awake":                        {began.Add(10 * time.Minute), 50 * time.Minute},
		"slept":                        {woke, 10 * time.Minute},
		"slept beyond its end":         {slept(began.Add(2*time.Hour), 2*time.Hour), 0},
		"the wall clock was set back":  {slept(began.Add(-10*time.Minute), -20*time.Minute), 50 * time.Minute},
		"read back, as from a journal": {began.Add(20 * time.Minute).Round(0), 40 * time.Minute},
	} {
		if got := l.TTL(c.now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := (providers.Lease{ID: "x"}).TTL(began); got != 0 {
		t.Errorf("without an end: %v", got)
	}
}

func TestWhatIsGoneIsRefusedTooAndNotTheOtherWayRound(t *testing.T) {
	cause := errors.New("no such lease")
	gone, refused := fmt.Errorf("renewing: %w", providers.Gone(cause)), fmt.Errorf("renewing: %w", providers.Refused(cause))
	if !errors.Is(gone, providers.ErrGone) || !errors.Is(gone, providers.ErrRefused) || !errors.Is(gone, cause) {
		t.Errorf("%v is not all that it should be", gone)
	}
	if errors.Is(refused, providers.ErrGone) || !errors.Is(refused, providers.ErrRefused) {
		t.Errorf("%v is not what it should be", refused)
	}
}
