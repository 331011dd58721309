//go:build linux

package main

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestTheCommandChecksTheServerAsTheAdministratorDoes, also where only the administrator's URL says how. Without the authority's certificate psql would refuse to
// connect under verify-full, and check nothing under require.
func TestTheCommandChecksTheServerAsTheAdministratorDoes(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		harness.Missing(t, "psql (Debian: apt-get install postgresql-client)")
	}
	pg := harness.Postgres(t)
	ours := harness.NewAuthority(t)
	cert, key := ours.Sign("localhost", "localhost")
	pg.WriteData("server.crt", []byte(cert))
	pg.WriteData("server.key", []byte(key))
	pg.WriteData("postgresql.auto.conf", []byte("ssl = on\n"))
	pg.Exec("postgres", "create role readonly nologin")
	pg.Stop()
	pg.Start()
	root := filepath.Join(t.TempDir(), "ours.pem")
	if err := os.WriteFile(root, []byte(ours.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := url.URL{Scheme: "postgres", User: url.UserPassword(pg.User, pg.Password), Host: "localhost:" + strconv.Itoa(pg.Port), Path: "/postgres",
		RawQuery: "sslmode=verify-full&channel_binding=require&target_session_attrs=read-write&sslrootcert=" + root}
	for _, preset := range []string{"postgres", "postgres-files"} {
		t.Run(preset, func(t *testing.T) {
			s := &source{specs: []string{"postgres:readonly as=" + preset}, left: func() []string { return pg.Roles("wc_") }, env: map[string]string{
				"WITH_CREDS_POSTGRES_URL": admin.String(),
			}}
			tr := newTrial(t, s, nil, "sh", "-c", `psql -XAtc 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'; echo "$PGCHANNELBINDING $PGTARGETSESSIONATTRS"`)
			var out bytes.Buffer
			tr.cmd.Stdout = &out
			if code, want := tr.run(), "t\nrequire read-write\n"; code != 0 || out.String() != want {
				t.Errorf("exit code %d, %q, want %q; stderr:\n%s", code, out.String(), want, tr.stderr)
			}
		})
	}
}
