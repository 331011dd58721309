package guard

import (
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/with-creds/with-creds/providers"
)

// A message is one thing the run tells its guard. Exactly one field besides Seq is set.
type message struct {
	Seq     uint64           `json:"seq"` // acknowledged when the message would outlive both processes (the journal is on disk)
	Hello   *hello           `json:"hello,omitempty"`
	Session *session         `json:"session,omitempty"`
	Lease   *providers.Lease `json:"lease,omitempty"` // known, changed, or about to be
	Pending *pending         `json:"pending,omitempty"`
	Gone    string           `json:"gone,omitempty"`   // Lease.Key
	Closed  string           `json:"closed,omitempty"` // session id
	Command *Command         `json:"command,omitempty"`
	Dir     string           `json:"dir,omitempty"`  // of private files, to be removed whole
	File    string           `json:"file,omitempty"` // a private file elsewhere (--env-file)
	Conn    *connection      `json:"conn,omitempty"` // a descriptor comes with it, unless it says that the connection was closed
	Done    bool             `json:"done,omitempty"`
}

type hello struct {
	Run     string            `json:"run"`
	Process *instance         `json:"process,omitempty"` // the run's
	Journal string            `json:"journal,omitempty"` // directory; empty: none
	Env     map[string]string `json:"env,omitempty"`     // proxies and certificate paths for the network; may hold a secret
}

type session struct {
	ID      string            `json:"id"`
	Handoff providers.Handoff `json:"handoff"`
	Own     *providers.Lease  `json:"own,omitempty"`
}

type pending struct {
	Session  string `json:"session"`
	Requests int    `json:"requests"`
}

// A connection is a socket to a server, which the guard keeps a duplicate of so that the server goes on with a request whose process was killed.
type connection struct {
	Session string `json:"session"`
	ID      int    `json:"id"`
	Closed  bool   `json:"closed,omitempty"`
}

// A Command is the wrapped command's process, named so that a reused number is not mistaken for it.
type Command struct {
	PID   int    `json:"pid"`
	Group int    `json:"group"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/PID/stat
}

// state is all that was told and still matters. Both processes keep one: the guard to act on, the run to tell a new guard when
// the first was lost.
type state struct {
	hello    hello
	sessions map[string]*session
	pending  map[string]int
	leases   map[string]providers.Lease
	command  *Command
	dirs     []string
	files    []string
	done     bool
	conns    map[connection]*os.File // in the guard's process alone
}

func newState() *state {
	return &state{sessions: map[string]*session{}, pending: map[string]int{}, leases: map[string]providers.Lease{}, conns: map[connection]*os.File{}}
}

// apply takes a message into account.
func (s *state) apply(m message) {
	switch {
	case m.Hello != nil:
		s.hello = *m.Hello
	case m.Session != nil:
		s.sessions[m.Session.ID] = m.Session
	case m.Lease != nil:
		s.leases[m.Lease.Key()] = *m.Lease
	case m.Pending != nil:
		s.pending[m.Pending.Session] = m.Pending.Requests
	case m.Gone != "":
		delete(s.leases, m.Gone)
	case m.Closed != "":
		delete(s.sessions, m.Closed)
		delete(s.pending, m.Closed)
	case m.Command != nil:
		s.command = m.Command
	case m.Dir != "":
		if !slices.Contains(s.dirs, m.Dir) {
			s.dirs = append(s.dirs, m.Dir)
		}
	case m.File != "":
		s.files = append(s.files, m.File)
	case m.Done:
		s.done = true
	}
}

// messages tells the whole state to somebody who knows nothing.
func (s *state) messages() []message {
	all := []message{{Hello: &s.hello}}
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		all = append(all, message{Session: s.sessions[id]})
		if n := s.pending[id]; n > 0 {
			all = append(all, message{Pending: &pending{id, n}})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.leases)) {
		l := s.leases[key]
		all = append(all, message{Lease: &l})
	}
	if s.command != nil {
		all = append(all, message{Command: s.command})
	}
	for _, dir := range s.dirs {
		all = append(all, message{Dir: dir})
	}
	for _, file := range s.files {
		all = append(all, message{File: file})
	}
	return all
}

// encode is a message as it crosses the socket: one line of JSON.
func (m message) encode() []byte {
	line, err := json.Marshal(m)
	if err != nil {
		panic(err) // only a Handoff that is not JSON can cause it: a provider's mistake
	}
	return append(line, '\n')
}

// An ack says that everything up to Seq is known and journalled.
type ack struct {
	Seq uint64 `json:"ack"`
}
