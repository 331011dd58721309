package mask

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// key is a private key as Google gives one, and what is secret in it.
func googleKey(t *testing.T) (document, private string) {
	t.Helper()
	lines := []string{"-----BEGIN PRIVATE KEY-----"}
	for range 26 {
		lines = append(lines, (rand.Text() + rand.Text() + rand.Text())[:64])
	}
	private = strings.Join(append(lines, "-----END PRIVATE KEY-----"), "\n") + "\n"
	text, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "my-company-production-1", "private_key_id": rand.Text(), "private_key": private,
		"client_email": "deployer@my-company-production-1.iam.gserviceaccount.com", "client_id": "113456789012345678901",
		"auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
		"client_x509_cert_url":        "https://www.googleapis.com/robot/v1/metadata/x509/deployer%40my-company-production-1.iam.gserviceaccount.com",
		"universe_domain":             "googleapis.com",
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text), private
}

// TestADocumentsSecretsAreMaskedHoweverTheyAreTakenOutOfIt has Google's key as Vault gives it, in base64, and the programs that people read one with.
func TestADocumentsSecretsAreMaskedHoweverTheyAreTakenOutOfIt(t *testing.T) {
	document, private := googleKey(t)
	encoded := base64.StdEncoding.EncodeToString([]byte(document))
	maskers := map[string]*Masker{}
	for name, value := range map[string]string{"text": document, "base64": encoded, "a part of it": `["` + encoded + `"]`} {
		maskers[name] = New(Options{})
		maskers[name].Add(value)
	}
	for _, program := range [][]string{
		{"jq", "-r", ".private_key"}, {"jq", "-c", "."}, {"jq", "."}, {"jq", "-r", ".private_key|@base64"},
		{"python3", "-c", "import json,sys; print(json.load(sys.stdin))"}, {"python3", "-c", "import json,sys; print(repr(json.load(sys.stdin)['private_key']))"},
		{"python3", "-c", "import json,sys; print(json.dumps(json.dumps(json.load(sys.stdin))))"},
	} {
		tool(t, program[0])
		c := exec.Command(program[0], program[1:]...)
		c.Stdin = strings.NewReader(document)
		said, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %v", program, err)
		}
		whole := !strings.Contains(program[len(program)-1], "private_key")
		for name, m := range maskers {
			got := m.mask(t, string(said))
			for line := range strings.Lines(private) {
				line = strings.TrimSpace(line)
				if !isArmour(line) && (strings.Contains(got, line) || strings.Contains(got, base64.StdEncoding.EncodeToString([]byte(line))[:40])) {
					t.Fatalf("%v, given as %s: a line of the key is in\n%s", program, name, got)
				}
			}
			if whole && name != "text" && !(strings.Contains(got, "service_account") && strings.Contains(got, "https://oauth2.googleapis.com/token")) {
				t.Errorf("%v, given as %s: what is no secret is masked in\n%s", program, name, got)
			}
		}
	}
}

func TestWithinADocumentSecretsAreToldFromNames(t *testing.T) {
	random := rand.Text()
	for document, want := range map[string][]string{
		`{"password":"hunter22"}`:                                                                           {"hunter22"},
		`{"db":{"DB_PWD":"lower case"},"tokens":["abcdef","ghijkl"]}`:                                       {"abcdef", "ghijkl", "lower case"},
		`["abcdef",{"env":"production"}]`:                                                                   {"abcdef"},
		`{"password":"short"}`:                                                                              nil,
		`{"env":"production","region":"eu-central-1","user":"app-writer"}`:                                  nil,
		`{"image":"registry.example.com/team/app:1.2.3","id":"550e8400-e29b-41d4-a716-446655440000"}`:       nil,
		`{"client_secret":"550e8400-e29b-41d4-a716-446655440000","token_type":"Bearer","author":"jenkins"}`: {"550e8400-e29b-41d4-a716-446655440000"},
		`{"key_algorithm":"KEY_ALG_RSA_2048","public_key":"ssh-ed25519","secret_name":"prod/db/main"}`:      nil,
		`{"x":"` + random + `"}`:                                                                            {random},
		`{"x":"` + strings.ToLower(random+random) + `"}`:                                                    {strings.ToLower(random + random)},
		`{"dsn":"postgres://app:hunter22@db/app"}`:                                                          {"hunter22"},
		`{"dsn":"postgres://app:abc@db/app"}`:                                                               {"postgres://app:abc@db/app"},
		`{"webhook":"https://hooks.example.com/services/` + random + `"}`:                                   {"https://hooks.example.com/services/" + random},
		`{"upload":"https://files.example.com/a?signature=x"}`:                                              {"https://files.example.com/a?signature=x"},
		`{"token_url":"https://login.example.com/my-project-12345-abc/token"}`:                              nil,
		`{"auths":{"ghcr.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("me:"+random)) + `"}}}`:  {base64.StdEncoding.EncodeToString([]byte("me:" + random))},
		`{"inner":"{\"password\":\"hunter22\"}"}`:                                                           {"hunter22", `{"password":"hunter22"}`},
		base64.StdEncoding.EncodeToString([]byte(`{"password":"hunter22"}`)):                                {"hunter22"},
		"{not JSON": nil, `"a string"`: nil, random: nil, "": nil, "12345678": nil, `{"password":12345678}`: nil,
		strings.Repeat(`{"password":`, 20000): nil,
	} {
		if got := Within(document); !slices.Equal(got, want) {
			t.Errorf("%.200s: %q, want %q", document, got, want)
		}
	}
}

func TestATextIsCoveredWhenNothingOfItIsLeft(t *testing.T) {
	secret := rand.Text()
	m := New(Options{})
	m.Add(secret)
	for text, want := range map[string]bool{"'" + secret + "'": true, secret + secret: true, "": true, "short": true, "postgres://app:" + secret + "@db": false, "another one": false} {
		if m.Covers(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
