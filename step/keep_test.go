package step

import (
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func TestWhenACredentialThatCannotBeExtendedIsReplaced(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		age, left time.Duration
		want      time.Duration // from now
	}{
		"an hour, as issued":                        {0, time.Hour, 40 * time.Minute},
		"an hour's last half":                       {30 * time.Minute, 30 * time.Minute, 20 * time.Minute},
		"an hour's last seconds":                    {time.Hour - 10*time.Second, 10 * time.Second, 0},
		"six seconds, as issued":                    {0, 6 * time.Second, 4 * time.Second},
		"six seconds, half over":                    {3 * time.Second, 3 * time.Second, time.Second},
		"six seconds, mostly over":                  {5 * time.Second, time.Second, 0},
		"a second, not more often than once in one": {0, time.Second, time.Second},
	} {
		l := providers.Lease{ID: "x", Issued: now.Add(-c.age), Expires: now.Add(c.left)}
		if got := replaceAt(l, now).Sub(now); got != c.want {
			t.Errorf("%s: after %v, want %v", name, got, c.want)
		}
	}
	if got := replaceAt(providers.Lease{ID: "x", Expires: now.Add(6 * time.Second)}, now); !got.Equal(now) {
		t.Errorf("one of unknown age: at %v, want at once", got)
	}
}

func TestWhatWasReplacedIsLeftToVariablesNearlyToItsEnd(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		left        time.Duration
		files, vars time.Duration // from now
	}{
		"minutes": {3 * time.Minute, 10 * time.Second, 3*time.Minute - 5*time.Second},
		"seconds": {4 * time.Second, 2 * time.Second, 2 * time.Second},
		"nothing": {-time.Second, 0, 0},
	} {
		l := providers.Lease{ID: "x", Expires: now.Add(c.left)}
		if got := changedOver(l, now, false).Sub(now); got != c.files {
			t.Errorf("%s, files alone: after %v, want %v", name, got, c.files)
		}
		if got := changedOver(l, now, true).Sub(now); got != c.vars {
			t.Errorf("%s, with variables: after %v, want %v", name, got, c.vars)
		}
	}
}
