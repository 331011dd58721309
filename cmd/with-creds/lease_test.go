//go:build linux

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/with-creds/with-creds/testdata/harness"
)

// A drill is a Vault in front of a PostgreSQL, with the guide's roles readonly and readwrite, and an operator with a root token.
type drill struct {
	t     *testing.T
	home  string
	env   map[string]string
	vault *harness.VaultServer
	pg    *harness.PostgresServer
}

func newDrill(t *testing.T) *drill {
	t.Helper()
	d := &drill{t: t, home: t.TempDir(), vault: harness.Vault(t), pg: harness.Postgres(t)}
	d.vault.EnablePostgres(d.pg)
	d.env = map[string]string{"VAULT_ADDR": d.vault.Addr, "VAULT_TOKEN": d.vault.RootToken}
	return d
}

// issue makes n leases of a role, as anybody would.
func (d *drill) issue(role string, n int) (ids []string) {
	d.t.Helper()
	for range n {
		ids = append(ids, d.vault.LeaseOf(d.vault.RootToken, "database/creds/"+role).LeaseID)
	}
	slices.Sort(ids)
	return ids
}

// readers lists the users that Vault has made for the role readonly.
func (d *drill) readers() (users []string) {
	for _, user := range d.pg.Roles("v-") {
		if strings.Contains(user, "-readonly-") {
			users = append(users, user)
		}
	}
	return users
}

func (d *drill) lease(args ...string) outcome {
	d.t.Helper()
	return operate(d.t, d.home, d.env, append([]string{"lease"}, args...)...)
}

func (d *drill) as(token string) *drill {
	other := *d
	other.env = maps.Clone(d.env)
	other.env["VAULT_TOKEN"] = token
	return &other
}

func TestLeaseListShowsWhatIsOnTheServer(t *testing.T) {
	d := newDrill(t)
	d.lease("list", "database/creds").want(t, 0, "no leases")
	readonly, readwrite := d.issue("readonly", 2), d.issue("readwrite", 1)

	table := d.lease("list", "database/creds").want(t, 0, "LEASE", "ISSUED", "LEFT", "ENDS", "RENEWABLE", "3 leases")
	for _, id := range append(readonly, readwrite...) {
		if !strings.Contains(table.stdout, id) {
			t.Errorf("%s is missing in\n%s", id, table.stdout)
		}
	}
	for _, under := range []string{"database/creds/readonly", "/database/creds/readonly/", "vault:database/creds/readonly"} {
		all := read[[]shownLease](t, d.lease("list", under, "--json"))
		var ids []string
		for _, l := range all {
			ids = append(ids, l.Lease)
			if l.Provider != "vault" || !l.Renewable || l.TTL == nil || *l.TTL < 3000 || *l.TTL > 3600 || l.Issued == nil || l.Expires == nil ||
				time.Until(*l.Expires).Round(time.Hour) != time.Hour {
				t.Errorf("%s: %+v", under, l)
			}
		}
		if !slices.Equal(ids, readonly) {
			t.Errorf("%s: %q, want %q", under, ids, readonly)
		}
	}
	// Tokens are leases, too, and the root token has no end.
	if all := d.lease("list").want(t, 0, readonly[0], readwrite[0]); strings.Count(all.stdout, "\n") < 5 {
		t.Errorf("everything:\n%s", all.stdout)
	}
}

func TestLeaseCommandsSayWhichRightIsMissing(t *testing.T) {
	d := newDrill(t)
	id := d.issue("readonly", 1)[0]
	nobody := d.as(d.vault.Token())
	nobody.lease("list", "database/creds").want(t, 125, "permission denied", `path "sys/leases/lookup/database/creds/*" { capabilities = ["list", "sudo"] }`)
	nobody.lease("revoke", "--prefix", "--yes", "database/creds").want(t, 125, `"list", "sudo"`)
	nobody.lease("lookup", id).want(t, 0, id) // the default policy gives this
	d.as("no-such-token").lease("list", "database/creds").want(t, 125, "the token is not valid")
	d.as("").lease("list", "database/creds").want(t, 125, "there is no token: set VAULT_TOKEN")

	// What the messages say is enough.
	d.vault.Policy("drill", `path "sys/leases/lookup/database/creds/*" { capabilities = ["list", "sudo"] }
		path "sys/leases/revoke-prefix/database/creds/readonly" { capabilities = ["update", "sudo"] }`)
	somebody := d.as(d.vault.Token("default", "drill"))
	somebody.lease("list", "database/creds").want(t, 0, id)
	somebody.lease("revoke", "--prefix", "--yes", "database/creds/readonly").want(t, 0, "accepted", id)
	eventuallyEmpty(t, "users", func() []string { return d.readers() })
}

