package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A Finding is one rule of the protocol and what a program makes of it.
type Finding struct {
	Rule string
	Err  error  // nil: kept
	Note string // what was seen, or why the rule could not be tried; no secrets
}

// errUntried marks a finding about a rule that could not be tried.
var errUntried = errors.New("not tried")

// Tried reports whether the rule could be tried at all.
func (f Finding) Tried() bool { return !errors.Is(f.Err, errUntried) }

// Conform tries a program as `with-creds provider check` does: it issues two credentials, renews and revokes them in every way that a run and its
// guard do, and tells tell of each rule of the protocol. It reports whether all were tried and are kept. What it issued is revoked also
// when something is wrong, as well as the program can. When ctx is done it waits for what is under way, tries nothing more, and revokes.
func Conform(ctx context.Context, s providers.Settings, r providers.Request, tell func(Finding)) bool {
	c := conformity{ctx: context.WithoutCancel(ctx), stopped: ctx, tell: tell, kept: true}
	s.Intend = func(l providers.Lease) error {
		c.intent = l
		c.held = append(c.held, l)
		return nil
	}
	opened, err := Provider{}.Open(ctx, s)
	if err != nil {
		c.rule("it can be run", err, "")
		return false
	}
	c.session = opened.(*Session)
	c.all(r)
	c.giveBack()
	return c.kept && ctx.Err() == nil
}

type conformity struct {
	ctx     context.Context // of what must come to its end
	stopped context.Context // nothing more is tried when it is done
	session *Session
	tell    func(Finding)
	kept    bool
	intent  providers.Lease   // of the issue that was asked for last
	held    []providers.Lease // not known to be revoked
}

func (c *conformity) rule(rule string, err error, note string) bool {
	c.tell(Finding{rule, err, note})
	if err != nil && !errors.Is(err, errUntried) {
		c.kept = false
	}
	return err == nil
}

// all is every rule, in an order in which each can rely on those before it.
func (c *conformity) all(r providers.Request) {
	began := time.Now()
	first, err := c.issue(r)
	if !c.rule("issue answers with a credential", err, describe(first, time.Since(began))) || c.stopped.Err() != nil {
		return
	}
	c.rule("some field is secret", secretField(first), "")
	second, err := c.issue(r)
	if c.rule("issue can be repeated", err, "") {
		c.rule("and gives another credential", different(first, second), "")
	}
	if c.stopped.Err() == nil {
		c.renew(first.Lease)
	}
	c.revocations(first.Lease, second.Lease)
}

// issue makes a credential; what is left where that fails is among what is held.
func (c *conformity) issue(r providers.Request) (providers.Credential, error) {
	made, err := c.session.Issue(c.ctx, r)
	if err == nil {
		c.held[len(c.held)-1] = made.Lease
	}
	return made, err
}

func (c *conformity) revocations(first, second providers.Lease) {
	if first.Scope[scopeRevocable] == "no" {
		c.rule("revoke", errUntried, "the program says that it cannot revoke (revocable is false)")
		return
	}
	alone := second
	alone.Scope = map[string]string{scopeProgram: second.Scope[scopeProgram], scopeDir: second.Scope[scopeDir], providers.ScopeRun: c.session.settings.Run}
	never := c.intent
	never.ID += "never"
	for _, try := range []struct {
		rule  string
		lease providers.Lease
	}{
		{"revoke ends a credential by its lease", first},
		{"revoking it again is no error", first},
		{"revoke ends a credential by its id alone, as after a crash", alone},
		{"and then by its lease", second},
		{"revoking what never was is no error", never},
	} {
		if !try.lease.IsZero() && c.stopped.Err() == nil {
			c.revoke(try.rule, try.lease)
		}
	}
	if c.stopped.Err() == nil {
		c.otherVersion(first)
	}
}

// giveBack revokes what nothing else has.
func (c *conformity) giveBack() {
	for _, l := range slices.Clone(c.held) {
		if l.Scope[scopeRevocable] == "no" {
			continue // which was told
		}
		c.revoke("revoke ends what a failed issue, or a check that was stopped, has left", l)
	}
}

func describe(c providers.Credential, took time.Duration) string {
	text := fmt.Sprintf("fields %s, in %s", strings.Join(c.FieldNames(), ", "), took.Round(time.Millisecond))
	if ttl := c.Lease.TTL(time.Now()); ttl > 0 {
		text += ", ttl " + ttl.Round(time.Second).String()
	}
	return text
}

func secrets(c providers.Credential) []string {
	var list []string
	for _, f := range c.Fields {
		if f.Secret {
			list = append(list, f.Value)
		}
	}
	return list
}

func secretField(c providers.Credential) error {
	all := secrets(c)
	if len(all) == 0 {
		return errors.New(`every field is marked {"secret": false}`)
	}
	if slices.ContainsFunc(all, func(v string) bool { return len(v) < leastLong }) {
		return fmt.Errorf("a secret field has less than %d bytes: it cannot be masked", leastLong)
	}
	return nil
}

func different(a, b providers.Credential) error {
	if slices.Equal(secrets(a), secrets(b)) {
		return errors.New("both have the same secrets: ending one would end the other")
	}
	return nil
}

func (c *conformity) renew(l providers.Lease) {
	const rule = "renew answers with a ttl"
	if !l.Renewable {
		c.rule(rule, errUntried, "the credential is not renewable, or has no ttl")
		return
	}
	renewed, err := c.session.Renew(c.ctx, l, time.Minute)
	if c.rule(rule, err, "ttl "+renewed.TTL(time.Now()).Round(time.Second).String()) && renewed.TTL(time.Now()) > 90*time.Second {
		c.rule("renew shortens to what is asked", errUntried, "it was asked for a minute and gave more; the leash does not hold then")
	}
}

func (c *conformity) revoke(rule string, l providers.Lease) {
	proof, err := c.session.Revoke(c.ctx, l)
	if c.rule(rule, err, string(proof)) {
		c.held = slices.DeleteFunc(c.held, func(held providers.Lease) bool { return held.ID == l.ID })
	}
}

// otherVersion asks as a with-creds of the future would.
func (c *conformity) otherVersion(l providers.Lease) {
	argv, q, err := c.session.about(l, actionRevoke)
	if err == nil {
		q.Version = version + 1
		_, err = c.session.run(c.ctx, l, argv, q)
	}
	if err == nil {
		err = fmt.Errorf("it answered a question of version %d as if it were %d", version+1, version)
	} else {
		err = nil
	}
	c.rule("a question of another version is refused", err, "")
}
