//go:build linux

package faults

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/testdata/harness"
)

// A login is how the runs of a matrix come to their token. It decides on which requests a run makes.
type login struct {
	name     string
	env      map[string]string
	borrowed bool
}

// A cell is one run of a matrix, and what is done to which of its requests.
type cell struct {
	login
	fault   fault
	strikes func(n int, phase string) bool
	when    string
	timeout time.Duration // --revoke-timeout
	code    int           // the command's own exit code
	lasts   bool
}

func (c cell) String() string { return fmt.Sprintf("%s, %s: %s", c.login.name, c.when, c.fault.name) }

// command says that it was started, keeps what it was given for the test to look for, and gives the run time to cut what it holds to the leash: to five minutes, so that nothing here ends by itself.
const command = `printf '%s\n' "$P0" "$P1" >given; sleep 0.4; exit `

// An outcome is how a run with a fault ended.
type outcome string

const (
	survived outcome = "survived" // the command ran, and all is proven to be gone
	told     outcome = "told"     // the command ran, and the receipt says what is not proven
	refused  outcome = "refused"  // the command was not started
)

// newMatrix is a site with the two logins that make the most different requests.
func newMatrix(t *testing.T) (*matrix, []login) {
	s := newSite(t)
	s.policies()
	m := &matrix{site: s, faults: faultsOf(t), outcomes: map[string]map[outcome]int{}}
	return m, []login{
		{name: "own token, synchronous revocation", env: s.appRole(map[string]any{"token_policies": "read,revoke", "token_ttl": "1h"})},
		{name: "borrowed token, default policy", env: s.token("default", "read"), borrowed: true},
	}
}

// TestOneFaultAtAnyRequestLeavesNothingAndIsTold goes through every request of a run and every fault, and holds each to what the table says comes of it.
func TestOneFaultAtAnyRequestLeavesNothingAndIsTold(t *testing.T) {
	t.Parallel()
	m, logins := newMatrix(t)
	var cells []cell
	for _, l := range logins {
		for n := range min(m.undisturbed(t, l), mostRequests) {
			for _, f := range m.faults {
				cells = append(cells, cell{
					login: l, fault: f, when: fmt.Sprintf("request %d", n+1), strikes: func(m int, _ string) bool { return m == n+1 },
					timeout: time.Minute, code: len(cells) % 3 / 2 * 7,
				})
			}
		}
	}
	m.through(t, cells)
	t.Logf("%d runs; how they ended:\n%s", len(cells), m.table())
}

// mostRequests are enough to disturb: the last of a run look a lease up again and again.
const mostRequests = 11

// TestAFaultThatLastsIsToldAndTheGuardEndsWhatIsLeft lets every request fail, from the first of a kind until with-creds has ended. What was issued by then is the guard's
// to end, when Vault is back.
func TestAFaultThatLastsIsToldAndTheGuardEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	m, logins := newMatrix(t)
	m.faults = slices.DeleteFunc(m.faults, func(f fault) bool { return !f.lasting })
	var cells []cell
	for _, l := range logins {
		phases := []string{"login", "issue", "renew", "revoke", "close"}
		if l.borrowed {
			phases = []string{"issue, borrowed", "renew", "revoke", "shorten", "look up"}
		}
		for _, phase := range phases {
			for _, f := range m.faults {
				begun := false // by the plan's goroutine alone
				cells = append(cells, cell{
					login: l, fault: f, when: "from the first request to " + phase + " on", timeout: 3 * time.Second, code: len(cells) % 3 / 2 * 7, lasts: true,
					strikes: func(_ int, p string) bool {
						begun = begun || p == phase
						return begun
					},
				})
			}
		}
	}
	m.through(t, cells)
	t.Logf("%d runs; how they ended:\n%s", len(cells), m.table())
}

// undisturbed is how many requests a run makes.
func (s *site) undisturbed(t *testing.T, l login) int {
	p := harness.NewProxy(t, s.vault.Addr, nil)
	r := newRun(t, at(p.Addr, l.env), append(append(slices.Clone(flags), specs(2, s.role(createRole, "1h", "24h"))...), "--", "sh", "-c", command+"0")...)
	if code := r.start().wait(); code != 0 {
		t.Fatalf("%s: exit code %d; stderr:\n%s", l.name, code, &r.stderr)
	}
	var paths []string
	for _, request := range p.Requests() {
		paths = append(paths, request.Method+" "+request.Path)
	}
	t.Logf("%s: %d requests, %d round trips one after another: %s", l.name, len(paths), p.Rounds(), strings.Join(paths, ", "))
	return len(paths)
}

