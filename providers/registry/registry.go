// Package registry lists the providers there are: one line each.
package registry

import (
	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/command"
	"github.com/with-creds/with-creds/providers/github"
	"github.com/with-creds/with-creds/providers/mysql"
	"github.com/with-creds/with-creds/providers/postgres"
	"github.com/with-creds/with-creds/providers/vault"
)

// All returns the providers by the name a spec begins with.
func All() map[string]providers.Provider {
	return map[string]providers.Provider{
		"command":  command.Provider{},
		"github":   github.Provider{},
		"mysql":    mysql.Provider{},
		"postgres": postgres.Provider{},
		"vault":    vault.Provider{},
	}
}
