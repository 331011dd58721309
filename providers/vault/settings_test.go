package vault

import (
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
)

func TestTheSettingThatIsWrongIsTheOneThatIsNamed(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"VAULT_ADDR": "nonsense"}, `vault: VAULT_ADDR is "nonsense": write https://HOST:8200`},
		{map[string]string{"VAULT_AGENT_ADDR": "nonsense", "VAULT_ADDR": "https://vault.example"}, `vault: VAULT_AGENT_ADDR is "nonsense": write https://HOST:8200`},
		// Nobody listens at port 1.
		{map[string]string{"VAULT_ADDR": "https://127.0.0.1:1"}, " VAULT_ADDR is https://127.0.0.1:1)"},
		{map[string]string{"VAULT_AGENT_ADDR": "https://127.0.0.1:1"}, " VAULT_AGENT_ADDR is https://127.0.0.1:1)"},
	} {
		env := c.env
		env["VAULT_TOKEN"], env["VAULT_MAX_RETRIES"] = "hvs.none", "0"
		s, err := Provider{}.Open(t.Context(), providers.Settings{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
		if err == nil {
			_, err = s.Issue(t.Context(), providers.Request{Provider: Name, Path: "database/creds/x"})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v; want %s", c.env, err, c.want)
		}
	}
}

func TestAnAddressThatIsNotSetIsSaidToBeSo(t *testing.T) {
	conn, err := settings{Timeout: "1s"}.connection()
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{client: &client{conn: conn}}
	if err := s.explain(&failure{meaning: unreached, text: "connection refused"}, "reading", "x", ""); !strings.Contains(err.Error(), "VAULT_ADDR is not set, and Vault was looked for at https://127.0.0.1:8200") {
		t.Error(err)
	}
}