func TestLeaseLookupTellsOfEachAndOfWhatThereIsNot(t *testing.T) {
	d := newDrill(t)
	ids := d.issue("readonly", 2)
	d.lease("lookup", ids[0], ids[1]).want(t, 0, ids[0], ids[1], "2 leases")
	d.lease("lookup", ids[0], "database/creds/readonly/nosuch").want(t, 125, ids[0], "there is no lease database/creds/readonly/nosuch")
	d.lease("lookup").want(t, 125, "which lease?")
	d.lease("look").want(t, 125, "did you mean")
	d.lease("lookup", ids[0], "--jsn").want(t, 125, "there is no flag --jsn")
	operate(t, d.home, d.env, "lease", "lookup", "--", ids[0]).want(t, 125, "leave out the --")
}

func TestLeaseRenewGivesTimeUpToTheMaximum(t *testing.T) {
	d := newDrill(t)
	d.vault.DatabaseRole("short", "postgresql", `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`, "5m", "30m")
	id := d.issue("short", 1)[0]
	ttl := func(o outcome) int64 {
		t.Helper()
		all := read[[]shownLease](t, o.want(t, 0))
		if len(all) != 1 || all[0].TTL == nil {
			t.Fatalf("%+v", all)
		}
		return *all[0].TTL
	}
	if got := ttl(d.lease("renew", id, "--increment", "10m", "--json")); got < 500 || got > 600 {
		t.Errorf("%d s left after renewing for 10m", got)
	}
	if got := ttl(d.lease("renew", id, "--json")); got < 500 || got > 605 {
		t.Errorf("%d s left after renewing for as long as the last time", got)
	}
	over := d.lease("renew", "--json", "--increment", "2h", id)
	if got := ttl(over); got < 1200 || got > 1800 {
		t.Errorf("%d s left after renewing for 2h with a maximum of 30m", got)
	}
	over.want(t, 0, "it is at, or near, its maximum TTL")
	d.lease("renew", "--increment", "0s", id).want(t, 125, "less than a second")
	d.lease("renew", "--increment", "soon", id).want(t, 125, "increment")
	d.lease("renew", "database/creds/short/nosuch").want(t, 125, "there is no lease")
}

func TestLeaseRevokeEndsOneAndProvesIt(t *testing.T) {
	d := newDrill(t)
	ids := d.issue("readonly", 3)
	d.lease("revoke", "--sync", ids[0]).want(t, 0, "proven", ids[0])
	if users := d.readers(); len(users) != 2 {
		t.Errorf("users: %q, want two", users)
	}
	d.lease("revoke", ids[1]).want(t, 0, "accepted", ids[1])
	// Vault removes the lease after the user.
	eventuallyEmpty(t, "more leases than one", func() []string { return d.vault.Leases("database/creds")[1:] })
	if users := d.readers(); len(users) != 1 {
		t.Errorf("users: %q, want one", users)
	}
	d.lease("revoke").want(t, 125, "which lease?")
	if left := d.vault.Leases("database/creds"); !slices.Equal(left, ids[2:]) {
		t.Errorf("leases: %q", left)
	}
}

