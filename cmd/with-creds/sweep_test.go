//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/testdata/harness"
)

// vanish is what a power cut is for all that lives on a server: the run and its guard are gone at once, and so is the command.
func (tr *trial) vanish() {
	tr.t.Helper()
	its := tr.guard()
	send(tr.pid(), syscall.SIGSTOP) // so that it cannot replace the guard
	send(its, syscall.SIGKILL)
	send(tr.pid(), syscall.SIGKILL)
	tr.killAll(func(process) bool { return true })
	tr.awaitEnd(its)
}

// awaitEnd waits until with-creds and its guard have ended for good: a process that is ending still has its locks.
func (tr *trial) awaitEnd(guard int) {
	tr.t.Helper()
	for _, pid := range []int{tr.pid(), guard} {
		if !within(time.Minute, func() error {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // the last of them still has the journal's lock
			if err == nil && (!bytes.Contains(stat, []byte(") Z ")) || len(threads) > 1) {
				return errors.New("alive")
			}
			return nil
		}) {
			tr.t.Fatalf("process %d does not end of SIGKILL", pid)
		}
	}
}

// vanished is a run with n credentials that has vanished, and left its journal.
func vanished(t testing.TB, s *source) *trial {
	t.Helper()
	tr := newTrial(t, s, nil, "sh", "-c", stubborn)
	tr.start()
	tr.file("login")
	tr.vanish()
	if len(journals(tr.path("home"))) != 1 || len(s.left()) == 0 {
		t.Fatalf("journals %q and %q on the server: there is nothing to sweep", journals(tr.path("home")), s.left())
	}
	return tr
}

func (tr *trial) sweep(env map[string]string, args ...string) outcome {
	tr.t.Helper()
	return operate(tr.t, tr.path("home"), env, append([]string{"sweep"}, args...)...)
}

// sweeper is a login that may end what the source's runs leave: the administrator's, where the run's own may not.
func (s *source) sweeper(root string) map[string]string {
	env := maps.Clone(s.env)
	if env["VAULT_ADDR"] != "" {
		for name := range env {
			if name != "VAULT_ADDR" {
				delete(env, name)
			}
		}
		env["VAULT_TOKEN"] = root
	}
	return env
}

func TestSweepEndsWhatARunAndItsGuardLeft(t *testing.T) {
	pg, cluster := postgresRow(t)
	v := harness.Vault(t)
	v.EnablePostgres(cluster)
	vault := func(name string, login vaultLogin) server {
		return server{name: name, address: strings.TrimPrefix(v.Addr, "http://"), source: func(t testing.TB, address string, o order) *source {
			return vaultSource(t, v, cluster, login, address, o)
		}}
	}
	for _, s := range []server{pg, mysqlRow(t), vault("vault, own token", ownLogin(false)), vault("vault, borrowed token", borrowedLogin)} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			tr := vanished(t, s.source(t, s.address, order{n: 2, files: true}))
			remnant, err := guard.Read(journals(tr.path("home"))[0])
			if err != nil || len(remnant.Dirs) != 1 {
				t.Fatalf("%+v, %v", remnant, err)
			}
			if files, err := os.ReadDir(remnant.Dirs[0]); len(files) != 2 {
				t.Fatalf("private files %q, want two (%v)", files, err)
			}
			env := tr.source.sweeper(v.RootToken)
			tr.sweep(env, "--dry-run").want(t, 0, "would revoke", "would remove "+remnant.Dirs[0])
			if len(tr.source.left()) == 0 || len(journals(tr.path("home"))) != 1 {
				t.Fatal("a dry run has revoked")
			}
			tr.sweep(env).want(t, 0, "nothing is left of it", "proven")
			if _, err := os.Lstat(remnant.Dirs[0]); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("private files are left in %s (%v)", remnant.Dirs[0], err)
			}
			if left := tr.leftHere(); len(left) > 0 {
				t.Errorf("left here: %q", left)
			}
			if left := tr.leftThere(); len(left) > 0 {
				t.Errorf("left on the server: %q", left)
			}
			if tr.source.logins != nil {
				eventuallyEmpty(t, "logins are left", tr.source.logins)
			}
			tr.sweep(env).want(t, 0, "nothing to sweep")
		})
	}
}

