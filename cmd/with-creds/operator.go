package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/signal"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/registry"
	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/lease"
)

// An operator is a person, or a timer, at work on what is on the servers, with a login of their own. Sessions are opened when they are needed, one a
// provider, and closed by done.
type operator struct {
	judged
	ctx  context.Context // the command's own: it ends with a signal
	name string          // what the login is for, in the server's logs
	book *lease.Book

	requests atomic.Int64 // round trips made

	mu   sync.Mutex // held while a session is opened: who asks for the same one waits for it
	open map[string]*operating
}

// An operating session, or why there is none.
type operating struct {
	*lease.Session
	err error
}

// operatorFlags are the settings that matter when nothing is issued and nothing run.
func operatorFlags(more ...cli.Flag) []cli.Flag {
	return append(more, someFlags("config", "quiet", "verbose", "log-format", "revoke-timeout", "vault-*")...)
}

// someFlags are the settings of these names.
func someFlags(keep ...string) []cli.Flag {
	return slices.DeleteFunc(flags(), func(f cli.Flag) bool {
		return !slices.ContainsFunc(keep, func(pattern string) bool {
			fits, _ := path.Match(pattern, f.Names()[0])
			return fits
		})
	})
}

// operate runs a command of an operator: it reads the settings, and whatever happens it closes the logins.
func (w *world) operate(name string, act func(o *operator, c *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if w.wraps {
			return fmt.Errorf("%s runs no command: leave out the --", name)
		}
		j, err := w.settle(c)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		o := &operator{judged: j, ctx: ctx, name: name, book: lease.NewBook(nil), open: map[string]*operating{}}
		defer o.done()
		err = act(o, c)
		switch {
		case ctx.Err() == nil:
		case err == nil:
			err = errors.New("stopped")
		default:
			err = fmt.Errorf("stopped: %w", err)
		}
		return err
	}
}

// waiting says what is waited for when that takes longer than two seconds.
func (o *operator) waiting(format string, args ...any) (done func() bool) {
	return time.AfterFunc(2*time.Second, func() { o.log.Say("still "+format+" …", args...) }).Stop
}

// at is the session with a provider. It may be called concurrently.
func (o *operator) at(provider string) (*lease.Session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, ok := o.open[provider]; ok {
		return was.Session, was.err
	}
	found := &operating{}
	o.open[provider] = found
	p, ok := registry.All()[provider]
	if !ok {
		found.err = step.UnknownProvider(provider, registry.All())
		return nil, found.err
	}
	defer o.waiting("logging in to %s", provider)()
	ctx, cancel := context.WithTimeout(o.ctx, time.Minute)
	defer cancel()
	s, err := p.Open(ctx, providers.Settings{Lookup: o.layers.Lookup, Run: o.name, Leash: o.Leash, Warn: o.log.Warn, Requests: &o.requests})
	if err != nil {
		found.err = err
		return nil, err
	}
	found.Session = o.book.Adopt(provider, s, 0)
	return found.Session, nil
}

// finder is the session with a provider that can look at what is on its server.
func (o *operator) finder(provider string) (*lease.Session, providers.Finder, error) {
	s, err := o.at(provider)
	if err != nil {
		return nil, nil, err
	}
	f, ok := s.Session.(providers.Finder)
	if !ok {
		return nil, nil, fmt.Errorf("%s: leases that with-creds has no handle of cannot be found there", provider)
	}
	return s, f, nil
}

// done ends the logins, those included that a signal cut off: who has sent one is not kept waiting for long.
func (o *operator) done() {
	patience := 10 * time.Second
	if o.ctx.Err() != nil {
		patience = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), patience)
	defer cancel()
	defer o.waiting("ending the login")()
	for _, name := range slices.Sorted(maps.Keys(o.open)) {
		if s := o.open[name].Session; s != nil {
			if _, err := s.Close(ctx); err != nil {
				o.log.Warn("%v", err)
			}
		}
	}
}

// A place is an argument: a provider, and a path, group or lease ID there.
type place struct{ provider, path string }

func (p place) String() string {
	if p.path == "" {
		return p.provider + ":" // everywhere
	}
	return p.path
}

// placeOf reads "provider:path". What names no provider first, not even a misspelt one, is Vault's, as people copy it from there: database/creds/readonly/….
func placeOf(arg string) place {
	if provider, path, found := strings.Cut(arg, ":"); found && sourced(arg) {
		return place{provider, path}
	}
	return place{"vault", arg}
}
