package sqluser

import (
	"context"
	"errors"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Again repeats what can be repeated without harm: while sessions get in each other's way (contended), and once after the connection
// broke (a server that was restarted since, a connection ended by another revoker). It stops when the context ends; the error is f's last.
func Again(ctx context.Context, contended func(error) bool, f func() error) error {
	const mayBreak = 2
	for wait, broke := 5*time.Millisecond, 0; ; wait = min(2*wait, 200*time.Millisecond) {
		err := f()
		if _, isLost := errors.AsType[Lost](err); isLost && broke < mayBreak {
			broke++
		} else if err == nil || !contended(err) {
			return err
		}
		if !providers.Sleep(ctx, wait) {
			return err
		}
	}
}