// TestLeaseRevokeProvesNothingOfWhatItHasNotSeen: what is no lease may be one that is gone, a slip of the hand, or the place of leases that live.
func TestLeaseRevokeProvesNothingOfWhatItHasNotSeen(t *testing.T) {
	d := newDrill(t)
	ids := d.issue("readonly", 3)
	nobody := d.as(d.vault.Token())
	for _, c := range []struct {
		drill *drill
		args  string
		code  int
		says  string
	}{
		{d, "database/creds/readonly/nosuch", 0, "there is no such lease"},
		{d, "typo", 0, "there is no such lease"},
		{nobody, "database/creds/readonly/nosuch", 0, "what is under it may not be listed"},
		{d, "database/creds/readonly", 125, "it is no lease, and 3 leases are under it: add --prefix to revoke them"},
		{d, "--sync /database/", 125, "3 leases are under it"},
		{d, "vault:", 125, "which lease?"},
		{d, "vault:/ " + ids[0], 125, "which lease?"},
	} {
		o := c.drill.lease(append([]string{"revoke"}, strings.Fields(c.args)...)...).want(t, c.code, c.says)
		if strings.Contains(o.stdout, "proven") {
			t.Errorf("%s: something is said to be proven:\n%s", c.args, o.stdout)
		}
	}
	d.lease("lookup", "vault:").want(t, 125, "which lease?")
	if all := read[[]revoked](t, d.lease("revoke", "--json", "--prefix", "--yes", "database/creds/nosuch").want(t, 0)); all == nil {
		t.Error("nothing is null and not an empty list")
	}
	if left := d.vault.Leases("database/creds"); !slices.Equal(left, ids) {
		t.Errorf("leases: %q, want %q", left, ids)
	}
}

// TestLeaseCommandsGoThroughAllThatIsNamed: what fails of one says nothing of the next.
func TestLeaseCommandsGoThroughAllThatIsNamed(t *testing.T) {
	d := newDrill(t)
	ids := d.issue("readonly", 2)
	d.env["PGHOST"], d.env["PGCONNECT_TIMEOUT"] = d.home, "2" // there is no socket
	const bad = "postgres:wc_readonly_x"
	d.lease("list", bad, "database/creds").want(t, 125, "postgres:", ids[0], ids[1])
	d.lease("lookup", bad, ids[0]).want(t, 125, "postgres:", ids[0])
	d.lease("renew", bad, ids[0]).want(t, 125, "postgres:", ids[0])
	d.lease("revoke", "--sync", bad, ids[0]).want(t, 125, "failed", bad[len("postgres:"):], "proven", ids[0], "1 of 2 leases are not revoked")
	d.lease("revoke", "--prefix", "--yes", "--sync", bad, "database/creds").want(t, 125, "postgres:", "proven", ids[1])
	if users := d.readers(); len(users) > 0 {
		t.Errorf("users are left: %q", users)
	}
}

// TestAnOperatorIsToldWhatIsWaitedForAndIsNotKeptWhenStopping has a Vault that takes connections and does not answer.
func TestAnOperatorIsToldWhatIsWaitedForAndIsNotKeptWhenStopping(t *testing.T) {
	d := newDrill(t)
	id := d.issue("readonly", 1)[0]
	d.vault.Pause()
	defer d.vault.Continue()
	roleID, secretID := "some-role-id", "some-secret-id"
	var all sync.WaitGroup
	for _, c := range []struct{ args, says string }{
		{"lease list database/creds", `still listing the leases of vault under "database/creds"`},
		{"lease lookup " + id, "still looking up " + id},
		{"lease revoke --sync " + id, "still looking up " + id},
		{"lease list --vault-auth approle", "still logging in to vault"},
	} {
		env := maps.Clone(d.env)
		env["WITH_CREDS_VAULT_ROLE_ID"], env["WITH_CREDS_VAULT_SECRET_ID"] = roleID, secretID
		all.Go(func() {
			o := operation(t, d.home, env, strings.Fields(c.args)...)
			said := &harness.Transcript{}
			o.Stderr = said
			if err := o.Start(); err != nil {
				t.Error(err)
				return
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = o.Wait() // the code is in ProcessState
			}()
			if !within(time.Minute, func() error {
				if !strings.Contains(said.String(), c.says) {
					return fmt.Errorf("not told")
				}
				return nil
			}) {
				t.Errorf("%s does not say %q:\n%s", c.args, c.says, said)
			}
			_ = o.Process.Signal(syscall.SIGINT)
			select {
			case <-ended:
			case <-time.After(30 * time.Second): // half of what Vault's client waits
				t.Errorf("%s is not stopped:\n%s", c.args, said)
				_ = o.Process.Kill()
				<-ended
			}
			if code := o.ProcessState.ExitCode(); code != 125 || !strings.Contains(said.String(), "stopped") {
				t.Errorf("%s: exit code %d\n%s", c.args, code, said)
			}
		})
	}
	all.Wait()
}