func TestSweepLeavesARunAloneThatIsNotOver(t *testing.T) {
	s := anyServer(t)
	tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", untilFinish)
	tr.start()
	username, password, _ := strings.Cut(tr.file("login"), "\n")
	tr.sweep(tr.source.env).want(t, 0, "not over")
	if !tr.source.usable(t, username, password) {
		t.Error("its credential does not work any more")
	}
	// Without its guard it is alive still.
	send(tr.pid(), syscall.SIGSTOP)
	its := tr.guard()
	send(its, syscall.SIGKILL)
	if !within(time.Minute, func() error {
		if slices.Contains(tr.guards(), its) {
			return fmt.Errorf("alive")
		}
		return nil
	}) {
		t.Fatal("the guard does not end of SIGKILL")
	}
	tr.sweep(tr.source.env).want(t, 0, "not over")
	if !tr.source.usable(t, username, password) {
		t.Error("its credential does not work any more")
	}
	send(tr.pid(), syscall.SIGCONT)
	tr.finish(0)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	tr.cleanedUp(time.Minute)
}

// TestSweepRevokesAtNoOtherServer: one that knows nothing of a role would say that it is gone.
func TestSweepRevokesAtNoOtherServer(t *testing.T) {
	s := anyServer(t)
	tr := vanished(t, s.direct(t, 1))
	other := anyServer(t)
	elsewhere := other.direct(t, 1).env
	tr.sweep(elsewhere).want(t, 125, "it is of "+s.address, "the settings are for "+other.address, "something is left of 1 run")
	tr.sweep(map[string]string{"PGHOST": "127.0.0.1", "PGPORT": "1"}).want(t, 125, "connection refused")
	if len(tr.source.left()) != 1 || len(journals(tr.path("home"))) != 1 {
		t.Fatalf("left: %q, journals: %q", tr.source.left(), journals(tr.path("home")))
	}
	tr.sweep(tr.source.env).want(t, 0, "nothing is left of it")
	tr.cleanedUp(time.Minute)
}

func TestSweepGoesOnWhenTheServerIsBack(t *testing.T) {
	s, pg := postgresRow(t)
	tr := vanished(t, s.direct(t, 1))
	env := maps.Clone(tr.source.env)
	env["WITH_CREDS_REVOKE_TIMEOUT"] = "1s"
	pg.Stop()
	tr.sweep(env).want(t, 125, "something is left of 1 run")
	pg.Start()
	tr.sweep(env).want(t, 0, "nothing is left of it")
	tr.cleanedUp(time.Minute)
}

// TestSweepTellsWhenALoginEndsThatItMayNotEnd: ending another's token takes a right that hardly a pipeline has.
func TestSweepTellsWhenALoginEndsThatItMayNotEnd(t *testing.T) {
	pg := harness.Postgres(t)
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	tr := vanished(t, vaultSource(t, v, pg, ownLogin(true), strings.TrimPrefix(v.Addr, "http://"), order{n: 2}))
	o := tr.sweep(tr.source.env).want(t, 125, `the policy needs "update" on auth/token/revoke-accessor`, "; it ends at ", "something is left of 1 run")
	if strings.Count(o.stdout, "proven") != 2 {
		t.Errorf("the leases are not told to be revoked:\n%s", o.stdout)
	}
	if left := tr.source.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	// Long after its end, nobody has to be asked.
	path := journals(tr.path("home"))[0]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	past := regexp.MustCompile(`"expires":"20\d\d`).ReplaceAll(text, []byte(`"expires":"2001`))
	if err := os.WriteFile(path, past, 0o600); err != nil {
		t.Fatal(err)
	}
	tr.sweep(tr.source.env).want(t, 0, "it ended at 2001", "nothing is left of it")
	if left := journals(tr.path("home")); len(left) > 0 {
		t.Errorf("journals are left: %q", left)
	}
}

