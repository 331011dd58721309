package postgres

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Who has set nothing yet is taken to the local socket, as psql takes him.
func TestAServerThatIsNotThereIsToldOnceAndWhereItsAddressIsSet(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"by TCP, with and without TLS": {urlVariable: "postgres://ci_admin:" + rand.Text() + "@127.0.0.1:1/shop?sslmode=prefer"},
		"by a socket":                  {"PGHOST": filepath.Join(t.TempDir(), "none"), "PGUSER": "ci_admin"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := Provider{}.Open(ctx, providers.Settings{Run: "r7k2", Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
			if err == nil || strings.Count(err.Error(), "dial error") != 1 || !strings.Contains(err.Error(), "check that a server listens there, and the address in "+urlVariable) {
				t.Errorf("the error: %v", err)
			}
		})
	}
}