func TestLeaseRevokePrefixEndsAllOfARoleAndNoOther(t *testing.T) {
	d := newDrill(t)
	d.issue("readonly", 20)
	other := d.issue("readwrite", 1)
	d.lease("revoke", "--prefix", "database/creds/readonly").want(t, 125, "revoke 20 leases under database/creds/readonly", "--yes")
	if n := len(d.readers()); n != 20 {
		t.Fatalf("%d users after a question that nobody was there to answer", n)
	}
	d.lease("revoke", "database/creds/readonly", "--prefix", "--yes", "--sync").want(t, 0, "20 leases: 20 proven")
	if users := d.readers(); len(users) > 0 {
		t.Errorf("users are left: %q", users)
	}
	if left := d.vault.Leases("database/creds"); !slices.Equal(left, other) {
		t.Errorf("leases: %q, want %q", left, other)
	}
	d.lease("revoke", "--prefix", "--yes", "database/creds/readonly").want(t, 0, "there are no leases under database/creds/readonly")
	d.lease("revoke", "--prefix", "--yes", "").want(t, 125, "name a path")
	d.lease("revoke", "--prefix", "--yes", "database/").want(t, 0, "accepted", other[0])
	eventuallyEmpty(t, "leases", func() []string { return d.vault.Leases("database/creds") })
}

func TestLeaseRevokePrefixAsksOnATerminal(t *testing.T) {
	d := newDrill(t)
	d.issue("readonly", 2)
	answer := func(text string) (string, int) {
		t.Helper()
		c := operation(t, d.home, d.env, "lease", "revoke", "--prefix", "--sync", "database/creds/readonly")
		terminal, err := pty.Start(c.Cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		screen := &harness.Transcript{}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			buffer := make([]byte, 4096)
			for {
				n, err := terminal.Read(buffer)
				_, _ = screen.Write(buffer[:n])
				if err != nil { // EIO: nobody has the terminal any more
					return
				}
			}
		}()
		if !within(time.Minute, func() error {
			if !strings.Contains(screen.String(), "[y/N]") {
				return fmt.Errorf("not asked")
			}
			return nil
		}) {
			t.Fatalf("it does not ask:\n%s", screen)
		}
		if _, err := terminal.WriteString(text); err != nil {
			t.Fatal(err)
		}
		<-ended
		_ = c.Wait() // the code is in ProcessState
		return screen.String(), c.ProcessState.ExitCode()
	}
	for _, no := range []string{"n\n", "\n", "nyet, y\n", "\x03"} {
		if screen, code := answer(no); code != 125 || !strings.Contains(screen, "revoke 2 leases under database/creds/readonly at "+d.vault.Addr) {
			t.Errorf("%q: exit code %d\n%s", no, code, screen)
		}
		if n := len(d.readers()); n != 2 {
			t.Fatalf("%d users after %q", n, no)
		}
	}
	if screen, code := answer("y\n"); code != 0 || !strings.Contains(screen, "2 proven") {
		t.Errorf("exit code %d\n%s", code, screen)
	}
	if users := d.readers(); len(users) > 0 {
		t.Errorf("users are left: %q", users)
	}
}

// TestLeaseRevokeIsNotHeldUpByOneBadDatabase: behind one of two databases nobody answers.
func TestLeaseRevokeIsNotHeldUpByOneBadDatabase(t *testing.T) {
	d := newDrill(t)
	bad := harness.Postgres(t)
	bad.Exec("postgres", "CREATE DATABASE app")
	d.vault.DatabaseConnection("bad", bad)
	d.vault.DatabaseRole("doomed", "bad", `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`, "1h", "24h")
	doomed := d.issue("doomed", 1)[0]
	d.issue("readonly", 3)
	bad.Stop()
	d.env["WITH_CREDS_REVOKE_TIMEOUT"] = "8s" // for the healthy ones it is a thousand times what they take
	o := d.lease("revoke", "--prefix", "--sync", "--yes", "--json", "database/creds").want(t, 125, "1 of 4 leases are not revoked")
	for _, r := range read[[]revoked](t, o) {
		if failed := r.Lease == doomed; failed != r.failed() || !failed && r.Proof != "proven" {
			t.Errorf("%+v", r)
		}
	}
	if users := d.readers(); len(users) > 0 {
		t.Errorf("users are left: %q", users)
	}
}