// TestSweepTakesALoginThatIsRefusedForNoProof: a dead token of the sweeper's own says nothing of the leases.
func TestSweepTakesALoginThatIsRefusedForNoProof(t *testing.T) {
	pg := harness.Postgres(t)
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	tr := vanished(t, vaultSource(t, v, pg, borrowedLogin, strings.TrimPrefix(v.Addr, "http://"), order{n: 1}))
	env := maps.Clone(tr.source.env)
	env["VAULT_TOKEN"] = "no-such-token"
	tr.sweep(env).want(t, 125, "the token is not valid", "something is left of 1 run")
	if len(tr.source.left()) == 0 || len(journals(tr.path("home"))) != 1 {
		t.Errorf("left: %q, journals: %q", tr.source.left(), journals(tr.path("home")))
	}
}

func TestTwoSweepsAtOnceShareTheWork(t *testing.T) {
	const runs = 4
	s := anyServer(t)
	home := t.TempDir()
	dir := filepath.Join(home, ".local/state/with-creds/journal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var trials []*trial
	for range runs {
		tr := vanished(t, s.direct(t, 1))
		path := journals(tr.path("home"))[0]
		if err := os.Rename(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
		trials = append(trials, tr)
	}
	env := trials[0].source.env
	outcomes := make([]outcome, 3)
	var all sync.WaitGroup
	for i := range outcomes {
		all.Go(func() { outcomes[i] = operate(t, home, env, "sweep", "--json") })
	}
	all.Wait()
	doneBy := map[string]int{}
	for _, o := range outcomes {
		o.want(t, 0)
		for _, j := range read[sweeping](t, o).Journals {
			switch j.State {
			case stateDone:
				doneBy[j.Run]++
			case stateAlive: // the other sweep is at it
			default:
				t.Errorf("%+v", j)
			}
		}
	}
	for run, n := range doneBy {
		if n != 1 {
			t.Errorf("run %s was done %d times", run, n)
		}
	}
	if len(doneBy) != runs {
		t.Errorf("%d runs were done, want %d", len(doneBy), runs)
	}
	for _, tr := range trials {
		if left := tr.source.left(); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}

// TestSweepOfAJournalCutAnywhere: a power cut leaves any beginning of it. What that names is revoked; what is no journal yet is skipped and left there.
func TestSweepOfAJournalCutAnywhere(t *testing.T) {
	s := anyServer(t)
	tr := vanished(t, s.direct(t, 2))
	path := journals(tr.path("home"))[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := bytes.IndexByte(whole, '\n')
	none, some := 5, 1 // those below, and the whole
	for n := range whole {
		// Every byte is package guard's test; this one is about what a sweep does with them, so a part will do, and all about the ends of lines.
		if n%16 != 0 && !bytes.Contains(whole[max(0, n-2):min(len(whole), n+2)], []byte("\n")) {
			continue
		}
		if err := os.WriteFile(fmt.Sprintf("%s/cut-%05d.journal", filepath.Dir(path), n), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if n < head { // the first line without its end
			none++
		} else {
			some++
		}
	}
	for name, content := range map[string]string{"notes.txt": "hello", "foreign.journal": "{}\n", "later.journal": `{"schema":99,"run":"x"}` + "\n"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path, filepath.Join(filepath.Dir(path), "link.journal")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(filepath.Dir(path), "pipe.journal"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := tr.sweep(tr.source.env, "--json").want(t, 0)
	said := read[sweeping](t, o)
	if len(said.Skipped) != none {
		t.Errorf("%d files were skipped, want %d", len(said.Skipped), none)
	}
	if len(said.Journals) != some {
		t.Errorf("%d journals, want %d", len(said.Journals), some)
	}
	for _, j := range said.Journals {
		if j.State != stateDone {
			t.Errorf("%+v", j)
		}
	}
	if left := tr.source.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	left := journals(tr.path("home"))
	if len(left) != none {
		t.Errorf("%d files are left, want %d", len(left), none)
	}
	for _, path := range left {
		if name := filepath.Base(path); name >= fmt.Sprintf("cut-%05d.journal", head) && strings.HasPrefix(name, "cut-") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestSweepLeavesAnotherMachinesJournalAlone(t *testing.T) {
	s := anyServer(t)
	tr := vanished(t, s.direct(t, 1))
	path := journals(tr.path("home"))[0]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`"host":"[^"]*"`).ReplaceAll(text, []byte(`"host":"runner-7"`))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	tr.sweep(tr.source.env).want(t, 0, "it is of the machine runner-7", "--from runner-7")
	if len(tr.source.left()) != 1 {
		t.Fatal("it was revoked")
	}
	tr.sweep(tr.source.env, "--from", "runner-7").want(t, 0, "nothing is left of it")
	tr.cleanedUp(time.Minute)
}

// TestSweepOfAServerEndsLoginsThatNoJournalNames: the machine is gone, and its disk with it.
func TestSweepOfAServerEndsLoginsThatNoJournalNames(t *testing.T) {
	s, pg := postgresRow(t)
	lost, late := vanished(t, s.direct(t, 1)), vanished(t, s.direct(t, 1))
	for _, tr := range []*trial{lost, late} {
		if err := os.Remove(journals(tr.path("home"))[0]); err != nil {
			t.Fatal(err)
		}
	}
	until := func(tr *trial, ago string) {
		pg.Exec("postgres", "do $$ begin execute format('alter role "+tr.source.left()[0]+" valid until %L', now() - interval '"+ago+"'); end $$")
	}
	until(lost, "1 hour")
	until(late, "5 minutes")
	env, role := lost.source.env, lost.source.left()[0]
	lost.sweep(env).want(t, 0, "nothing to sweep")
	lost.sweep(env, "postgres", "--dry-run").want(t, 0, "would revoke", role)
	lost.sweep(env, "postgres").want(t, 0, "proven", role)
	if left := lost.source.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if len(late.source.left()) != 1 {
		t.Error("one that ended a moment ago was ended too: its run may be late with a renewal")
	}
	lost.sweep(env, "postgres", "--past", "1s").want(t, 125, "--past")
	lost.sweep(env, "nosuch").want(t, 125, "there is no provider")
	lost.sweep(env, "postgres", "--past", "1m").want(t, 0, "proven")
	if left := late.source.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestSweepTellsOfACommandThatOutlivedItsRun: with-creds and its guard were killed, the command was not.
func TestSweepTellsOfACommandThatOutlivedItsRun(t *testing.T) {
	s := anyServer(t)
	tr := newTrial(t, s.direct(t, 1), nil, "sh", "-c", untilFinish)
	tr.start()
	tr.file("login")
	its := tr.guard()
	send(tr.pid(), syscall.SIGSTOP)
	send(its, syscall.SIGKILL)
	send(tr.pid(), syscall.SIGKILL)
	tr.awaitEnd(its)
	tr.sweep(tr.source.env).want(t, 0, "what it ran is still running: process ", "nothing is left of it")
	if left := tr.source.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestSweepTellsOfRunsAndOfLoginsApart(t *testing.T) {
	run, login := &swept{State: stateLeft}, revoked{Error: "no"}
	for _, c := range []struct {
		swept sweeping
		want  string
	}{
		{sweeping{Journals: []*swept{{State: stateDone}}, Expired: []revoked{{}}}, ""},
		{sweeping{Journals: []*swept{run}}, "something is left of 1 run"},
		{sweeping{Expired: []revoked{login, {}, login}}, "something is left of 2 logins"},
		{sweeping{Journals: []*swept{run, run}, Expired: []revoked{login}}, "something is left of 2 runs and 1 login"},
	} {
		got := ""
		if err := c.swept.verdict(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestADryRunPromisesNoMoreThanSweepDoes: a journal is a file that anybody could have put there.
func TestADryRunPromisesNoMoreThanSweepDoes(t *testing.T) {
	home := t.TempDir()
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dir, precious := filepath.Join(home, ".local/state/with-creds/journal"), filepath.Join(home, "precious")
	text := fmt.Sprintf("{\"schema\":1,\"run\":\"r\",\"host\":%q,\"pid\":1,\"start\":1}\n{\"dir\":%q}\n", here, precious)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Mkdir(precious, 0o700), os.WriteFile(filepath.Join(dir, "r.journal"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	const refusal = "precious\" is no private directory of with-creds"
	operate(t, home, nil, "sweep", "--dry-run").want(t, 0, "would be refused: ", refusal)
	operate(t, home, nil, "sweep").want(t, 125, refusal)
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
