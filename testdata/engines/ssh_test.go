//go:build linux

package engines

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
	"github.com/with-creds/with-creds/testdata/harness"
)

// withSSHD is a Vault whose role ci signs keys for the account that a real sshd lets in.
func withSSHD(t *testing.T) (*trial.World, *harness.SSHServer) {
	t.Helper()
	w := trial.New(t)
	w.Mount("ssh")
	ca := w.Vault.Write("ssh/config/ca", map[string]any{"generate_signing_key": true, "key_type": "ed25519"}).Data["public_key"].(string)
	sshd := harness.SSHD(t, ca)
	w.Vault.Write("ssh/roles/ci", map[string]any{
		"key_type": "ca", "allow_user_certificates": true, "allowed_users": sshd.User, "default_user": sshd.User, "ttl": "10m", "max_ttl": "10m",
		"default_extensions": map[string]string{"permit-pty": ""}, "algorithm_signer": "default",
	})
	w.Env = []string{
		"OPTIONS=" + strings.Join(sshd.Options(), " "), "PORT=" + strconv.Itoa(sshd.Port), "LOGIN=" + sshd.User + "@" + sshd.Host,
		"SSH_AUTH_SOCK=/nonexistent", // one's own agent is not asked
	}
	return w, sshd
}

func TestSSHCertificateThroughTheAgent(t *testing.T) {
	trial.Has(t, "git", "git")
	w, sshd := withSSHD(t)
	repository := filepath.Join(t.TempDir(), "repository.git")
	w.Env = append(w.Env, "REPOSITORY="+repository)
	r := w.Run("vault:ssh/sign/ci?public_key=generate as=ssh", `
		ssh $OPTIONS -p $PORT $LOGIN echo by ssh
		echo content >file
		scp -q $OPTIONS -P $PORT file $LOGIN:$PWD/copied && cmp file copied && echo by scp
		git init -q --bare "$REPOSITORY"
		git init -q work && cd work && git -c user.name=t -c user.email=t@t commit -q --allow-empty -m one
		GIT_SSH_COMMAND="ssh $OPTIONS" git push -q ssh://$LOGIN:$PORT$REPOSITORY HEAD:refs/heads/main && echo by git
		ssh-add -L | cut -d' ' -f1
		ssh-add -D 2>/dev/null || echo kept
		echo "socket $SSH_AUTH_SOCK"
		find "$XDG_RUNTIME_DIR" -type f | wc -l`).
		Succeeded(providers.Expires).Says("by ssh", "by scp", "by git", "ssh-ed25519-cert-v01@openssh.com", "kept", "0").Lasts(10 * time.Minute)
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(filepath.Join(from, "start"), []byte("#!/bin/sh\necho started\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.Env = append(w.Env, "SSH_OPTIONS="+strings.Join(sshd.Options(), " "), "SSH_PORT="+strconv.Itoa(sshd.Port), "SSH_TO="+sshd.User+"@"+sshd.Host)
	w.Example("ssh/deploy.sh", from, to).Succeeded(providers.Expires).Says("started")
	if _, socket, _ := strings.Cut(r.Stdout, "socket "); socket == "" {
		t.Error("no agent")
	} else if _, err := os.Lstat(strings.TrimSpace(strings.SplitN(socket, "\n", 2)[0])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the agent's socket is left: %v", err)
	}
	if !strings.Contains(sshd.Log(), "ED25519-CERT") {
		t.Errorf("the server saw no certificate:\n%s", sshd.Log())
	}
}

func TestSSHCertificateInPrivateFiles(t *testing.T) {
	w, _ := withSSHD(t)
	for _, spec := range []string{"vault:ssh/sign/ci?public_key=generate as=ssh-files", "vault:ssh/issue/ci as=ssh-files", "vault:ssh/issue/ci as=ssh"} {
		w.Run(spec, `
			if [ -n "${SSH_KEY_FILE-}" ]; then set -- -i "$SSH_KEY_FILE" -o CertificateFile="$SSH_CERTIFICATE_FILE"; fi
			ssh $OPTIONS "$@" -p $PORT $LOGIN echo in`).
			Succeeded(providers.Expires).Says("in")
	}
}

func TestTheAgentHasTheNewestCertificate(t *testing.T) {
	w, _ := withSSHD(t)
	// Two minutes at most: until there have been three that the server takes.
	r := w.Run("vault:ssh/sign/ci?public_key=generate&ttl=12s as=ssh", `
		seen=; n=0; end=$(($(date +%s) + 120))
		while [ $n -lt 3 ] && [ "$(date +%s)" -lt $end ]; do
			now=$(ssh-add -L)
			if [ "$now" != "$seen" ] && ssh $OPTIONS -p $PORT $LOGIN true 2>/dev/null; then seen=$now; n=$((n + 1)); fi
			sleep 0.2
		done
		echo "certificates $n"`).
		Succeeded(providers.Expires).Says("certificates 3")
	if n := r.Receipt.Credentials[0].Replacements; n < 2 {
		t.Errorf("%d replacements in the receipt", n)
	}
}

func TestAKilledRunLeavesNoAgent(t *testing.T) {
	w, _ := withSSHD(t)
	ready := filepath.Join(t.TempDir(), "ready")
	w.Env = append(w.Env, "READY="+ready)
	going := w.Start("vault:ssh/sign/ci?public_key=generate as=ssh", `echo "$PPID $SSH_AUTH_SOCK" >"$READY.new"; mv "$READY.new" "$READY"; while :; do sleep 1; done`)
	var said []string
	trial.Eventually(t, "the command runs", func() bool {
		text, err := os.ReadFile(ready)
		said = strings.Fields(string(text))
		return err == nil && len(said) == 2
	})
	socket := said[1]
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	kill(t, said[0])
	trial.Eventually(t, "the socket is gone", func() bool { _, err := os.Lstat(filepath.Dir(socket)); return errors.Is(err, os.ErrNotExist) })
	going.Killed()
}

func TestSSHOneTimePassword(t *testing.T) {
	trial.Has(t, "ssh", "openssh-client")
	w := trial.New(t)
	w.Mount("ssh")
	w.Vault.Write("ssh/roles/otp", map[string]any{"key_type": "otp", "default_user": "deploy", "cidr_list": "127.0.0.0/8"})
	port, knownHosts, logins := otpServer(t, w.Vault)
	w.Env = []string{"OPTIONS=" + strings.Join(harness.ClientOptions(knownHosts), " "), "PORT=" + strconv.Itoa(port)}
	w.Run("vault:ssh/creds/otp?ip=127.0.0.1 as=ssh-otp", `
		ssh $OPTIONS -o PreferredAuthentications=password -p $PORT deploy@127.0.0.1 true </dev/null
		ssh $OPTIONS -o PreferredAuthentications=password -o NumberOfPasswordPrompts=1 -p $PORT deploy@127.0.0.1 true </dev/null 2>/dev/null || echo once`).
		Succeeded(providers.Proven).Says("in", "once")
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins with a one-time password", n)
	}
}

// otpServer is an SSH server that lets those in whose password Vault's ssh/verify knows, as vault-ssh-helper does for sshd through PAM.
func otpServer(t *testing.T, vault *harness.VaultServer) (port int, knownHosts string, logins *atomic.Int32) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		status, body := vault.Raw("", "PUT", "ssh/verify", fmt.Sprintf(`{"otp":%q}`, password))
		if status != 200 || !strings.Contains(body, fmt.Sprintf(`"username":%q`, c.User())) {
			return nil, errors.New("refused")
		}
		return nil, nil //nolint:nilnil // no restrictions and no error
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	logins = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveOnce(conn, config, logins)
		}
	}()
	port = listener.Addr().(*net.TCPAddr).Port
	knownHosts = filepath.Join(t.TempDir(), "known_hosts")
	line := fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(signer.PublicKey()))
	if err := os.WriteFile(knownHosts, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return port, knownHosts, logins
}

// serveOnce answers each command with "in" and success.
func serveOnce(conn net.Conn, config *ssh.ServerConfig, logins *atomic.Int32) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	logins.Add(1)
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type == "exec" {
					_, _ = channel.Write([]byte("in\n"))
					_, _ = channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
					channel.Close()
				}
			}
		}()
	}
}
