//go:build linux

package harness

import (
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A SambaServer is a throwaway Active Directory: a domain test.local of Samba's, its LDAP alone, with an administrator whose password is made at run time.
type SambaServer struct {
	URL      string // "ldaps://127.a.b.c"
	CA       string // PEM, who signed the server's certificate: itself
	CAFile   string
	Base     string // "DC=test,DC=local"
	Admin    string // the administrator's DN
	Password string

	d *daemon
}

// Samba makes a domain with Debian's Samba and starts its LDAP server, which takes five seconds, and stops it when the test ends. Samba's ports are fixed, so it
// has a loopback address of its own; as they are low ones, that takes root.
func Samba(t testing.TB) *SambaServer {
	t.Helper()
	d := newDaemon(t, "samba")
	server, tool := d.program("samba", "samba-ad-dc"), d.program("samba-tool", "samba-ad-dc")
	d.program("ldapsearch", "ldap-utils")
	address := fmt.Sprintf("127.%d.%d.%d", 1+mathrand.IntN(254), mathrand.IntN(256), 1+mathrand.IntN(254))
	port, err := net.Listen("tcp", net.JoinHostPort(address, "636"))
	if err != nil {
		Missing(t, "an Active Directory, which cannot listen here: %v", err)
	}
	port.Close()
	s := &SambaServer{
		URL: "ldaps://" + address, Base: "DC=test,DC=local", Admin: "CN=Administrator,CN=Users,DC=test,DC=local",
		Password: "Aa1-" + newPassword(), // of three kinds of characters, which the domain asks for
		d:        d,
	}
	cert, key := s.certify(address)
	// Attributes of files are kept in a file of their own, for not every file system has them.
	options := []string{
		"--option=interfaces=" + address + "/8", "--option=bind interfaces only=yes", "--option=server services=ldap",
		"--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb", "--option=xattr_tdb:file=" + d.path("xattr.tdb"), "--option=log file=" + d.path("samba.log"),
		"--option=pid directory=" + d.path("run"), "--option=ncalrpc dir=" + d.path("ncalrpc"), "--option=ntp signd socket directory=" + d.path("ntp"),
		"--option=winbindd socket directory=" + d.path("winbind"),
		"--option=old password allowed period=0", // an hour by default, as in Windows: a test can see sooner that a password was changed
		"--option=tls certfile=" + cert, "--option=tls keyfile=" + key, "--option=tls cafile=" + s.CAFile,
	}
	if err := os.Mkdir(d.path("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	provision := exec.Command(tool, append([]string{
		"domain", "provision", "--targetdir=" + d.path("domain"), "--realm=TEST.LOCAL", "--domain=TEST", "--server-role=dc", "--dns-backend=NONE", "--host-name=dc1", "--host-ip=" + address,
		"--adminpass=" + s.Password,
	}, options...)...)
	if out, err := provision.CombinedOutput(); err != nil {
		Missing(t, "a domain, which Samba cannot make here: %v\n%s", err, tail(string(out), 20))
	}
	d.start(2*time.Minute, func() error { return s.search(s.Admin, s.Password) }, nil,
		append([]string{server, "--interactive", "--model=single", "--debug-stdout", "--configfile=" + d.path("domain/etc/smb.conf")}, options...)...)
	return s
}

// certify makes the server's certificate, for Go refuses the one that Samba makes for itself (its serial number can be negative), and returns the files of it and of its key.
func (s *SambaServer) certify(address string) (certFile, keyFile string) {
	s.d.t.Helper()
	ca := NewAuthority(s.d.t)
	cert, key := ca.Sign("dc1.test.local", address)
	s.CA, s.CAFile = ca.PEM, s.d.write("ca.pem", ca.PEM)
	return s.d.write("server.pem", cert), s.d.write("server-key.pem", key)
}

// AddPerson adds CN=NAME,CN=Users with a password made at run time, which it returns.
func (s *SambaServer) AddPerson(name string) (dn, password string) {
	s.d.t.Helper()
	password = "Aa1-" + newPassword()
	c := exec.Command("samba-tool", "user", "create", name, password, "--configfile="+s.d.path("domain/etc/smb.conf"))
	if out, err := c.CombinedOutput(); err != nil {
		s.d.t.Fatalf("samba-tool user create: %v\n%s", err, tail(string(out), 20))
	}
	return "CN=" + name + ",CN=Users," + s.Base, password
}

// Binds reports whether the directory lets one in with a name and a password.
func (s *SambaServer) Binds(dn, password string) bool { return s.search(dn, password) == nil }

// Users lists the accounts whose names begin so.
func (s *SambaServer) Users(prefix string) []string {
	s.d.t.Helper()
	c := s.command("ldapsearch", s.Admin, s.Password, "-LLL", "-b", s.Base, "(&(objectClass=user)(cn="+prefix+"*))", "cn")
	out, err := c.CombinedOutput()
	if err != nil {
		s.d.t.Fatalf("ldapsearch: %v: %s", err, out)
	}
	var names []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if name, ok := strings.CutPrefix(line, "cn: "); ok {
			names = append(names, name)
		}
	}
	return names
}

func (s *SambaServer) search(dn, password string) error {
	if out, err := s.command("ldapsearch", dn, password, "-b", s.Base, "-s", "base", "dn").CombinedOutput(); err != nil {
		return fmt.Errorf("ldapsearch: %w: %s", err, out)
	}
	return nil
}

func (s *SambaServer) command(tool, dn, password string, args ...string) *exec.Cmd {
	c := exec.Command(tool, append([]string{"-x", "-H", s.URL, "-D", dn, "-y", "/dev/stdin"}, args...)...)
	c.Stdin = strings.NewReader(password)
	c.Env = append(os.Environ(), "LDAPTLS_CACERT="+s.CAFile)
	return c
}
