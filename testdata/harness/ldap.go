//go:build !windows

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// An LDAPServer is a throwaway directory: dc=test with ou=people, and an administrator whose password is made at run time.
type LDAPServer struct {
	URL      string // "ldap://127.0.0.1:port"
	Base     string // "dc=test"
	Admin    string // the administrator's DN
	Password string

	d *daemon
}

// LDAP starts Debian's slapd on a free port of 127.0.0.1, and stops it when the test ends.
func LDAP(t testing.TB) *LDAPServer {
	t.Helper()
	d := newDaemon(t, "ldap")
	s := &LDAPServer{URL: fmt.Sprintf("ldap://127.0.0.1:%d", FreePort(t)), Base: "dc=test", Admin: "cn=admin,dc=test", Password: newPassword(), d: d}
	server := d.program("slapd", "slapd")
	d.program("ldapsearch", "ldap-utils")
	if err := os.Mkdir(d.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := d.write("slapd.conf", fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile %s
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 67108864
suffix %q
rootdn %q
rootpw %s
directory %s
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
`, d.path("pid"), s.Base, s.Admin, s.Password, d.path("data")))
	d.start(30*time.Second, func() error { return s.try("ldapwhoami") }, nil, server, "-h", s.URL, "-f", config, "-d", "0")
	s.Add("dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\ndc: test\no: test\n")
	s.Add("dn: ou=people,dc=test\nobjectClass: organizationalUnit\nou: people\n")
	return s
}

// AddPerson adds cn=NAME,ou=people with a password made at run time, which it returns.
func (s *LDAPServer) AddPerson(name string) (dn, password string) {
	s.d.t.Helper()
	dn, password = "cn="+name+",ou=people,"+s.Base, newPassword()
	s.Add(fmt.Sprintf("dn: %s\nobjectClass: inetOrgPerson\ncn: %s\nsn: %s\nuid: %s\nuserPassword: %s\n", dn, name, name, name, password))
	return dn, password
}

// Add adds entries in LDIF as the administrator.
func (s *LDAPServer) Add(ldif string) {
	s.d.t.Helper()
	if err := s.tryWith(ldif, "ldapadd"); err != nil {
		s.d.t.Fatal(err)
	}
}

// Binds reports whether the directory lets one in with a name and a password.
func (s *LDAPServer) Binds(dn, password string) bool {
	c := exec.Command("ldapwhoami", "-x", "-H", s.URL, "-D", dn, "-y", "/dev/stdin")
	c.Stdin = strings.NewReader(password)
	return c.Run() == nil
}

// People lists the names under ou=people.
func (s *LDAPServer) People() []string {
	s.d.t.Helper()
	out, err := exec.Command("ldapsearch", "-x", "-LLL", "-H", s.URL, "-b", "ou=people,"+s.Base, "-s", "one", "cn").CombinedOutput()
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

func (s *LDAPServer) try(tool string) error { return s.tryWith("", tool) }

func (s *LDAPServer) tryWith(input, tool string) error {
	c := exec.Command(tool, "-x", "-H", s.URL, "-D", s.Admin, "-w", s.Password)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, out)
	}
	return nil
}
