//go:build linux

package main

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// A source is one kind of credential as a trial uses it: how it is asked for, and how to look at the server for what is left of it.
// Every source is isolated from all others, so what is there is the trial's.
type source struct {
	specs []string          // each bound to names of its own
	env   map[string]string // the login to issue with
	left  func() []string   // what there is on the server at this moment
	// logins lists the logins of with-creds' own that live at this moment; nil: there are none.
	logins func() []string
	// leashed reports whether all there is ends within the leash; nil: it does from the beginning.
	leashed func(leash time.Duration) bool
	// discard removes and counts what is left on the server when answers can be lost, see trial.lostAnswers; nil: none can.
	discard func() int
	// usable reports whether the server lets one in with what was issued.
	usable func(t testing.TB, username, password string) bool
	via    *proxy // what it is reached through; nil: directly
}

// An order is what is wanted of a source.
type order struct {
	n     int           // credentials
	first int           // the number in the first one's variables
	files bool          // each with its password in a private file too
	life  time.Duration // after which nothing extends them, where the source knows such a thing; 0: far off
}

// specs are the credentials' bindings.
func (o order) specs(from string) []string {
	var all []string
	for i := o.first; i < o.first+o.n; i++ {
		all = append(all, o.spec(from, i))
	}
	return all
}

func (o order) spec(from string, i int) string {
	spec := fmt.Sprintf("%s USER_%d=username PASSWORD_%d=password", from, i, i)
	if o.files {
		spec += fmt.Sprintf(" FILE_%d=@password", i)
	}
	return spec
}

// A server is a row of the tables that the tests go through: where its sources come from, and the moments of a run that a proxy can find
// in the traffic with it.
type server struct {
	name    string
	address string
	secrets []string      // variables of its sources' env that hold one
	log     func() string // what the server has written
	// source makes an isolated source, reached at that address: the server's, or a proxy's.
	source  func(t testing.TB, address string, o order) *source
	moments []moment
	slow    bool // proving that a credential is gone takes more than a second
	// nameless: a credential is known by nothing before the answer has come, so that one whose answer is lost with the run lives on; nor can it be made to end sooner.
	nameless bool
}

// direct is a source of n credentials, reached without a proxy.
func (s server) direct(t testing.TB, n int) *source {
	t.Helper()
	return s.source(t, s.address, order{n: n})
}

// through is a source reached through a proxy that holds nothing up but knows what has passed.
func (s server) through(t testing.TB, o order) *source {
	t.Helper()
	return s.behind(t, newProxy(t, s.address, moment{holds: "(nothing)"}), o)
}

// behind is a source reached through that proxy.
func (s server) behind(t testing.TB, p *proxy, o order) *source {
	t.Helper()
	src := s.source(t, p.address, o)
	src.via = p
	return src
}

// A moment is a request (or the answer to it) at which a proxy holds a run up.
type moment struct {
	name   string
	holds  string // what the request contains; empty: the first there is
	nth    int    // which of those; 0: the first
	answer bool   // hold the answer, not the request
	cut    bool   // cut the connection instead of holding it up

	// lasting: the command is running then, and must last. It takes some seconds for a moment to come with these:
	lasting bool
	leash   time.Duration // 0: the default
	order   order         // n is 1

	joined bool // what is under way is lost with a run that is killed, and waited for by one that is stopped; see server.nameless
}

// servers starts every server there is a row for. They serve all sources of a test.
func servers(t testing.TB) []server {
	t.Helper()
	pg, cluster := postgresRow(t)
	return append([]server{pg, mysqlRow(t), commandRow(t), githubRow(t)}, vaultRows(t, cluster)...)
}

// anyServer is the quickest one, for what does not depend on the server.
func anyServer(t testing.TB) server {
	t.Helper()
	pg, _ := postgresRow(t)
	return pg
}

var sourcesSoFar atomic.Int64

// newSourceName is a name that no other source of this process has, to which a digit cannot be appended.
func newSourceName() string { return fmt.Sprintf("k%dx", sourcesSoFar.Add(1)) }
