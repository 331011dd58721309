//go:build linux

package main

import (
	"crypto/rand"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

const readonlySpec = "vault:database/creds/readonly as=postgres"

func (d *drill) doctor(args ...string) outcome {
	d.t.Helper()
	return operate(d.t, d.home, d.env, append([]string{"doctor"}, args...)...)
}

// finding is the first of that level which says so. Whatever else is found says what is to be done, where something is.
func finding(t *testing.T, o outcome, level providers.Level, says string) providers.Finding {
	t.Helper()
	var found *providers.Finding
	for _, s := range read[diagnosis](t, o).Sections {
		for _, f := range s.Findings {
			if f.Level != providers.OK && f.Fix == "" {
				t.Errorf("%s: %s: and what is to be done?", f.Level, f.Says)
			}
			if found == nil && f.Level == level && strings.Contains(f.Says, says) {
				found = &f
			}
		}
	}
	if found == nil {
		t.Fatalf("there is no finding %s: %s in\n%s", level, says, o.stdout)
	}
	return *found
}

// TestDoctorCallsNothingWellThatHasNotAnswered: nobody is at any of these addresses.
func TestDoctorCallsNothingWellThatHasNotAnswered(t *testing.T) {
	gone := httptest.NewServer(nil)
	address := strings.TrimPrefix(gone.URL, "http://")
	gone.Close()
	host, port := splitAddress(t, address)
	env := githubSource(harness.GitHub(t)).env
	maps.Copy(env, map[string]string{
		"VAULT_ADDR": "http://" + address, "VAULT_TOKEN": rand.Text(), "VAULT_MAX_RETRIES": "0",
		"PGHOST": host, "PGPORT": port, "PGUSER": "ci", "PGDATABASE": "shop", "MYSQL_HOST": host, "MYSQL_TCP_PORT": port, "MYSQL_USER": "ci",
		"GITHUB_API_URL": "http://" + address + "/api/v3", "GITHUB_SERVER_URL": "http://" + address,
	})
	for spec, fix := range map[string]string{
		"vault:database/creds/readonly": "VAULT_ADDR is http://" + address,
		"postgres:readonly":             "PGHOST and PGPORT",
		"mysql:readonly":                "MYSQL_HOST and MYSQL_TCP_PORT",
		"github:installation?repositories=app&permissions=contents:read": "GITHUB_API_URL",
		"command:./nosuch": "name a program",
	} {
		o := operate(t, t.TempDir(), env, "doctor", "--json", "-c", spec).want(t, 125)
		if f := finding(t, o, providers.Fail, ""); !strings.Contains(f.Fix, fix) || strings.Contains(f.Says, fix) {
			t.Errorf("%s: %+v, want the fix %q", spec, f, fix)
		}
		all := read[diagnosis](t, o).Sections
		for _, f := range all[len(all)-1].Findings {
			if f.Level == providers.OK {
				t.Errorf("%s: it is well that %s", spec, f.Says)
			}
		}
	}
	finding(t, operate(t, t.TempDir(), env, "doctor", "--json", "--leash", "24h"), providers.Warn, "the leash is 24h0m0s")
	delete(env, "VAULT_TOKEN")
	finding(t, operate(t, t.TempDir(), env, "doctor", "--json", "vault").want(t, 125), providers.Fail, "there is no token")
}

func TestDoctorSaysWhatThePromisesRestOnAndIssuesNothing(t *testing.T) {
	d := newDrill(t)
	d.vault.EnableAudit()
	policy := `path "database/creds/readonly" { capabilities = ["read"] }` + "\n" + harness.RevokingPolicy("database/creds/readonly/")
	d.vault.Policy("least", policy)
	roleID, secretID := d.vault.AppRole("ci", map[string]any{"token_policies": "least", "token_ttl": "20m"})
	delete(d.env, "VAULT_TOKEN")
	maps.Copy(d.env, map[string]string{"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID})

	o := d.doctor("-c", readonlySpec).want(t, 0, "P5: 1 credential is asked for", "the leash is 5m0s", "the guard answers", "journals are kept in",
		"vault at "+d.vault.Addr, "Vault 1.", "P2: the token (approle) is the run's own", `the token has "read" on database/creds/readonly`, "P1: leases are revoked synchronously")
	if strings.Contains(o.stdout, "fail ") || strings.Contains(o.stdout+o.stderr, secretID) {
		t.Errorf("%s%s", o.stdout, o.stderr)
	}
	if all := read[diagnosis](t, d.doctor("-c", readonlySpec, "--json").want(t, 0)); !all.OK || len(all.Sections) != 3 {
		t.Errorf("%+v", all)
	}
	for _, entry := range d.vault.Audit() {
		if strings.HasPrefix(entry.Request.Path, "database/creds") {
			t.Errorf("it asked for %s", entry.Request.Path)
		}
	}
	eventuallyEmpty(t, "logins are left", func() []string { return d.vault.Leases("auth/approle/login") })
	if left := journals(d.home); len(left) > 0 {
		t.Errorf("journals are left: %q", left)
	}
}

// TestDoctorsCureCures: what a finding says is to be done makes it go away.
func TestDoctorsCureCures(t *testing.T) {
	d := newDrill(t)
	d.vault.Policy("cure", `path "nothing" { capabilities = ["deny"] }`)
	none := d.vault.TokenOf(&api.TokenCreateRequest{Policies: []string{"cure"}, NoDefaultPolicy: true, TTL: "1h", NoParent: true})
	as := d.as(none)
	as.doctor("vault", "--json").want(t, 0)
	finding(t, as.doctor("vault", "--json"), providers.Warn, "may not look itself up")

	as = d.as(d.vault.Token("cure"))
	sick := as.doctor("-c", readonlySpec, "--json").want(t, 125, "1 thing has to be mended")
	refused := finding(t, sick, providers.Fail, `the token has no "read" on database/creds/readonly`)
	slow := finding(t, sick, providers.OK, "a second more than it could")
	cures := ""
	for _, f := range []providers.Finding{refused, slow} {
		cure, ok := strings.CutPrefix(f.Fix, "add to its policy: ")
		if !ok {
			t.Fatalf("%+v", f)
		}
		cures += cure + "\n"
	}
	d.vault.Policy("cure", cures)
	well := as.doctor("-c", readonlySpec, "--json").want(t, 0)
	finding(t, well, providers.OK, `the token has "read" on database/creds/readonly`)
	finding(t, well, providers.OK, "leases are revoked synchronously")
	// And it holds in a run.
	receipt := filepath.Join(d.home, "receipt.json")
	operate(t, d.home, as.env, "--receipt", receipt, "-c", readonlySpec, "--", "true").want(t, 0, "1 proven")
}

func TestDoctorTellsOfLoginsThatGiveSomethingUp(t *testing.T) {
	d := newDrill(t)
	d.vault.Policy("read", `path "database/creds/readonly" { capabilities = ["read"] }`)
	for name, c := range map[string]struct {
		token string
		level providers.Level
		says  string
	}{
		"root":     {d.vault.RootToken, providers.Warn, "this is a root token"},
		"borrowed": {d.vault.Token("read"), providers.Warn, "is borrowed"},
		"batch":    {d.vault.TokenOf(&api.TokenCreateRequest{Policies: []string{"read"}, Type: "batch", TTL: "1h", NoParent: true}), providers.Warn, "a batch token can be neither renewed nor revoked"},
		"few uses": {d.vault.TokenOf(&api.TokenCreateRequest{Policies: []string{"read"}, NumUses: 20, TTL: "1h", NoParent: true}), providers.Warn, "uses left"},
		"fixed":    {d.vault.TokenOf(&api.TokenCreateRequest{Policies: []string{"read"}, ExplicitMaxTTL: "2h", TTL: "1h", NoParent: true}), providers.OK, "ends for good 2h0m0s after it was made"},
		"no such":  {"no-such-token", providers.Fail, "the token is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			o := d.as(c.token).doctor("-c", readonlySpec, "--json")
			finding(t, o, c.level, c.says)
			if failed := c.level == providers.Fail; failed != (o.code == 125) {
				t.Errorf("exit code %d", o.code)
			}
			if strings.Contains(o.stdout+o.stderr, c.token) {
				t.Errorf("it prints the token:\n%s%s", o.stdout, o.stderr)
			}
		})
	}
	if o := d.doctor("-c", readonlySpec, "--json"); !strings.Contains(finding(t, o, providers.OK, "on database/creds/readonly").Says, "TTL 1h0m0s, at most 24h0m0s") {
		t.Errorf("the role's TTLs are not told to who may read them:\n%s", o.stdout)
	}
	d.vault.Seal()
	finding(t, d.doctor("vault", "--json").want(t, 125), providers.Fail, "Vault is sealed")
	d.vault.Stop()
	finding(t, d.doctor("vault", "--json").want(t, 125), providers.Fail, "connection refused")
}

func TestDoctorLooksAtPostgresItsAdministratorAndItsGroups(t *testing.T) {
	pg := harness.Postgres(t)
	password := rand.Text()
	pg.Exec("postgres", "create role readers nologin; create role logins login; create role bosses nologin createrole; create role clerk login password '"+password+"'")
	home := t.TempDir()
	env := adminEnv(pg)
	doctor := func(spec string) outcome {
		t.Helper()
		return operate(t, home, env, "doctor", "--json", "-c", spec)
	}
	well := doctor("postgres:readers as=postgres").want(t, 0)
	finding(t, well, providers.OK, "answers as its primary")
	finding(t, well, providers.OK, "is a superuser")
	finding(t, well, providers.OK, "members of readers can be made")
	finding(t, doctor("postgres:nobody as=postgres").want(t, 125), providers.Fail, "there is no group nobody")
	finding(t, doctor("postgres:bosses as=postgres").want(t, 125), providers.Fail, "make logins that outlive its own")
	finding(t, doctor("postgres:logins as=postgres").want(t, 0), providers.Warn, "can log in itself")

	env["PGUSER"], env["PGPASSWORD"] = "clerk", password
	sick := finding(t, doctor("postgres:readers as=postgres").want(t, 125), providers.Fail, "the administrator clerk may not make roles")
	pg.Exec("postgres", sick.Fix)
	if version := pgMajor(t, pg); version >= 16 {
		pg.Exec("postgres", finding(t, doctor("postgres:readers as=postgres").want(t, 125), providers.Fail, "may not make members of readers").Fix)
	}
	finding(t, doctor("postgres:readers as=postgres").want(t, 0), providers.OK, "clerk may make roles")

	env["PGPASSWORD"] = "wrong" + password
	if o := doctor("postgres:readers as=postgres").want(t, 125, "password authentication failed"); strings.Contains(o.stdout+o.stderr, password) {
		t.Errorf("it prints the password:\n%s%s", o.stdout, o.stderr)
	}
	if left := pg.Roles("wc_"); len(left) > 0 {
		t.Errorf("it made %q", left)
	}
}

func pgMajor(t *testing.T, pg *harness.PostgresServer) int {
	t.Helper()
	var version string
	pg.QueryRow("postgres", &version, "select current_setting('server_version_num')")
	n, err := strconv.Atoi(version)
	if err != nil {
		t.Fatal(err)
	}
	return n / 10000
}

func TestDoctorTellsOfSettingsAndMachinesThatGiveSomethingUp(t *testing.T) {
	home := t.TempDir()
	doctor := func(env map[string]string, args ...string) outcome {
		t.Helper()
		return operate(t, home, env, append([]string{"doctor", "--json"}, args...)...)
	}
	o := doctor(nil, "--leash", "0", "--mask", "off", "--revoke-failure", "warn").want(t, 0)
	for _, says := range []string{"no credentials are asked for", "there is no leash", "are not masked", "exits 0 also when revocation is not proven"} {
		finding(t, o, providers.Warn, says)
	}
	finding(t, doctor(nil, "-c", "vault:database/creds/x as=postgress").want(t, 125), providers.Fail, "postgress")
	finding(t, doctor(nil, "nosuch").want(t, 125), providers.Fail, "there is no provider")
	finding(t, doctor(map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_JOB": "nightly"}).want(t, 0), providers.OK, "this is a job of github: nightly")
	finding(t, doctor(map[string]string{"JENKINS_URL": "https://ci"}, "--grace", "3s").want(t, 0), providers.Warn, "jenkins kills before anything is revoked")
	for _, f := range [][]string{nil, {"--grace", "2s"}} {
		if o := doctor(map[string]string{"JENKINS_URL": "https://ci"}, f...).want(t, 0); strings.Contains(o.stdout, "kills before") {
			t.Errorf("%q: %s", f, o.stdout)
		}
	}

	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	finding(t, doctor(map[string]string{"XDG_STATE_HOME": file}).want(t, 0), providers.Warn, "no journal can be kept")

	journal := filepath.Join(home, ".local/state/with-creds/journal")
	if err := os.WriteFile(filepath.Join(journal, "gone.journal"), []byte(`{"schema":1,"run":"gone","host":"runner-7"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := finding(t, doctor(nil).want(t, 0), providers.Warn, "1 run has not come to an end"); f.Fix != "with-creds sweep" {
		t.Errorf("%+v", f)
	}
}
