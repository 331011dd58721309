// Package step is one wrapped command from beginning to end.
//
//	settings → specs → open providers → issue all, in parallel → bind → start guard's watch → start command
//	    → supervise: mask output, forward signals, renew → command ends → revoke all, in parallel → prove → receipt
//
// # What a run promises
//
//   - P1, exit 0 means revoked: the command succeeded and every credential it was given is confirmed gone.
//   - P5, all or nothing: if one credential cannot be issued, the command never starts and what was issued is revoked.
//   - Whatever is asked for is waited for (within IssueTimeout) before anything is revoked: a request that is abandoned can
//     create a credential which nobody knows of.
//   - No way out of Run skips revocation: not an error, not a signal, not a second signal.
//   - What is left when RevokeTimeout is over is handed to the guard, which goes on, and the exit code says so.
package step

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/child"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/lease"
	"github.com/with-creds/with-creds/step/mask"
	"github.com/with-creds/with-creds/step/receipt"
)

// Run wraps one command. It reads from top to bottom in run.run.
func Run(o Options) Result {
	r := &run{Options: o, id: newID(), began: time.Now(), masker: mask.New(mask.Options{}), sessions: map[string]*lease.Session{}}
	r.Log = o.Log.orSilent()
	r.run()
	return Result{Code: r.code, Receipt: r.receipt}
}

// A run is the state of one wrapped command. Its phases run one after another on one goroutine; what they start in
// parallel they also wait for, but for the keeper: a renewal, or the revocation of what was replaced, that is under way when the command ends goes on beside the
// revocation of everything, which waits for it lease by lease.
type run struct {
	Options
	id    string
	began time.Time

	signals  *early
	guard    *guard.Guard
	book     *lease.Book
	lock     sync.Mutex                // guards the next three, and of each issued what renewal and replacement change
	sessions map[string]*lease.Session // by provider; the current one
	opened   []*lease.Session          // all there ever were
	issued   []*issued
	dir      *bind.Dir // of private files; nil: none
	envFile  string    // where the variables are instead of in the environment; empty: in the environment
	envNext  string    // where its next content is written before it takes the place of the last
	masker   *mask.Masker
	masked   atomic.Int64
	requests atomic.Int64
	memory   memory
	programs programs
	child    *child.Child
	held     bool // for others

	replacing sync.Mutex // held while credentials are replaced; guards over
	over      bool       // the command has ended: nothing is issued any more
	left      bool       // something other than a lease could not be taken away

	code    int
	err     error // why with-creds failed
	timings receipt.Timings
	receipt receipt.Receipt
}

// run is the whole of it, one line a phase. A phase that fails ends the preparations; giving back and accounting always follow.
func (r *run) run() {
	r.signals = listen(r.Signals)
	defer r.signals.end()
	for _, phase := range []struct {
		name string
		do   func() error
	}{
		{"judging settings", r.check},     // all that can be judged without the network
		{"starting the guard", r.watch},   // before there is anything to lose
		{"logging in", r.open},            // all providers in parallel: the first round trip
		{"issuing credentials", r.issue},  // all in parallel: the second
		{"binding them", r.bind},          // variables, files, masks
		{"handing them over", r.commence}, // to the command, or to whoever they are held for
	} {
		began := time.Now()
		err := phase.do()
		r.Log.Debug("%s took %s", phase.name, since(began))
		if err != nil {
			r.fail(err)
			break
		}
	}
	switch {
	case r.child != nil:
		r.supervise() // until the command and what it left behind have ended
	case r.held:
		r.hold() // until they are given back
	}
	r.revoke()  // everything, in parallel, and prove it
	r.account() // the receipt
}

// fail notes why nothing was run, and how that is told in the exit code.
func (r *run) fail(err error) {
	r.err = err
	r.code = child.ExitCode(err)
	if sig := r.signals.caught(); sig != 0 {
		r.code = 128 + int(sig)
		r.err = fmt.Errorf("stopped by %s before the command was started", sig)
	}
	r.Log.Warn("%v", r.err)
}

// check judges settings and specs. Nothing was started and nothing sent.
func (r *run) check() error {
	r.findNamed()
	if r.Lent != nil {
		return nil
	}
	planned, err := Plan(r.Specs, r.Providers, r.Bind)
	if err != nil {
		return err
	}
	if err := Judge(r.Specs, r.Providers, r.Lookup); err != nil {
		return err
	}
	if err := r.checkEnvFile(); err != nil {
		return err
	}
	if r.Receipt != "" {
		if err := receipt.Probe(r.Receipt); err != nil {
			r.Receipt = "" // it is told once
			return err
		}
	}
	if r.Hold != nil || binds(planned, "PATH") { // of the latter it is known once it is issued
		return nil
	}
	return child.Look(child.Options{Argv: r.Argv, Env: r.environ()})
}

