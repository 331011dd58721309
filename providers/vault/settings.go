package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/with-creds/with-creds/providers"
)

// settings are all that this provider reads. Those named VAULT_* mean what they mean to the vault command
// (https://developer.hashicorp.com/vault/docs/commands#environment-variables), except that redirects are never followed.
type settings struct {
	Addr      string `env:"VAULT_ADDR"`       // default: usualAddress
	AgentAddr string `env:"VAULT_AGENT_ADDR"` // goes before VAULT_ADDR
	Namespace string `env:"VAULT_NAMESPACE"`
	Headers   string `env:"VAULT_HEADERS"` // a JSON object of strings

	CACert        string `env:"VAULT_CACERT"`
	CACertBytes   string `env:"VAULT_CACERT_BYTES"`
	CAPath        string `env:"VAULT_CAPATH"`
	ClientCert    string `env:"VAULT_CLIENT_CERT"`
	ClientKey     string `env:"VAULT_CLIENT_KEY"`
	TLSServerName string `env:"VAULT_TLS_SERVER_NAME"`
	SkipVerify    bool   `env:"VAULT_SKIP_VERIFY"`

	Timeout    string `env:"VAULT_CLIENT_TIMEOUT,default=60s"` // of one request with its retries; plain numbers are seconds
	MaxRetries int    `env:"VAULT_MAX_RETRIES,default=4"`      // of a login or a read; waits of 0.2, 1, 2, 4 s
	SRVLookup  bool   `env:"VAULT_SRV_LOOKUP"`

	ProxyAddr  string `env:"VAULT_PROXY_ADDR"` // goes before VAULT_HTTP_PROXY
	VaultProxy string `env:"VAULT_HTTP_PROXY"`

	Auth       string `env:"WITH_CREDS_VAULT_AUTH,default=token"` // a name in loginMethods, token or auto
	Role       string `env:"WITH_CREDS_VAULT_ROLE"`
	Mount      string `env:"WITH_CREDS_VAULT_MOUNT"`       // default: the method's name
	ChildToken bool   `env:"WITH_CREDS_VAULT_CHILD_TOKEN"` // see Session.adopt

	Audience       string `env:"WITH_CREDS_VAULT_AUDIENCE"`     // of the id token asked of GitHub's runner
	JWTVariable    string `env:"WITH_CREDS_VAULT_JWT_VARIABLE"` // which variable has the token of a login by jwt
	IDTokenURL     string `env:"ACTIONS_ID_TOKEN_REQUEST_URL"`
	IDTokenRequest string `env:"ACTIONS_ID_TOKEN_REQUEST_TOKEN"`

	Token      string `env:"VAULT_TOKEN"`
	ConfigPath string `env:"VAULT_CONFIG_PATH"` // of the vault command's own settings; default ~/.vault
	Home       string `env:"HOME"`

	run providers.Settings
}

// readSettings reads them from run.Lookup and from nowhere else.
func readSettings(ctx context.Context, run providers.Settings) (settings, error) {
	set := settings{run: run}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &set, Lookuper: lookuper{run}})
	if err != nil {
		return set, badSetting(err)
	}
	return set, nil
}

// badSetting names the setting that could not be read: envconfig's own text has the name of the field, and may quote the value.
func badSetting(err error) error {
	for field, name := range map[string]string{ //nolint:gosec // names of settings
		"SkipVerify": "VAULT_SKIP_VERIFY", "SRVLookup": "VAULT_SRV_LOOKUP", "ChildToken": "WITH_CREDS_VAULT_CHILD_TOKEN",
	} {
		if strings.Contains(err.Error(), field) {
			return fmt.Errorf("vault: %s must be true or false", name)
		}
	}
	if strings.Contains(err.Error(), "MaxRetries") {
		return errors.New("vault: VAULT_MAX_RETRIES must be a number")
	}
	return errors.New("vault: a VAULT_* setting cannot be read")
}

// lookuper fits Settings to envconfig; an empty value counts as not set.
type lookuper struct{ providers.Settings }

