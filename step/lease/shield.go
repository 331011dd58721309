package lease

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Shielded is f's answer, and an error where f panics: what a server sends goes through a driver's parser, and one hostile server must not keep a process from
// giving back what others have issued. What was panicked with is told where it is the runtime's word, which holds no data.
func Shielded[T any](f func() (T, error)) (answer T, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%w: %w", errPanicked, p)
		default:
			err = fmt.Errorf("%w (%T)", errPanicked, p)
		}
	}()
	return f()
}

var errPanicked = errors.New("the provider came to a stop over it, by a defect of its own or what a hostile server sent")

// Issue is the session's own, shielded. Whatever it was doing may have been done.
func (s *Session) Issue(ctx context.Context, r providers.Request) (providers.Credential, error) {
	c, err := Shielded(func() (providers.Credential, error) { return s.Session.Issue(ctx, r) })
	if errors.Is(err, errPanicked) {
		err = providers.Unanswered(err)
	}
	return c, err
}

// Renew is the session's own, shielded.
func (s *Session) Renew(ctx context.Context, l providers.Lease, increment time.Duration) (providers.Lease, error) {
	return Shielded(func() (providers.Lease, error) { return s.Session.Renew(ctx, l, increment) })
}

// Revoke is the session's own, shielded.
func (s *Session) Revoke(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	return Shielded(func() (providers.Proof, error) { return s.Session.Revoke(ctx, l) })
}

// Close is the session's own, shielded.
func (s *Session) Close(ctx context.Context) (providers.Proof, error) {
	return Shielded(func() (providers.Proof, error) { return s.Session.Close(ctx) })
}
