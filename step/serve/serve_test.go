package serve

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/with-creds/with-creds/providers"
)

// A world is a credential that can be replaced, and a private directory.
type world struct {
	t       *testing.T
	current atomic.Pointer[providers.Credential]
	dir     string
	dirs    int // how often the directory was asked for
}

func newWorld(t *testing.T, c providers.Credential) *world {
	dir, err := os.MkdirTemp("/tmp", "wc-serve-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir}
	w.current.Store(&c)
	return w
}

func (w *world) source() Source {
	return Source{
		Current: func() providers.Credential { return *w.current.Load() },
		Dir:     func() (string, error) { w.dirs++; return w.dir, nil },
		Program: os.Executable,
	}
}

func (w *world) open(names ...string) *Endpoints {
	w.t.Helper()
	e, err := Open(names, w.source())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { e.Close() })
	return e
}

func field(t *testing.T, e *Endpoints, name string) string {
	t.Helper()
	f, ok := (providers.Credential{Fields: e.Fields()}).Field(name)
	if !ok {
		t.Fatalf("no field %s", name)
	}
	return f.Value
}

func credential(pairs ...string) providers.Credential {
	var c providers.Credential
	for i := 0; i < len(pairs); i += 2 {
		c.Fields = append(c.Fields, providers.Field{Name: pairs[i], Value: pairs[i+1], Secret: true})
	}
	return c
}

