//go:build linux

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestChaosKillsAtRandomMomentsLeaveNothing kills runs in any way at any moment: 1 to 4 credentials, of PostgreSQL, of Vault or of both, by every kind of login,
// with and without private files, some so short-lived that they are replaced meanwhile. WITH_CREDS_CHAOS_N is the number of kills.
func TestChaosKillsAtRandomMomentsLeaveNothing(t *testing.T) {
	kills := 40
	if n, err := strconv.Atoi(os.Getenv("WITH_CREDS_CHAOS_N")); err == nil {
		kills = n
	}
	began := time.Now()
	c := newChaos(t)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for c.next(kills) {
				for !c.kill(c.draw()) {
				}
			}
		})
	}
	workers.Wait()
	c.unknownLogins()
	t.Logf("%v\nseed %d, %s a kill", c, c.seed, (time.Since(began) / time.Duration(kills)).Round(time.Millisecond))
	if c.leaks > 0 {
		t.Errorf("%d leaks", c.leaks)
	}
	if c.lost > 1+kills/200 {
		t.Errorf("%d answers of a borrowed token were lost: that is no rare instant", c.lost)
	}
}

// chaos is what all workers share.
type chaos struct {
	t       testing.TB
	servers []server
	ways    []way

	mu      sync.Mutex
	seed    uint64
	random  *rand.Rand
	pool    map[wanted][]*source // not in use
	begun   int
	took    []time.Duration // from the kill to the last trace
	byStage map[string]int
	byWay   map[string]int
	leaks   int
	lost    int       // see trial.lostAnswers
	unknown []*source // whose run was killed before it had used its login, see trial.killedAtLogin
}

// wanted is a kind of source.
type wanted struct {
	server int // of chaos.servers
	order  order
}

// A death is one draw.
type death struct {
	sources []wanted
	way     way
	command time.Duration // how long the command runs
	after   time.Duration // from the start to the kill
}

func newChaos(t testing.TB) *chaos {
	t.Helper()
	c := &chaos{
		t: t, servers: slices.DeleteFunc(servers(t), func(s server) bool { return s.nameless }), ways: waysToKill(), seed: rand.Uint64(),
		pool: map[wanted][]*source{}, byStage: map[string]int{}, byWay: map[string]int{},
	}
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	return c
}

// next counts the kills; false: there have been enough.
func (c *chaos) next(kills int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
	if c.begun%100 == 0 {
		c.t.Logf("%d kills begun, %d leaks", c.begun, c.leaks)
	}
	return c.begun <= kills
}

// draw decides on one.
func (c *chaos) draw() death {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := death{way: c.ways[c.random.IntN(len(c.ways))]}
	o := order{n: 1 + c.random.IntN(4), files: c.random.IntN(2) == 0}
	d.command = time.Duration(c.random.IntN(60)) * time.Millisecond
	d.after = time.Duration(c.random.IntN(220)) * time.Millisecond
	if c.random.IntN(10) == 0 { // replaced meanwhile
		o.life, o.files = shortLife, true
		d.command = 5 * time.Second
		d.after = time.Duration(c.random.IntN(5500)) * time.Millisecond
	}
	const postgres = 0
	first := wanted{c.random.IntN(len(c.servers)), o}
	if o.n > 1 && first.server != postgres && c.random.IntN(3) == 0 { // a login has one Vault, but a run may have other logins beside it
		first.order.n--
		beside := o
		beside.n, beside.first = 1, first.order.n
		d.sources = append(d.sources, wanted{postgres, beside})
	}
	if c.servers[first.server].slow && c.random.IntN(2) == 0 {
		d.after = time.Duration(c.random.IntN(1500)) * time.Millisecond
	}
	d.sources = append(d.sources, first)
	return d
}