func (l lookuper) Lookup(name string) (string, bool) {
	v := l.Get(name)
	return v, v != ""
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// secret reads a setting that is a secret: the value of NAME, or the content of the file named by NAME_FILE.
func (set settings) secret(name string) (string, error) {
	if v := set.run.Get(name); v != "" {
		return v, nil
	}
	file := set.run.Get(name + "_FILE")
	if file == "" {
		return "", fmt.Errorf("vault: %s is not set, nor %s_FILE", name, name)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("vault: reading %s_FILE: %w", name, err)
	}
	if v := strings.TrimSpace(string(content)); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("vault: the file that %s_FILE names is empty", name)
}

// A connection is all there is to know to reach a server, without the token. It crosses to another process as JSON.
type connection struct {
	Address    string            `json:"address"`                   // http, https or unix
	AddressOf  string            `json:"address_setting,omitempty"` // the setting it is from; empty: none
	Namespace  string            `json:"namespace,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	CA         []byte            `json:"ca,omitempty"` // PEM; empty: the system's
	Cert       []byte            `json:"cert,omitempty"`
	Key        []byte            `json:"key,omitempty"`
	ServerName string            `json:"server_name,omitempty"`
	SkipVerify bool              `json:"skip_verify,omitempty"`
	Proxy      string            `json:"proxy,omitempty"` // for every request
	Proxies    providers.Proxies `json:"proxies,omitzero"`
	Timeout    time.Duration     `json:"timeout"`
	MaxRetries int               `json:"max_retries"`
	SRVLookup  bool              `json:"srv_lookup,omitempty"`

	// Vault's audit log has these two of every request, without being asked to (https://developer.hashicorp.com/vault/api-docs/system/config-auditing).
	Agent string `json:"agent,omitempty"` // User-Agent
	Run   string `json:"run,omitempty"`   // X-Correlation-Id
}

// connection reads the files that the settings name.
func (set settings) connection() (connection, error) {
	conn := connection{
		Address: firstOf(set.AgentAddr, set.Addr, usualAddress), AddressOf: set.addressSetting(), Namespace: strings.Trim(set.Namespace, "/"),
		ServerName: set.TLSServerName, SkipVerify: set.SkipVerify,
		Proxy: firstOf(set.ProxyAddr, set.VaultProxy), Proxies: set.run.Proxies(),
		MaxRetries: max(0, set.MaxRetries), SRVLookup: set.SRVLookup,
	}
	conn.Run, conn.Agent = set.run.Run, agent(set.run)
	var err error
	if conn.Timeout, err = seconds(set.Timeout); err != nil {
		return conn, fmt.Errorf("vault: VAULT_CLIENT_TIMEOUT must be a number of seconds or a duration like 30s")
	}
	if err := checkAddress(conn.Address); err != nil {
		return conn, fmt.Errorf("vault: %s %w", conn.AddressOf, err)
	}
	if set.Headers != "" {
		if err := conn.readHeaders(set.Headers); err != nil {
			return conn, err
		}
	}
	if conn.CA, err = set.authorities(); err != nil {
		return conn, err
	}
	if (set.ClientCert == "") != (set.ClientKey == "") {
		return conn, errors.New("vault: VAULT_CLIENT_CERT and VAULT_CLIENT_KEY must be set together")
	}
	if set.ClientCert != "" {
		if conn.Cert, err = os.ReadFile(set.ClientCert); err != nil {
			return conn, fmt.Errorf("vault: reading VAULT_CLIENT_CERT: %w", err)
		}
		if conn.Key, err = os.ReadFile(set.ClientKey); err != nil {
			return conn, fmt.Errorf("vault: reading VAULT_CLIENT_KEY: %w", err)
		}
	}
	return conn, nil
}

// agent names the run and the build it belongs to: with-creds (run abc; https://…/runs/1).
func agent(run providers.Settings) string {
	var about []string
	if run.Run != "" {
		about = append(about, "run "+run.Run)
	}
	if where := firstOf(run.Labels["url"], strings.Trim(run.Labels["job"]+" "+run.Labels["job_id"], " ")); where != "" {
		about = append(about, where)
	}
	if len(about) == 0 {
		return "with-creds"
	}
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`()\`, r) { // what a comment cannot hold: RFC 9110, 5.6.5
			return '_'
		}
		return r
	}, strings.Join(about, "; "))
	return "with-creds (" + plain + ")"
}

// seconds reads a duration as Vault writes them: 90 and "90" are seconds, "1m30s" is what it says.
func seconds(text string) (time.Duration, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// usualAddress is where the vault command looks when it is told nothing.
const usualAddress = "https://127.0.0.1:8200"

// addressSetting is the setting that the address is from; empty: none is set.
func (set settings) addressSetting() string {
	switch {
	case set.AgentAddr != "":
		return "VAULT_AGENT_ADDR"
	case set.Addr != "":
		return "VAULT_ADDR"
	}
	return ""
}

func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("is not an address: write https://HOST:8200")
	}
	switch {
	case u.Scheme == "unix" && u.Path != "", (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return nil
	}
	return fmt.Errorf("is %q: write https://HOST:8200", u.Redacted())
}

func (c *connection) readHeaders(text string) error {
	if err := json.Unmarshal([]byte(text), &c.Headers); err != nil {
		return errors.New(`vault: VAULT_HEADERS must be a JSON object of strings, {"NAME": "value"}`)
	}
	for name := range c.Headers {
		if strings.HasPrefix(strings.ToLower(name), "x-vault-") {
			return fmt.Errorf("vault: VAULT_HEADERS must not set %s: headers that begin with X-Vault- are Vault's own", name)
		}
	}
	return nil
}

// authorities reads the CA certificates, in the order in which the vault command prefers them: a file, the bytes, a directory.
func (set settings) authorities() ([]byte, error) {
	switch {
	case set.CACert != "":
		pem, err := os.ReadFile(set.CACert)
		if err != nil {
			return nil, fmt.Errorf("vault: reading VAULT_CACERT: %w", err)
		}
		return pem, nil
	case set.CACertBytes != "":
		return []byte(set.CACertBytes), nil
	case set.CAPath != "":
		return readDirectory(set.CAPath)
	}
	return nil, nil
}

func readDirectory(dir string) ([]byte, error) {
	var all bytes.Buffer
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("vault: reading VAULT_CAPATH: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue // a link to nothing, a directory
		}
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("vault: reading VAULT_CAPATH: %w", err)
		}
		all.Write(append(pem, '\n'))
	}
	return all.Bytes(), nil
}