var flags = []string{"--grace=1s"}

// A matrix is the runs of one test, many at a time, and how they ended.
type matrix struct {
	*site
	faults []fault
	dirs   atomic.Int64

	mu       sync.Mutex
	outcomes map[string]map[outcome]int // by fault and phase
}

// atOnce is how many runs there are at a time. They mostly wait.
const atOnce = 24

func (m *matrix) through(t *testing.T, cells []cell) {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(cells, func(a, b cell) int { return b.fault.waits - a.fault.waits })
	next := make(chan cell)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for c := range next {
				m.one(t, filepath.Join(base, fmt.Sprint(m.dirs.Add(1))), c)
			}
		})
	}
	for _, c := range cells {
		next <- c
	}
	close(next)
	all.Wait()
}

// one runs a cell and holds it to what every run must keep.
func (m *matrix) one(t *testing.T, dir string, c cell) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Error(err)
		return
	}
	var mu sync.Mutex
	var hit string
	struck := func() string {
		mu.Lock()
		defer mu.Unlock()
		return hit
	}
	var healed atomic.Bool
	p := harness.NewProxy(t, m.vault.Addr, func(e *harness.Exchange) harness.HTTPFault {
		phase := phaseOf(e, c.borrowed)
		if healed.Load() || !c.strikes(e.N, phase) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if hit == "" {
			hit = phase
		}
		return c.fault.do
	})
	defer p.Close()
	role := m.role(createRole, "1h", "24h")
	env := maps.Clone(c.env)
	env["VAULT_CLIENT_TIMEOUT"] = "30"
	if c.lasts {
		env["VAULT_CLIENT_TIMEOUT"] = "3"
	}
	args := append(append(slices.Clone(flags), "--revoke-timeout", c.timeout.String()), specs(2, role)...)
	r := newRunIn(t, dir, at(p.Addr, env), append(args, "--", "sh", "-c", command+fmt.Sprint(c.code))...)
	code := r.start().wait()
	healed.Store(true)
	v := &verdict{t: t, m: m, cell: c, run: r, role: role, code: code, receipt: r.receipt(), phase: struck()}
	v.judge()
}

// phaseOf tells what a request is for. A lease is shortened by renewing it for a second; what it says decides, not when it comes.
func phaseOf(e *harness.Exchange, borrowed bool) string {
	switch path := strings.TrimPrefix(e.Request.URL.Path, "/v1/"); {
	case strings.HasSuffix(path, "/login"):
		return "login"
	case strings.HasPrefix(path, "database/creds/") && borrowed:
		return "issue, borrowed"
	case strings.HasPrefix(path, "database/creds/"):
		return "issue"
	case path == "sys/leases/revoke":
		return "revoke"
	case path == "sys/leases/renew" && strings.Contains(string(e.Body), `"increment":1,`):
		return "shorten"
	case path == "sys/leases/renew", path == "auth/token/renew-self":
		return "renew"
	case path == "sys/leases/lookup":
		return "look up"
	case path == "auth/token/revoke-self":
		return "close"
	default:
		return path
	}
}

// A verdict is what is found of one run.
type verdict struct {
	t *testing.T
	m *matrix
	cell
	run     *run
	role    string
	code    int
	receipt receipt.Receipt
	phase   string // of the request that was disturbed; "": there were not as many
}

func (v *verdict) errorf(format string, args ...any) {
	v.t.Errorf("%s (%s): %s; stderr:\n%s\nreceipt: %s", v.cell, v.phase, fmt.Sprintf(format, args...), &v.run.stderr, v.run.read("receipt.json"))
}

func (v *verdict) judge() {
	o := v.outcome()
	given := v.run.read("given")
	if started := v.run.started(); started != (o != refused) {
		v.errorf("the command was started: %v", started)
	}
	if o != refused && len(v.receipt.Credentials) != 2 {
		v.errorf("the command was started with %d credentials issued", len(v.receipt.Credentials))
	}
	want := map[outcome]int{survived: v.cell.code, told: v.cell.code, refused: 125}[o]
	if o == told && want == 0 {
		want = 125
	}
	if v.code != want || v.receipt.ExitCode != want {
		v.errorf("exit code %d, in the receipt %d, want %d", v.code, v.receipt.ExitCode, want)
	}
	if o == survived && !v.fault.lies {
		v.allGoneAlready()
	}
	for _, secret := range append(strings.Fields(given), v.env["VAULT_TOKEN"], v.env["WITH_CREDS_VAULT_SECRET_ID"], "hvs.") {
		if secret != "" && strings.Contains(v.run.stderr.String()+v.run.read("receipt.json"), secret) {
			v.errorf("a secret is in stderr or in the receipt")
		}
	}
	v.allGoneInTheEnd()
	v.m.note(v.fault, v.phase, o)
	if !v.lasts && v.phase != "" && !slices.Contains(v.fault.outcomes(v.phase), o) {
		v.errorf("the run was %s; the table says %s", o, v.fault.outcomes(v.phase))
	}
}

