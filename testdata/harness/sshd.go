//go:build !windows

package harness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// An SSHServer is a throwaway OpenSSH server that lets the test's own account in, with a certificate of one authority and nothing else.
type SSHServer struct {
	Host       string // "127.0.0.1"
	Port       int
	User       string // the account, and the only principal that a certificate must have
	KnownHosts string // a file for UserKnownHostsFile

	d *daemon
}

// SSHD starts Debian's sshd on a free port of 127.0.0.1, and stops it when the test ends. ca is the authority's public key, a line as in
// authorized_keys.
func SSHD(t testing.TB, ca string) *SSHServer {
	t.Helper()
	d := newDaemon(t, "sshd")
	server := d.program("sshd", "openssh-server")
	d.program("ssh", "openssh-client")
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHServer{Host: "127.0.0.1", Port: FreePort(t), User: account.Username, d: d}
	if os.Geteuid() == 0 { // as Debian's unit does; sshd insists on it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	private, public := hostKey(t)
	s.KnownHosts = d.write("known_hosts", fmt.Sprintf("[%s]:%d %s\n", s.Host, s.Port, public))
	config := d.write("sshd_config", fmt.Sprintf(`
ListenAddress %s:%d
HostKey %s
TrustedUserCAKeys %s
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
MaxStartups 100
LogLevel VERBOSE
`, s.Host, s.Port, d.write("host_key", private), d.write("ca.pub", strings.TrimSpace(ca)+"\n")))
	address := net.JoinHostPort(s.Host, fmt.Sprint(s.Port))
	d.start(30*time.Second, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	}, nil, server, "-D", "-e", "-f", config)
	return s
}

// Options are those of ssh and scp that make a client use this server and nothing of the machine's own. The port is not among them.
func (s *SSHServer) Options() []string { return ClientOptions(s.KnownHosts) }

// ClientOptions make ssh use no configuration but what is said here.
func ClientOptions(knownHosts string) []string {
	return []string{"-F", "none", "-o", "UserKnownHostsFile=" + knownHosts, "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"}
}

// Log is what the server has written so far.
func (s *SSHServer) Log() string { return s.d.log() }

// hostKey makes a key for a server: the private half as sshd reads it, the public one as in known_hosts.
func hostKey(t testing.TB) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
}