func TestLeaseCommandsKnowTheLoginsThatWithCredsMadeInADatabase(t *testing.T) {
	for _, s := range []server{anyServer(t), mysqlRow(t)} {
		t.Run(s.name, func(t *testing.T) {
			tr := newTrial(t, s.direct(t, 2), nil, "sh", "-c", untilFinish)
			tr.start()
			user, _, _ := strings.Cut(tr.file("login"), "\n")
			place, _, _ := strings.Cut(tr.source.specs[0], " ")
			of := s.name + ":"
			home, env := tr.path("home"), tr.source.env
			list := operate(t, home, env, "lease", "list", place, "--json").want(t, 0)
			all := read[[]shownLease](t, list)
			if len(all) != 2 || all[0].Group != strings.TrimPrefix(place, of) || all[0].Run == "" || all[0].Run != all[1].Run || all[0].Expires == nil {
				t.Errorf("%s", list.stdout)
			}
			operate(t, home, env, "lease", "list", of+"nobody").want(t, 0, "no leases")
			operate(t, home, env, "lease", "lookup", of+user).want(t, 0, user, "RUN", all[0].Run)
			operate(t, home, env, "lease", "renew", of+user).want(t, 125, "say --increment")
			operate(t, home, env, "lease", "renew", of+user, "--increment", "10m").want(t, 0, user)
			operate(t, home, env, "lease", "revoke", place).want(t, 125, "2 leases are under it: add --prefix")
			if o := operate(t, home, env, "lease", "revoke", of+cmp.Or(env["PGUSER"], env["MYSQL_USER"])).want(t, 0, "there is no such lease"); strings.Contains(o.stdout, "proven") {
				t.Errorf("somebody else's account is said to be gone:\n%s", o.stdout)
			}
			operate(t, home, env, "lease", "revoke", place, "--prefix", "--yes").want(t, 0, "2 leases: 2 proven")
			if left := tr.source.left(); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			tr.finish(0)
			if code := tr.wait(); code != 0 { // what somebody else has revoked is revoked
				t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
			}
			tr.cleanedUp(cleanUpLimit)
		})
	}
}

// TestLeaseListNamesTheRunOnThisMachine: Vault does not tell for whom a lease was issued; the journals of this machine do.
func TestLeaseListNamesTheRunOnThisMachine(t *testing.T) {
	d := newDrill(t)
	stranger := d.issue("readonly", 1)[0]
	tr := newTrial(t, &source{env: d.env, specs: []string{"vault:database/creds/readonly USER_0=username PASSWORD_0=password"}}, nil, "sh", "-c", untilFinish)
	tr.start()
	tr.file("login")
	d.home = tr.path("home")
	d.lease("list", "database/creds").want(t, 0, "RUN")
	known := 0
	for _, l := range read[[]shownLease](t, d.lease("list", "--json", "database/creds")) {
		if l.Run != "" {
			known++
		}
		if l.Lease == stranger && l.Run != "" {
			t.Errorf("a run for a lease of nobody's here: %+v", l)
		}
	}
	if known != 1 {
		t.Errorf("the run is told of %d leases, want 1", known)
	}
	tr.finish(0)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
}

// TestLeaseCommandsEndTheirOwnLogin: a drill with an AppRole leaves no token.
func TestLeaseCommandsEndTheirOwnLogin(t *testing.T) {
	d := newDrill(t)
	d.vault.Policy("drill", `path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }`)
	roleID, secretID := d.vault.AppRole("operator", map[string]any{"token_policies": "drill"})
	delete(d.env, "VAULT_TOKEN")
	d.env["WITH_CREDS_VAULT_AUTH"], d.env["WITH_CREDS_VAULT_ROLE_ID"], d.env["WITH_CREDS_VAULT_SECRET_ID"] = "approle", roleID, secretID
	d.lease("list", "database/creds").want(t, 0, "no leases")
	d.lease("lookup", "database/creds/readonly/x").want(t, 125)
	eventuallyEmpty(t, "logins are left", func() []string { return d.vault.Leases("auth/approle/login") })
}