// kill makes one run, kills it and waits until nothing is left. It reports whether the run was still there to be killed.
func (c *chaos) kill(d death) bool {
	var parts []*source
	for _, w := range d.sources {
		parts = append(parts, c.take(w))
	}
	tr := newTrial(c.t, together(parts), nil, "sh", "-c", fmt.Sprintf("touch ran; sleep %.3f; touch over", d.command.Seconds()))
	d.way.begin(tr)
	time.Sleep(d.after)
	stage := tr.stage(parts)
	d.way.kill(tr)
	killed := time.Now()
	lost := tr.lostAnswers()
	left := tr.stillLeft(cleanUpLimit)
	took := time.Since(killed)
	if len(left) > 0 {
		c.t.Errorf("%s, %s, %v after the start; left after %v:\n  %s\nspecs %q\njournal:\n%s\nstderr:\n%s",
			d.way.name, stage, d.after, cleanUpLimit, strings.Join(left, "\n  "), tr.source.specs, tr.journal(), tr.stderr)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += lost
	switch {
	case len(left) > 0:
		c.leaks++ // and its sources are not used again
	case tr.killedAtLogin(): // likewise: a login that nobody knows would be taken for the next run's
		c.unknown = append(c.unknown, tr.source)
	default:
		for i, w := range d.sources {
			c.pool[w] = append(c.pool[w], parts[i])
		}
	}
	if stage == ended {
		return false
	}
	c.took = append(c.took, took)
	c.byStage[stage]++
	c.byWay[d.way.name]++
	return true
}

const ended = "ended"

// journal is what the run's journal holds, if there is one.
func (tr *trial) journal() string {
	var all strings.Builder
	for _, path := range journals(tr.path("home")) {
		text, _ := os.ReadFile(path) // one that is gone by now holds nothing
		all.Write(text)
	}
	return all.String()
}

// unknownLogins counts the logins that nobody knows, and sees that nothing hangs on them.
func (c *chaos) unknownLogins() {
	n := 0
	for _, s := range c.unknown {
		n += len(s.logins())
		if left := s.left(); len(left) > 0 {
			c.leaks++
			c.t.Errorf("under a login that nobody knows: %q", left)
		}
	}
	c.t.Logf("%d runs were killed before they had used their login, and left %d that nobody knows and on which nothing hangs", len(c.unknown), n)
}

// stage is where a run is, as far as can be seen from outside.
func (tr *trial) stage(parts []*source) string {
	has := func(name string) bool {
		_, err := os.Stat(tr.path(name))
		return err == nil
	}
	select {
	case <-tr.ended:
		return ended
	default:
	}
	asked := slices.ContainsFunc(parts, func(s *source) bool { return s.via.requested(reading) || s.via.requested("create role") })
	switch {
	case has("over"):
		return "run its command"
	case has("ran"):
		return "started its command"
	case asked:
		return "asked for a credential"
	case len(tr.guards()) > 0:
		return "started its guard"
	}
	return "begun"
}

// take takes a source of that kind out of the pool, or makes one.
func (c *chaos) take(w wanted) *source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if free := c.pool[w]; len(free) > 0 {
		c.pool[w] = free[1:]
		free[0].via.forget()
		return free[0]
	}
	return c.servers[w.server].through(c.t, w.order)
}

// together makes one source of several, of which one at most has a login of the run's own.
func together(parts []*source) *source {
	if len(parts) == 1 {
		return parts[0]
	}
	all := &source{env: map[string]string{}}
	for _, p := range parts {
		all.specs = append(all.specs, p.specs...)
		maps.Copy(all.env, p.env)
		if p.logins != nil {
			all.logins, all.via = p.logins, p.via
		}
		if p.discard != nil {
			all.discard = p.discard
		}
	}
	all.left = func() []string {
		var left []string
		for _, p := range parts {
			left = append(left, p.left()...)
		}
		return left
	}
	return all
}

// String is the account.
func (c *chaos) String() string {
	took := slices.Sorted(slices.Values(c.took))
	quantile := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d kills, %d leaks, %d answers of a borrowed token lost; clean-up p50 %v, p99 %v, max %v\nkilled when it had just: %s\nkilled by: %s",
		len(took), c.leaks, c.lost, quantile(0.5), quantile(0.99), quantile(1), counts(c.byStage), counts(c.byWay))
}

func counts(by map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		all = append(all, fmt.Sprintf("%s %d", name, by[name]))
	}
	return strings.Join(all, ", ")
}
