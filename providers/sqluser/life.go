package sqluser

import "time"

// Life is how long a new user lives, where the server can end it: as long as the leash, within the ttl that was asked for, and an hour where there is neither (0).
func Life(leash, ttl time.Duration) time.Duration {
	switch {
	case leash > 0 && ttl > 0:
		return min(leash, ttl)
	case leash > 0:
		return leash
	case ttl > 0:
		return ttl
	}
	return time.Hour
}
