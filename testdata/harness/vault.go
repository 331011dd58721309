//go:build !windows

package harness

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// A VaultServer is a throwaway Vault, initialised and unsealed, on a free port of 127.0.0.1. Unless asked otherwise it keeps
// everything in memory and speaks plain HTTP.
//
// Its methods end the test on failure. They may be called concurrently, except Start, Stop, Pause, Continue, Seal and Unseal.
type VaultServer struct {
	Addr      string // "http://127.0.0.1:port", or https
	RootToken string
	CACert    string      // the file with the CA of a TLS server; empty without TLS
	Client    *api.Client // with the root token

	// ClientCert and ClientKey are files a client must present; empty unless started with VaultClientCert.
	ClientCert, ClientKey string

	t         testing.TB
	bin       string
	dir       string
	tls       bool
	mutual    bool
	storage   string
	plugins   string // directory of plugins; empty: none
	unsealKey string
	process   *process // nil while stopped
}

// A VaultOption changes how the server is started.
type VaultOption func(*VaultServer)

// VaultOnDisk keeps the server's data in files, so that it can be stopped and started again.
func VaultOnDisk() VaultOption { return func(s *VaultServer) { s.storage = "file" } }

// VaultTLS makes the server speak TLS with a certificate of a CA made for this test.
func VaultTLS() VaultOption { return func(s *VaultServer) { s.tls = true } }

// VaultClientCert is VaultTLS with a certificate asked of every client.
func VaultClientCert() VaultOption { return func(s *VaultServer) { s.tls, s.mutual = true, true } }

// VaultPlugins lets the server run plugins from a directory; Plugin registers one.
func VaultPlugins(dir string) VaultOption { return func(s *VaultServer) { s.plugins = dir } }

// Vault starts a server, which takes about 0.4 s, stops it when the test ends, and at the latest when the test's process dies.
func Vault(t testing.TB, opts ...VaultOption) *VaultServer {
	t.Helper()
	s := &VaultServer{t: t, bin: vaultBin(t), dir: t.TempDir(), storage: "inmem"}
	for _, opt := range opts {
		opt(s)
	}
	s.configure(FreePort(t))
	t.Cleanup(func() {
		if s.process != nil {
			s.process.end(syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("end of the log of vault:\n%s", tail(s.Log(), 12))
		}
	})
	s.Client = s.newClient()
	s.run()
	s.initialise()
	return s
}

// vaultBin asks testdata/servers/install, which knows where a server is, for the program to run.
func vaultBin(t testing.TB) string {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	install := filepath.Join(filepath.Dir(self), "..", "servers", "install")
	out, err := exec.Command(install, "--path", "vault").Output()
	if err != nil {
		t.Fatalf("%s --path vault: %v", install, err)
	}
	bin := strings.TrimSpace(string(out))
	if _, err := os.Stat(bin); err != nil {
		Missing(t, "vault (%v)", err)
	}
	return bin
}

func (s *VaultServer) configure(port int) {
	scheme, listener := "http", "tls_disable = true"
	if s.tls {
		scheme = "https"
		files := vaultCertificates(s.t, s.dir)
		s.CACert = files.ca
		listener = fmt.Sprintf("tls_cert_file = %q\ntls_key_file = %q\n", files.cert, files.key)
		if s.mutual {
			s.ClientCert, s.ClientKey = files.clientCert, files.clientKey
			listener += fmt.Sprintf("tls_require_and_verify_client_cert = true\ntls_client_ca_file = %q\n", files.ca)
		}
	}
	s.Addr = fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
	config := fmt.Sprintf(`
disable_mlock = true
api_addr      = %q
storage %q {
  path = %q
}
listener "tcp" {
  address = "127.0.0.1:%d"
  %s
}
`, s.Addr, s.storage, filepath.Join(s.dir, "data"), port, listener)
	if s.plugins != "" {
		config += fmt.Sprintf("plugin_directory = %q\n", s.plugins)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "vault.hcl"), []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the process and waits until it answers, sealed as it is.
func (s *VaultServer) run() {
	s.t.Helper()
	logFile, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer logFile.Close()
	c := exec.Command(s.bin, "server", "-config="+filepath.Join(s.dir, "vault.hcl"))
	c.Dir = s.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TZ=UTC"}
	c.SysProcAttr = procAttr(nil)
	c.Stdout, c.Stderr = logFile, logFile
	process, err := startProcess(c)
	if err != nil {
		s.t.Fatalf("starting vault: %v", err)
	}
	s.process = process
	s.until("answers", func() bool {
		_, err := s.Client.Sys().InitStatus()
		return err == nil
	})
}

// until waits for something of a server that has just started.
func (s *VaultServer) until(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		select {
		case <-s.process.ended:
			s.t.Fatalf("vault ended before it %s:\n%s", what, tail(s.Log(), 20))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("vault has not: %s\n%s", what, tail(s.Log(), 20))
		}
	}
}

func (s *VaultServer) initialise() {
	s.t.Helper()
	keys, err := s.Client.Sys().Init(&api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	s.unsealKey, s.RootToken = keys.Keys[0], keys.RootToken
	s.Client.SetToken(s.RootToken)
	s.Unseal()
}

// newClient is a client of its own, whatever VAULT_* the tests run under.
func (s *VaultServer) newClient() *api.Client {
	config := api.DefaultConfig()
	config.Address = s.Addr
	config.AgentAddress = ""
	config.MaxRetries = 0
	if s.tls {
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: s.CACert, ClientCert: s.ClientCert, ClientKey: s.ClientKey}); err != nil {
			s.t.Fatal(err)
		}
	}
	client, err := api.NewClient(config)
	if err != nil {
		s.t.Fatal(err)
	}
	client.ClearNamespace()
	client.SetToken(s.RootToken)
	return client
}

