// Package serve adds to a credential what no server gives with it: an endpoint of the run's own, at which a client finds the credential as
// it is at that moment, and what has to be made of several fields. A binding names them like any field (SSH_AUTH_SOCK=served:ssh-agent);
// Names lists them.
//
// # What the package promises
//
//   - What no binding names costs nothing: no socket, no goroutine, no file.
//   - An endpoint answers this user alone: a socket in the run's private directory, or loopback with a bearer token that is compared in
//     constant time, where a request for another host (a browser's, by DNS rebinding) is refused.
//   - It answers with the credential that is current then, so it follows renewals and rotations without being told.
//   - The secret stays in this process's memory. When the process ends, by SIGKILL too, nothing usable remains; Close ends it before that.
//   - No error, and no answer to a request that is refused, holds a secret.
package serve

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// Prefixes of the fields that this package adds. No provider's fields have a colon there: they join names by dots.
const (
	servedPrefix = "served:"
	madePrefix   = "made:"
)

// An addition is a field, or several at once, that a binding can name.
type addition struct {
	names []string
	open  func(names []string, e *Endpoints) error
}

// additions are all there are.
var additions = []addition{
	{[]string{"served:ssh-agent"}, openAgent},
	{[]string{"served:aws-url", "served:aws-token"}, openAWS},
	{[]string{"served:askpass"}, openAskpass},
	{[]string{"served:git-key", gitHelper, "served:git-header"}, openGit},
	{[]string{tnsField}, openTNS},
	{[]string{sshKeyField, basicAuthField, npmRegistry}, func([]string, *Endpoints) error { return nil }}, // see Made
	{[]string{pkcs12Field, pkcs12Password}, func(_ []string, e *Endpoints) error {
		e.add(pkcs12Password, rand.Text(), true)
		return nil
	}},
}

// Names lists the fields that can be asked for.
func Names() []string {
	var names []string
	for _, a := range additions {
		names = append(names, a.names...)
	}
	return names
}

// Adds reports whether a field's name is of this package's kind, known or not.
func Adds(name string) bool {
	return strings.HasPrefix(name, servedPrefix) || strings.HasPrefix(name, madePrefix)
}

// Lasts reports whether what a field holds stays good when the credential is replaced.
func Lasts(name string) bool {
	return strings.HasPrefix(name, servedPrefix) || name == pkcs12Password
}

// IsShell reports whether what a field holds is a line of shell, and not one word.
func IsShell(name string) bool { return name == gitHelper }

// A Source is what endpoints are served from.
type Source struct {
	// Current is the credential as it is now. It may be called at any time from any goroutine, until Close has returned.
	Current func() providers.Credential
	// Dir is the run's private directory, made when it is first asked for.
	Dir func() (path string, err error)
	// Program is the path of with-creds itself, for what a client starts by name.
	Program func() (path string, err error)
}

// Endpoints are what one credential is served at.
type Endpoints struct {
	source  Source
	fields  []providers.Field
	closers []io.Closer
	live    bool
}

// Open opens what the names ask for, and nothing for other names. A credential that cannot be served so is an error, and nothing stays
// open then.
func Open(names []string, s Source) (*Endpoints, error) {
	e := &Endpoints{source: s}
	for _, a := range additions {
		var asked []string
		for _, name := range names {
			if slices.Contains(a.names, name) {
				asked = append(asked, name)
			}
		}
		if len(asked) == 0 {
			continue
		}
		if err := a.open(asked, e); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", asked[0], err), e.Close())
		}
	}
	e.live = len(e.closers) > 0
	return e, nil
}

// Fields are what the endpoints add to the credential. They stay the same when the credential is replaced.
func (e *Endpoints) Fields() []providers.Field {
	if e == nil {
		return nil
	}
	return e.fields
}

// Live reports whether there is an endpoint that answers with the credential as it is then.
func (e *Endpoints) Live() bool { return e != nil && e.live }

// Close ends every endpoint and the connections to it. It may be called again, and of nil.
func (e *Endpoints) Close() error {
	if e == nil {
		return nil
	}
	var errs []error
	for _, c := range e.closers {
		errs = append(errs, c.Close())
	}
	e.closers = nil
	return errors.Join(errs...)
}

func (e *Endpoints) add(name, value string, secret bool) {
	e.fields = append(e.fields, providers.Field{Name: name, Value: value, Secret: secret})
}

// need returns fields of the credential as it is now, or says which it lacks.
func (e *Endpoints) need(names ...string) ([]string, error) {
	c := e.source.Current()
	values := make([]string, len(names))
	for i, name := range names {
		f, ok := c.Field(name)
		if !ok {
			return nil, fmt.Errorf("it is made of %s, and the credential has only %s", strings.Join(names, " and "), strings.Join(c.FieldNames(), ", "))
		}
		values[i] = f.Value
	}
	return values, nil
}