// sshCredential is a fresh key, certified by a fresh authority.
func sshCredential(t *testing.T) providers.Credential {
	t.Helper()
	_, ca, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(ca)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{Key: key, CertType: ssh.UserCert, KeyId: "test", ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return credential("private_key", string(pem.EncodeToMemory(block)), "signed_key", string(ssh.MarshalAuthorizedKey(certificate)))
}

func TestWhatNoBindingNamesCostsNothing(t *testing.T) {
	w := newWorld(t, credential("username", "u"))
	if e := w.open("username", "serve.d"); len(e.Fields()) != 0 || len(e.closers) != 0 || w.dirs != 0 {
		t.Errorf("%v, %d endpoints, %d directories", e.Fields(), len(e.closers), w.dirs)
	}
}

func TestTheAgentSignsWithTheKeyThatIsCurrent(t *testing.T) {
	w := newWorld(t, sshCredential(t))
	e := w.open("served:ssh-agent")
	conn, err := net.Dial("unix", field(t, e, "served:ssh-agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := agent.NewClient(conn)
	seen := map[string]bool{}
	for range 2 {
		signers, err := client.Signers()
		if err != nil || len(signers) != 1 {
			t.Fatalf("%d keys, %v", len(signers), err)
		}
		data := []byte("data")
		signature, err := signers[0].Sign(rand.Reader, data)
		if err != nil {
			t.Fatal(err)
		}
		if err := signers[0].PublicKey().Verify(data, signature); err != nil {
			t.Error(err)
		}
		seen[ssh.FingerprintSHA256(signers[0].PublicKey())] = true
		next := sshCredential(t)
		w.current.Store(&next)
	}
	if len(seen) != 2 {
		t.Error("the key did not follow the rotation")
	}
}

func TestTheAgentCannotBeChangedByItsClients(t *testing.T) {
	w := newWorld(t, sshCredential(t))
	e := w.open("served:ssh-agent")
	path := field(t, e, "served:ssh-agent")
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := agent.NewClient(conn)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if client.Add(agent.AddedKey{PrivateKey: key}) == nil || client.RemoveAll() == nil || client.Lock([]byte("x")) == nil {
		t.Error("a client changed the agent")
	}
	if keys, err := client.List(); err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.List(); err == nil {
		t.Error("an open connection survived the end")
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestACredentialThatCannotBeServedIsRefusedByNameAlone(t *testing.T) {
	for names, c := range map[string]providers.Credential{
		"served:ssh-agent": credential("private_key", "h1dden", "signed_key", "h1dden"),
		"served:aws-url":   credential("username", "h1dden"),
	} {
		_, err := Open([]string{names}, newWorld(t, c).source())
		if err == nil || strings.Contains(err.Error(), "h1dden") || !strings.Contains(err.Error(), names) {
			t.Errorf("%s: %v", names, err)
		}
	}
	mismatched := sshCredential(t)
	mismatched.Fields[0] = sshCredential(t).Fields[0]
	if _, err := Open([]string{"served:ssh-agent"}, newWorld(t, mismatched).source()); err == nil {
		t.Error("a key with the certificate of another is served")
	}
}

func TestTheAWSEndpointAnswersItsOwnClientsAlone(t *testing.T) {
	c := credential("access_key", "AKIA1", "secret_key", rand.Text(), "session_token", rand.Text())
	c.Lease.Expires = time.Now().Add(time.Hour)
	w := newWorld(t, c)
	e := w.open("served:aws-url", "served:aws-token")
	url, token := field(t, e, "served:aws-url"), field(t, e, "served:aws-token")
	ask := func(change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", token)
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	secret, _ := c.Field("secret_key")
	for name, change := range map[string]func(*http.Request){
		"no token":         func(r *http.Request) { r.Header.Del("Authorization") },
		"another token":    func(r *http.Request) { r.Header.Set("Authorization", rand.Text()) },
		"half the token":   func(r *http.Request) { r.Header.Set("Authorization", token[:len(token)/2]) },
		"a foreign host":   func(r *http.Request) { r.Host = "evil.example:80" },
		"localhost's name": func(r *http.Request) { r.Host = strings.Replace(r.Host, "127.0.0.1", "localhost", 1) },
		"a web page":       func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"another path":     func(r *http.Request) { r.URL.Path = "/" },
		"another method":   func(r *http.Request) { r.Method = http.MethodPost },
	} {
		if status, body := ask(change); status < 400 || strings.Contains(body, secret.Value) || strings.Contains(body, token) {
			t.Errorf("%s is answered with %d %s", name, status, body)
		}
	}
	var keys awsKeys
	_, body := ask(func(*http.Request) {})
	if err := json.Unmarshal([]byte(body), &keys); err != nil {
		t.Fatal(err)
	}
	if keys.SecretAccessKey != secret.Value || keys.AccessKeyID != "AKIA1" || keys.Token == "" || keys.Expiration != c.Lease.Expires.UTC().Format(time.RFC3339) {
		t.Error("the answer is not the credential")
	}
	c.Fields = credential("access_key", "AKIA2", "secret_key", rand.Text()).Fields
	w.current.Store(&c)
	if _, body = ask(func(*http.Request) {}); !strings.Contains(body, "AKIA2") {
		t.Error("the answer did not follow the rotation")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), awsPath)); err == nil {
		conn.Close()
		t.Error("the endpoint still listens")
	}
}

func TestAskpassAnswersPasswordPromptsAlone(t *testing.T) {
	w := newWorld(t, credential("key", "k"))
	link := field(t, w.open("served:askpass"), "served:askpass")
	w.open("served:askpass") // of a second credential
	if !IsAskpass(link) || IsAskpass("/usr/bin/with-creds") {
		t.Error("the link's name is not what makes the program")
	}
	if target, err := filepath.EvalSymlinks(link); err != nil {
		t.Error(err)
	} else if self, _ := os.Executable(); target != self {
		t.Errorf("the link goes to %s", target)
	}
	password := rand.Text()
	lookup := func(name string) (string, bool) { return password, name == "SSHPASS" }
	for prompt, want := range map[string]string{
		"deploy@host's password: ": password + "\n",
		"(deploy@host) Password:":  password + "\n",
		"The authenticity of host 'x' can't be established.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ": "",
	} {
		var out, errOut strings.Builder
		code := Askpass([]string{prompt}, lookup, &out, &errOut)
		if out.String() != want || (code == 0) != (want != "") || strings.Contains(errOut.String(), password) {
			t.Errorf("%q is answered with %d %q", prompt, code, out.String())
		}
	}
}
