package step

import (
	"os"
	"slices"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/serve"
)

// serve opens the endpoints that the bindings of a credential name; most name none, and this does nothing.
func (r *run) serve(c *issued) error {
	names, err := bind.Added(c.spec, r.Bind)
	if err != nil || len(names) == 0 {
		return err
	}
	c.served, err = serve.Open(names, serve.Source{
		Current: func() providers.Credential {
			r.lock.Lock()
			defer r.lock.Unlock()
			return c.credential
		},
		Dir:     r.privateDir,
		Program: os.Executable,
	})
	return err
}

// withServed is the credential with the fields that its endpoints add.
func (c *issued) withServed() providers.Credential {
	with := c.credential
	with.Fields = append(slices.Clip(with.Fields), c.served.Fields()...)
	return with
}

// endServing closes all endpoints: from here on nobody is given a credential that is about to be revoked.
func (r *run) endServing() {
	for _, c := range r.issued {
		if err := c.served.Close(); err != nil {
			r.Log.Debug("%s: closing its endpoint: %v", c.spec.Request.Source(), err)
		}
	}
}