// watch starts the guard. Without one the run goes on: the leash remains.
func (r *run) watch() error {
	if r.Guard != nil {
		o := *r.Guard
		o.Run, o.Warnf = r.id, r.Log.Warn
		g, err := guard.Start(o)
		if err != nil {
			r.Log.Warn("%v; going on without: should this process be killed, credentials end with the leash only", err)
		}
		r.guard = g
	}
	r.book = lease.NewBook(recorder(r.guard))
	return nil
}

// recorder keeps a nil *Guard from becoming an interface that is not nil.
func recorder(g *guard.Guard) lease.Recorder {
	if g == nil {
		return nil
	}
	return g
}

// commence starts the command.
func (r *run) commence() error {
	r.guard.Flush(time.Second) // what the command is about to be given is in the journal
	if r.signals.caught() != 0 {
		return errStopped
	}
	if r.Hold != nil {
		return r.hand()
	}
	began := time.Now()
	c, err := child.Start(child.Options{
		Argv: r.Argv, Env: r.environ(),
		Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		Mask:     r.masking(),
		Grace:    r.Grace,
		Spare:    func(pid int) bool { return r.guard.Is(pid) || r.programs.has(pid) },
		Starting: &r.programs,
		Lasts:    guard.IsGuard,
		Warnf:    r.Log.Warn,
	})
	if err != nil {
		return err
	}
	r.child = c
	pid, group, start := c.Process()
	r.guard.Command(guard.Command{PID: pid, Group: group, Start: start})
	r.timings.Start = time.Since(began).Milliseconds()
	return nil
}

// supervise keeps the credentials alive until the command has ended.
func (r *run) supervise() {
	began := time.Now()
	keeper := r.keep()
	ended := r.child.Wait(r.signals.release())
	r.endUse(keeper, began)
	r.code = ended.Code
	if ended.Output != nil {
		r.Log.Warn("the command's output could not be written: %v", ended.Output)
		r.err = ended.Output
		if r.code == 0 {
			r.code = child.ExitCode(r.err)
		}
	}
	if n := ended.Orphans; n > 0 {
		r.Log.Say("ended %d process%s that the command left behind", n, plural(n, "", "es"))
	}
}

// endUse ends the keeping of credentials that nobody uses any more, and their replacement.
func (r *run) endUse(keeper *lease.Keeper, since time.Time) {
	keeper.Stop()
	r.timings.Command = time.Since(since).Milliseconds()
	r.replacing.Lock() // one that is under way is waited for: what it creates must be known
	r.over = true
	r.replacing.Unlock()
}

// oneAttempt is how long revoking is tried at the least: what is not even tried would live for no reason.
const oneAttempt = time.Second

// revoke gives everything back and judges P1.
func (r *run) revoke() {
	if r.book == nil {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), max(r.RevokeTimeout, oneAttempt))
	defer cancel()
	defer r.slow("revoking")()
	r.endServing()
	r.removeFiles()
	outcomes := lease.Revoker{Book: r.book, Waiting: func(l providers.Lease, err error) {
		r.Log.Debug("revoking %s: %v", l.ID, err)
	}}.Everything(ctx)
	r.timings.Revoke = time.Since(began).Milliseconds()

	unproven := r.judge(outcomes)
	if r.book.Empty() && !r.left {
		r.guard.Done()
	} else {
		r.guard.Leave()
	}
	if unproven > 0 && r.code == 0 && !r.WarnOnly {
		r.code = 125
	}
}

// account writes the receipt.
func (r *run) account() {
	r.receipt.Schema, r.receipt.Run, r.receipt.Version = receipt.Schema, r.id, r.Version
	if len(r.Argv) > 0 {
		r.receipt.Command = r.Argv[0]
	}
	r.receipt.Started, r.receipt.Ended = r.began.UTC().Truncate(time.Millisecond), time.Now().UTC().Truncate(time.Millisecond)
	if r.err != nil {
		r.receipt.Error = r.err.Error()
	}
	r.receipt.Masked, r.receipt.Requests = int(r.masked.Load()), r.requests.Load()
	r.receipt.Timings, r.receipt.CI = r.timings, r.CI
	r.receipt.ExitCode = r.code
	if r.Receipt == "" {
		return
	}
	if err := r.receipt.Write(r.Receipt); err != nil {
		r.Log.Warn("%v", err)
		if r.code == 0 {
			r.code = 125
		}
	}
}

// newID names a run: lower-case letters and digits, at home in a role name and in a file name.
func newID() string {
	var b [5]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}
