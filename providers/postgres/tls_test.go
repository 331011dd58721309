//go:build !windows

package postgres

import (
	"encoding/pem"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// encrypt gives the server a certificate for localhost, and no way in over TCP but TLS: with a password, or for the role certified
// with a client certificate. Only the harness's own superuser is let in without.
func (s *shop) encrypt(a *harness.Authority) {
	s.T.Helper()
	cert, key := a.Sign("localhost", "localhost")
	s.WriteData("server.crt", []byte(cert))
	s.WriteData("server.key", []byte(key))
	s.WriteData("root.crt", []byte(a.PEM))
	hba := "hostssl all certified 127.0.0.1/32 cert\nhostnossl all " + s.User + " 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\nlocal all all scram-sha-256\n"
	s.WriteData("pg_hba.conf", []byte(hba))
	s.WriteData("postgresql.auto.conf", []byte("ssl = on\nssl_ca_file = 'root.crt'\n"))
	s.Stop()
	s.Start()
}

func TestTLSModesVerifyWhatLibpqVerifies(t *testing.T) {
	s := openShop(t)
	s.Exec("postgres", "create role certified login createrole; create role plain nologin; create role chief login superuser password '"+s.Password+"'")
	ours, theirs := harness.NewAuthority(t), harness.NewAuthority(t)
	s.encrypt(ours)
	dir := t.TempDir()
	root := writeFile(t, filepath.Join(dir, "ours.pem"), ours.PEM)
	wrong := writeFile(t, filepath.Join(dir, "theirs.pem"), theirs.PEM)
	served, err := os.ReadFile(filepath.Join(s.Data, "server.crt"))
	if err != nil {
		t.Fatal(err)
	}
	own := writeFile(t, filepath.Join(dir, "own.pem"), string(served))
	ownAndWrong := writeFile(t, filepath.Join(dir, "own-and-theirs.pem"), string(served)+theirs.PEM)
	ownAndRight := writeFile(t, filepath.Join(dir, "own-and-ours.pem"), string(served)+ours.PEM)
	cert, key := ours.Sign("certified")
	certFile, keyFile := writeFile(t, filepath.Join(dir, "c.crt"), cert), writeFile(t, filepath.Join(dir, "c.key"), key)

	tests := []struct {
		name, host string
		env        map[string]string
		want       string // in the error; "": it connects
		refused    bool
	}{
		{"disable", "127.0.0.1", with(nil, "PGSSLMODE", "disable"), "no encryption", true},
		{"allow", "127.0.0.1", with(nil, "PGSSLMODE", "allow"), "", false},
		{"prefer, the default", "127.0.0.1", nil, "", false},
		{"require", "127.0.0.1", with(nil, "PGSSLMODE", "require"), "", false},
		{"require with an authority is verify-ca", "127.0.0.1", with(nil, "PGSSLMODE", "require", "PGSSLROOTCERT", wrong), "unknown authority", true},
		{"verify-ca", "127.0.0.1", with(nil, "PGSSLMODE", "verify-ca", "PGSSLROOTCERT", root), "", false},
		{"verify-ca, another authority", "127.0.0.1", with(nil, "PGSSLMODE", "verify-ca", "PGSSLROOTCERT", wrong), "unknown authority", true},
		{"verify-full", "localhost", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", root), "", false},
		{"verify-full, another name", "127.0.0.1", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", root), "127.0.0.1", true},
		{"verify-full, another authority", "localhost", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", wrong), "unknown authority", true},
		{"verify-full by the system's authorities", "localhost", with(nil, "PGSSLROOTCERT", "system"), "unknown authority", true},
		{"verify-full without an authority", "localhost", with(nil, "PGSSLMODE", "verify-full"), "PGSSLROOTCERT", true},
		{"the server's own certificate for an authority", "localhost", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", own), "give the root's", true},
		{"the same beside another authority", "localhost", with(nil, "PGSSLMODE", "verify-ca", "PGSSLROOTCERT", ownAndWrong), "unknown authority", true},
		{"and beside the right one", "localhost", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", ownAndRight), "", false},
		{"client certificate instead of a password", "localhost", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", root,
			"PGUSER", "certified", "PGPASSWORD", "", "PGSSLCERT", certFile, "PGSSLKEY", keyFile), "", false},
		{"no client certificate", "localhost", with(nil, "PGSSLMODE", "verify-full", "PGSSLROOTCERT", root,
			"PGUSER", "certified", "PGPASSWORD", ""), "certificate", true},
		{"socket, whatever the mode", s.Socket, with(nil, "PGSSLMODE", "verify-full"), "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(s.Address())
			env := map[string]string{"PGHOST": test.host, "PGPORT": port, "PGUSER": "chief", "PGPASSWORD": s.Password, "PGDATABASE": "shop"}
			maps.Copy(env, test.env)
			session, err := Provider{}.Open(harness.Within(t, 5*time.Second), from(env))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error: %v\nwant: …%s…", err, test.want)
				}
				if errors.Is(err, providers.ErrRefused) != test.refused {
					t.Errorf("refused: %t: %v", !test.refused, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := session.Issue(harness.Within(t, 5*time.Second), ask("plain"))
			if err != nil {
				t.Fatal(err)
			}
			s.checkPassedOn(t, c, env)
			// The files may be gone when another process takes over.
			if err := os.Rename(dir, dir+"-moved"); err != nil {
				t.Fatal(err)
			}
			defer os.Rename(dir+"-moved", dir)
			guard := s.Guard(session)
			if proof, err := guard.Revoke(harness.Within(t, 5*time.Second), c.Lease); err != nil || proof != providers.Proven {
				t.Errorf("another process revokes: %v, %v", proof, err)
			}
		})
	}
}

// checkPassedOn holds that the command is told how to verify the server and never how the administrator logs in.
func (s *shop) checkPassedOn(t *testing.T, c providers.Credential, env map[string]string) {
	t.Helper()
	for _, name := range []string{"sslmode", "sslrootcert"} {
		got, _ := c.Field(name)
		want := env["PG"+strings.ToUpper(name)]
		if got.Value != want {
			t.Errorf("field %s is %q, want %q", name, got.Value, want)
		}
	}
	for _, f := range c.Fields {
		for _, secret := range []string{s.Password, env["PGSSLKEY"], env["PGSSLCERT"]} {
			if secret != "" && strings.Contains(f.Value, secret) {
				t.Errorf("field %s holds the administrator's login", f.Name)
			}
		}
	}
}

func TestEncryptedClientKeyIsRefusedWithAWayOut(t *testing.T) {
	a := harness.NewAuthority(t)
	cert, _ := a.Sign("certified")
	dir := t.TempDir()
	key := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("sealed")})
	_, err := resolve(from(map[string]string{
		"PGHOST": "h", "PGUSER": "u", "PGSSLMODE": "require", "PGSSLCERT": writeFile(t, filepath.Join(dir, "c.crt"), cert),
		"PGSSLKEY": writeFile(t, filepath.Join(dir, "c.key"), string(key)),
	}))
	if err == nil || !strings.Contains(err.Error(), "give it decrypted") {
		t.Errorf("error: %v", err)
	}
}
