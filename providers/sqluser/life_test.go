package sqluser

import (
	"testing"
	"time"
)

func TestLifeIsTheLeashWithinTheTTLAndAnHourWithoutEither(t *testing.T) {
	tests := []struct {
		leash, ttl, want time.Duration
	}{
		{0, 0, time.Hour},
		{5 * time.Minute, 0, 5 * time.Minute},
		{0, 15 * time.Minute, 15 * time.Minute},
		{5 * time.Minute, time.Minute, time.Minute},
		{5 * time.Minute, time.Hour, 5 * time.Minute},
	}
	for _, test := range tests {
		if got := Life(test.leash, test.ttl); got != test.want {
			t.Errorf("leash %s, ttl %s: %s, want %s", test.leash, test.ttl, got, test.want)
		}
	}
}