// Stop ends the process as a crash would; only a server started with VaultOnDisk can be started again.
func (s *VaultServer) Stop() {
	if s.process != nil {
		s.process.end(syscall.SIGKILL)
		s.process = nil
	}
}

// Start starts a stopped server on the port it had and unseals it.
func (s *VaultServer) Start() {
	s.t.Helper()
	if s.storage != "file" {
		s.t.Fatal("a vault that keeps its data in memory cannot be started again: use VaultOnDisk")
	}
	s.run()
	s.Unseal()
}

// Pause freezes the server: connections are accepted by the kernel and nothing answers.
func (s *VaultServer) Pause() { s.process.pause(true) }

// Continue ends Pause.
func (s *VaultServer) Continue() { s.process.pause(false) }

// Seal makes the server refuse everything until Unseal.
func (s *VaultServer) Seal() {
	s.t.Helper()
	if err := s.Client.Sys().Seal(); err != nil {
		s.t.Fatal(err)
	}
}

// Unseal ends Seal, and waits until the server is active.
func (s *VaultServer) Unseal() {
	s.t.Helper()
	if _, err := s.Client.Sys().Unseal(s.unsealKey); err != nil {
		s.t.Fatal(err)
	}
	s.until("is active", func() bool {
		health, err := s.Client.Sys().Health()
		return err == nil && !health.Sealed && !health.Standby
	})
}

// Log is what the server has written so far.
func (s *VaultServer) Log() string {
	b, err := os.ReadFile(s.logPath())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(b)
}

func (s *VaultServer) logPath() string { return filepath.Join(s.dir, "log") }

// Write makes a request with the root token that writes, and returns the answer, nil where there is none.
func (s *VaultServer) Write(path string, data map[string]any) *api.Secret {
	s.t.Helper()
	secret, err := s.Client.Logical().Write(path, data)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// Mount mounts a secrets engine ("pki", "ssh", "kv-v2") at path.
func (s *VaultServer) Mount(path, engine string) {
	s.t.Helper()
	if err := s.Client.Sys().Mount(path, &api.MountInput{Type: engine}); err != nil {
		s.t.Fatal(err)
	}
}

// Plugin registers a program in the directory of VaultPlugins as a plugin ("database", "secret") of that name.
func (s *VaultServer) Plugin(kind, name, program string, args ...string) {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.plugins, program))
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write("sys/plugins/catalog/"+kind+"/"+name, map[string]any{
		"command": program, "args": args, "sha256": fmt.Sprintf("%x", sha256.Sum256(content)),
	})
}

// Policy writes a policy in HCL.
func (s *VaultServer) Policy(name, hcl string) {
	s.t.Helper()
	if err := s.Client.Sys().PutPolicy(name, hcl); err != nil {
		s.t.Fatal(err)
	}
}

// Token makes an orphan service token with these policies and the default one, for an hour.
func (s *VaultServer) Token(policies ...string) string {
	s.t.Helper()
	if len(policies) == 0 {
		policies = []string{"default"} // none at all would mean those of the root token
	}
	return s.TokenOf(&api.TokenCreateRequest{Policies: policies, TTL: "1h", NoParent: true})
}

