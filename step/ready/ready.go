// Package ready waits until a credential that was just issued is usable, for services that take a while to know their own.
//
// It knows families of clients, as presets do, and no provider: a preset that is of such a family says so.
//
//   - A service that says that it does not know the credential is asked again, each second, until the time is over.
//   - A service that cannot be asked (no network from here, a proxy in between, a clock that is wrong) is not waited for: the command may reach it all the same.
//   - A service that does not know the credential, and may be another than the command's, is waited for likewise; that it still does not is no failure.
//   - The credential is used for nothing but to ask who one is.
package ready

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A verdict is what one question came to.
type verdict int

const (
	usable  verdict = iota
	unknown         // the service does not know it, yet
	foreign         // the same, and whether it is the service of whom the credential is for is not known
	silent          // nothing was learnt
)

// families are those that can be asked; a family's question returns at once with usable where there is nothing to wait for.
var families = map[string]func(ctx context.Context, o Options, c providers.Credential) (verdict, error){
	"aws": askAWS,
}

// Options are what a question needs of the world.
type Options struct {
	Lookup func(name string) (string, bool) // the command's environment: where its service is
	Client *http.Client                     // nil: one of its own
	Every  time.Duration                    // between two questions; default 1 s
	// Waiting, if set, is told once that the service does not know the credential yet.
	Waiting func()
}

// Wait returns when the service knows the credential, or cannot be asked, or there is no such family. The error says that it did not know it until ctx
// was done. The first result says why it could not be asked, or whether the right one was.
func Wait(ctx context.Context, family string, c providers.Credential, o Options) (couldNotAsk, err error) {
	ask, ok := families[family]
	if !ok {
		return nil, nil
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 5 * time.Second}
		defer o.Client.CloseIdleConnections()
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	var last error // why it is not usable
	lost := false  // as the right service says
	for {
		said, why := ask(ctx, o, c)
		switch {
		case said == usable:
			return nil, nil
		case said == silent && (last == nil || ctx.Err() == nil):
			return why, nil
		case said != silent && last == nil && o.Waiting != nil:
			o.Waiting()
		}
		if said != silent {
			last, lost = why, said == unknown
		}
		select {
		case <-ctx.Done():
			if !lost {
				return last, nil
			}
			return nil, fmt.Errorf("the credential was issued and is not usable yet: %w", last)
		case <-time.After(o.Every):
		}
	}
}
