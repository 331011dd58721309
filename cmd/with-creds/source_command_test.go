//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// commandRow is a service that sells tokens and the row for it: tokens issued by the example program mint.sh, by way of command:PROGRAM.
func commandRow(t testing.TB) server {
	t.Helper()
	service := harness.Tokens(t)
	program, err := filepath.Abs("../../examples/command/mint.sh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal(err)
	}
	return server{
		secrets: []string{"WITH_CREDS_COMMAND_ENV_TOKENS_KEY"}, log: service.Log,
		name: "command", address: service.Address(),
		source: func(t testing.TB, address string, o order) *source {
			t.Helper()
			account := service.Account()
			s := &source{left: account.Live, usable: func(_ testing.TB, _, password string) bool { return account.Usable(password) }}
			s.env = map[string]string{
				"WITH_CREDS_COMMAND_ENV": "TOKENS_URL,TOKENS_KEY", "TOKENS_URL": "http://" + address, "WITH_CREDS_COMMAND_ENV_TOKENS_KEY": account.APIKey,
			}
			from := "command:" + program
			if o.life > 0 {
				from += fmt.Sprintf("?max_ttl=%d", int(o.life.Seconds()))
			}
			for _, spec := range o.specs(from) {
				s.specs = append(s.specs, strings.NewReplacer("=password", "=token", "=@password", "=@token").Replace(spec))
			}
			return s
		},
		moments: []moment{
			{name: "issuing", holds: "POST /tokens/"},
			{name: "issued and not known", holds: "POST /tokens/", answer: true},
			{name: "renewing", holds: "PATCH /tokens/", lasting: true, leash: shortLeash},
			{name: "replacing", holds: "POST /tokens/", nth: 2, lasting: true, order: order{files: true, life: shortLife}},
			{name: "revoking", holds: "DELETE /tokens/"},
			{name: "revoked and not known", holds: "DELETE /tokens/", answer: true},
		},
	}
}