// TokenOf makes any kind of token.
func (s *VaultServer) TokenOf(request *api.TokenCreateRequest) string {
	s.t.Helper()
	secret, err := s.Client.Auth().Token().Create(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret.Auth.ClientToken
}

// AppRole makes a role of that name at auth/approle, mounted when it is not, whose tokens have these settings (token_policies, token_ttl, …),
// and returns what to log in with.
func (s *VaultServer) AppRole(name string, settings map[string]any) (roleID, secretID string) {
	s.t.Helper()
	mounted, err := s.Client.Sys().ListAuth()
	if err != nil {
		s.t.Fatal(err)
	}
	if mounted["approle/"] == nil {
		if err := s.Client.Sys().EnableAuthWithOptions("approle", &api.EnableAuthOptions{Type: "approle"}); err != nil {
			s.t.Fatal(err)
		}
	}
	role := "auth/approle/role/" + name
	s.Write(role, settings)
	id, err := s.Client.Logical().Read(role + "/role-id")
	if err != nil {
		s.t.Fatal(err)
	}
	return id.Data["role_id"].(string), s.Write(role+"/secret-id", nil).Data["secret_id"].(string)
}

// TransitKey is the public part of a key in the transit engine, in its first version.
func (s *VaultServer) TransitKey(name string) *rsa.PublicKey {
	s.t.Helper()
	secret, err := s.Client.Logical().Read("transit/keys/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	first := secret.Data["keys"].(map[string]any)["1"].(map[string]any)
	block, _ := pem.Decode([]byte(first["public_key"].(string)))
	if block == nil {
		s.t.Fatalf("no public key in %v", first)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}

// Accessors lists the tokens there are, root's included.
func (s *VaultServer) Accessors() []any {
	s.t.Helper()
	secret, err := s.Client.Logical().List("auth/token/accessors")
	if err != nil {
		s.t.Fatal(err)
	}
	return secret.Data["keys"].([]any)
}

// Leases lists the leases under a prefix ("database/creds/"), those that are pending revocation included.
func (s *VaultServer) Leases(prefix string) []string {
	s.t.Helper()
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	secret, err := s.Client.Logical().List("sys/leases/lookup/" + prefix)
	if err != nil {
		s.t.Fatal(err)
	}
	var leases []string
	if secret == nil {
		return leases
	}
	for _, key := range secret.Data["keys"].([]any) {
		if name := key.(string); strings.HasSuffix(name, "/") {
			leases = append(leases, s.Leases(prefix+name)...)
		} else {
			leases = append(leases, prefix+name)
		}
	}
	return leases
}

// An AuditEntry is one line of the audit log, as far as tests look at it; secrets in it are hashed by Vault.
type AuditEntry struct {
	Type    string `json:"type"` // "request" or "response"
	Error   string `json:"error"`
	Request struct {
		Operation string         `json:"operation"`
		Path      string         `json:"path"`
		Data      map[string]any `json:"data"`
		// Headers are those that Vault audits without being asked to, by their lower-case names.
		Headers map[string][]string `json:"headers"`
	} `json:"request"`
	Response struct {
		Data   map[string]any `json:"data"`
		Secret struct {
			LeaseID string `json:"lease_id"`
		} `json:"secret"`
	} `json:"response"`
	Auth struct {
		Accessor    string            `json:"accessor"`
		DisplayName string            `json:"display_name"`
		EntityID    string            `json:"entity_id"`
		Metadata    map[string]string `json:"metadata"`
	} `json:"auth"`
}

// EnableAudit begins an audit log in a file; Audit reads it.
func (s *VaultServer) EnableAudit() {
	s.t.Helper()
	err := s.Client.Sys().EnableAuditWithOptions("file", &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": s.auditPath()},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *VaultServer) auditPath() string { return filepath.Join(s.dir, "audit.log") }

// Audit is the audit log so far.
func (s *VaultServer) Audit() []AuditEntry {
	s.t.Helper()
	b, err := os.ReadFile(s.auditPath())
	if err != nil {
		s.t.Fatal(err)
	}
	var entries []AuditEntry
	for decoder := json.NewDecoder(bytes.NewReader(b)); decoder.More(); {
		var e AuditEntry
		if err := decoder.Decode(&e); err != nil {
			s.t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// AuditOf finds the answer in the audit log that has this value among its data, as sys/audit-hash gives it.
func (s *VaultServer) AuditOf(hashed string) (AuditEntry, bool) {
	s.t.Helper()
	for _, entry := range s.Audit() {
		for _, v := range entry.Response.Data {
			if v == hashed {
				return entry, true
			}
		}
	}
	return AuditEntry{}, false
}

// Raw sends one request with the token, just as given, and returns the status and the body of the answer.
func (s *VaultServer) Raw(token, method, path, body string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.Addr+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", token)
	request.Header.Set("X-Vault-Request", "true")
	answer, err := s.Client.CloneConfig().HttpClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, b.String()
}