// outcome is how the run ended by its own account.
func (v *verdict) outcome() outcome {
	o := survived
	if v.receipt.Error != "" {
		return refused
	}
	for _, r := range v.revocations() {
		switch {
		case r == nil:
			v.errorf("the receipt says nothing of a revocation")
		case r.Error != "" || r.Proof == providers.Accepted || r.Proof == providers.Failed:
			o = told
			if r.Error == "" {
				v.errorf("the receipt says %s and not why", r.Proof)
			}
		}
	}
	return o
}

func (v *verdict) revocations() []*receipt.Revocation {
	var all []*receipt.Revocation
	for _, c := range v.receipt.Credentials {
		all = append(all, c.Revocation)
	}
	for _, s := range v.receipt.Sessions {
		all = append(all, s.Revocation)
	}
	return all
}

// allGoneAlready looks for what the run was given at its end. (What an attempt left whose answer was lost goes a moment later, with the token.)
func (v *verdict) allGoneAlready() {
	there := strings.Join(v.m.left(v.role), "\n")
	for _, c := range v.receipt.Credentials {
		if c.Lease == "" || c.Username == "" {
			v.errorf("the receipt does not name what was issued")
		} else if strings.Contains(there, c.Lease) || strings.Contains(there, c.Username) {
			v.errorf("all is said to be gone, and %s is there", c.Lease)
		}
	}
	for _, s := range v.receipt.Sessions {
		if s.Revocation.Proof == providers.Proven && v.m.tokenLives(s.Lease) {
			v.errorf("the run's token is said to be gone and lives")
		}
	}
}

// allGoneInTheEnd waits for the guard. Two cases are limits of what can be known (vault.Session.Issue, Session.Revoke): the answer lost that named a lease of a borrowed
// token, of which the error says that it may be left; and a server that said of a lease that it does not exist.
//
// A journal may stay behind, for sweep to look, when the token that could look is gone.
func (v *verdict) allGoneInTheEnd() {
	var left, journals []string
	mayBeLeft := v.borrowed && (v.fault.lies || v.fault.answered && strings.Contains(v.receipt.Error, "a lease may have been issued"))
	if !within(patience, func() bool {
		left, journals = v.m.left(v.role), v.run.journals()
		mayStay := len(journals) == 0 || !v.borrowed && len(v.receipt.Sessions) == 1 && !v.m.tokenLives(v.receipt.Sessions[0].Lease)
		return (len(left) == 0 || mayBeLeft && len(left) <= v.limit()) && mayStay && !v.run.guarded() && len(v.run.privateFiles()) == 0
	}) {
		v.errorf("left after %v: %q, journals %q, private files %q, guard: %v", patience, left, journals, v.run.privateFiles(), v.run.guarded())
	}
}

// limit is how many leases and roles may be left where one may: one of each for a request that was disturbed.
func (v *verdict) limit() int {
	if v.lasts {
		return 4
	}
	return 2
}

func (m *matrix) note(f fault, phase string, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := f.name + "/" + phase
	if m.outcomes[key] == nil {
		m.outcomes[key] = map[outcome]int{}
	}
	m.outcomes[key][o]++
}

// table prints how the runs ended, a line each fault.
func (m *matrix) table() string {
	var b strings.Builder
	columns := []string{"login", "issue", "issue, borrowed", "renew", "revoke", "shorten", "look up", "close"}
	fmt.Fprintf(&b, "%-34s", "")
	for _, c := range columns {
		fmt.Fprintf(&b, "%-19s", c)
	}
	for _, f := range m.faults {
		fmt.Fprintf(&b, "\n%-34s", f.name)
		for _, c := range columns {
			var parts []string
			for _, o := range []outcome{survived, told, refused} {
				if n := m.outcomes[f.name+"/"+c][o]; n > 0 {
					parts = append(parts, fmt.Sprintf("%s %d", o, n))
				}
			}
			fmt.Fprintf(&b, "%-19s", strings.Join(parts, ", "))
		}
	}
	return b.String()
}
