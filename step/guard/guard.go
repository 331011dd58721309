// Package guard is the second process: it revokes when the first cannot.
//
// # What it promises
//
//   - It is started before the first credential is asked for, and is told of everything before it can exist where a name is
//     known beforehand, and otherwise within microseconds of the answer.
//   - It listens to nobody but its parent, over an inherited socket. Secrets needed to revoke cross that socket alone: never
//     argv, environment or disk.
//   - When the socket closes without "done" it kills the command's process group and whatever else carries the run's mark,
//     removes private files, and revokes until every lease is gone or has expired by itself. A refusal is waited out like any other failure, with ever longer pauses:
//     an administrator who may not log in may again in a moment. What cannot be revoked by its nature is left at once.
//   - It has its own session, no terminal, none of the parent's standard streams, an empty environment (so that a CI agent
//     that looks for a job's processes by a cookie does not find it), and ignores every signal that can be ignored.
//   - When it dies itself, the run notices, starts another and tells it all. When that fails the run says so and goes on.
//
// # What it cannot do
//
// Killed together with the run, it revokes nothing: then the leash ends what was issued, and the journal lets
// `with-creds sweep` finish. It finds the command's orphans by process group, by descent and by the variable
// WITH_CREDS_RUN; a process that left the group, was orphaned and cleared its environment is not found. A CI agent that kills everything in a
// container or a cgroup kills the guard too.
//
// There is no guard on Windows.
package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Arg is the first argument by which the binary knows that it is to be a guard.
const Arg = "guard"

// program is what a process started here is called, whatever the name of the binary.
const program = "with-creds"

// RunVariable marks the command's processes, so that the guard finds those that left the command's process group.
const RunVariable = "WITH_CREDS_RUN"

// Options say how a guard is started.
type Options struct {
	Run     string
	Exe     string            // the binary; empty: this very one, also when it was replaced on disk since
	Journal string            // directory for the journal; empty: none
	Env     map[string]string // what its network needs of the environment; sent over the socket
	Warnf   func(format string, args ...any)
}

// A Guard is the run's side of it. It implements lease.Recorder and is safe for concurrent use. A nil Guard guards nothing.
type Guard struct {
	o Options

	mu        sync.Mutex
	state     *state
	conns     map[connection]syscall.Conn
	seq       uint64
	process   *os.Process
	socket    *os.File
	pids      []int
	connected int // connections there have been
	losses    losses
	over      bool
	acked     uint64
	changed   chan struct{} // closed and replaced whenever acked or over changes
}

// mostLosses within a time that is remembered bound how often a lost guard is replaced: something that kills each of them will kill the next as well. One lost now and
// then, in a session of days, is another matter.
const (
	mostLosses = 10
	remembered = 10 * time.Minute
)

// losses are when a guard was lost lately.
type losses []time.Time

// another notes one more, and reports whether there were so many that the next would be lost, too.
func (l *losses) another(now time.Time) (tooMany bool) {
	*l = append(slices.DeleteFunc(*l, func(at time.Time) bool { return now.Sub(at) > remembered }), now)
	return len(*l) > mostLosses
}

// Start starts a guard. It returns once the process exists; what it is told meanwhile waits for it in the socket.
func Start(o Options) (*Guard, error) {
	if err := keepable(o.Journal); err != nil && o.Warnf != nil {
		o.Warnf("no journal: %v; should this machine stop, with-creds sweep will not know what was left", err)
	}
	g := &Guard{o: o, state: newState(), conns: map[connection]syscall.Conn{}, changed: make(chan struct{})}
	g.state.apply(message{Hello: &hello{Run: o.Run, Process: thisProcess(), Journal: o.Journal, Env: o.Env}})
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.start(); err != nil {
		return nil, err
	}
	return g, nil
}

// start spawns the process and tells it all there is to know. The caller holds mu.
func (g *Guard) start() error {
	exe := g.o.Exe
	if exe == "" {
		exe = selfExe
	}
	process, socket, err := spawn(exe, g.o.Run)
	if err != nil {
		return fmt.Errorf("starting the guard: %w", err)
	}
	g.process, g.socket = process, socket
	g.pids = append(g.pids, process.Pid)
	for _, m := range g.state.messages() {
		g.write(m)
	}
	for c, raw := range g.conns {
		g.writeConn(c, raw)
	}
	go g.watch(process, socket)
	return nil
}

// watch reads acknowledgements until the guard is lost, and replaces it unless the run is over.
func (g *Guard) watch(process *os.Process, socket *os.File) {
	for in := json.NewDecoder(socket); ; {
		var a ack
		if err := in.Decode(&a); err != nil {
			break
		}
		g.mu.Lock()
		g.acked = max(g.acked, a.Seq)
		g.wake()
		g.mu.Unlock()
	}
	// The socket closed: the guard has ended, or is about to.
	g.mu.Lock()
	if g.over {
		g.mu.Unlock()
		return
	}
	socket.Close()
	g.mu.Unlock()
	process.Kill() // one that closed its socket and lives on would be of no use
	_, _ = process.Wait()

	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	err := errors.New("it is killed again and again")
	if !g.losses.another(time.Now()) {
		if err = g.start(); err == nil {
			g.warnf("the guard was lost; another one is in charge (process %d)", g.process.Pid)
			return
		}
	}
	g.over = true
	g.wake()
	g.warnf("the guard was lost and cannot be replaced (%v): going on; should this process be killed, credentials end with the leash only", err)
}

// tell takes a message into the state and sends it. An error of sending is watch's to see.
func (g *Guard) tell(m message) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.apply(m)
	if !g.over {
		g.write(m)
	}
}

// write sends one message. The caller holds mu. A guard that does not take it (stopped, or lost) is killed and so replaced: it
// must not hold up the run.
func (g *Guard) write(m message) { g.send(m, nil) }

// writeConn sends a duplicate of a connection. One that has been closed meanwhile is nothing to keep. The caller holds mu.
func (g *Guard) writeConn(c connection, raw syscall.Conn) {
	if control, err := raw.SyscallConn(); err == nil {
		_ = control.Control(func(fd uintptr) { g.send(message{Conn: &c}, []int{int(fd)}) })
	}
}

func (g *Guard) send(m message, descriptors []int) {
	g.seq++
	m.Seq = g.seq
	_ = g.socket.SetWriteDeadline(time.Now().Add(time.Second))
	if err := sendWith(g.socket, m.encode(), descriptors); err != nil {
		g.process.Kill()
	}
}

// wake lets Flush look again. The caller holds mu.
func (g *Guard) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Guard) warnf(format string, args ...any) {
	if g.o.Warnf != nil {
		g.o.Warnf(format, args...)
	}
}

// Session tells of a login, with all that is needed to go on with it.
func (g *Guard) Session(id string, h providers.Handoff, own *providers.Lease) {
	g.tell(message{Session: &session{id, h, own}})
}

// Lease tells of a lease that exists, has changed, or is about to exist.
func (g *Guard) Lease(l providers.Lease) { g.tell(message{Lease: &l}) }

// Pending tells how many requests of a session are unanswered.
func (g *Guard) Pending(id string, requests int) { g.tell(message{Pending: &pending{id, requests}}) }

// Gone tells that a lease is known to be gone.
func (g *Guard) Gone(l providers.Lease) { g.tell(message{Gone: l.Key()}) }

// Closed tells that a session has nothing left to end.
func (g *Guard) Closed(id string) { g.tell(message{Closed: id}) }

// Command tells which process to kill.
func (g *Guard) Command(c Command) { g.tell(message{Command: &c}) }

// Dir tells of a directory of private files, before anything is in it.
func (g *Guard) Dir(path string) { g.tell(message{Dir: path}) }

// File tells of a private file elsewhere, before it is made.
func (g *Guard) File(path string) { g.tell(message{File: path}) }

// Hold gives the guard a duplicate of a session's connection; what it returns takes it back.
func (g *Guard) Hold(session string, raw syscall.Conn) (release func()) {
	if g == nil {
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.connected++
	c := connection{Session: session, ID: g.connected}
	g.conns[c] = raw
	if !g.over {
		g.writeConn(c, raw)
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, c)
		if !g.over {
			c.Closed = true
			g.write(message{Conn: &c})
		}
	}
}

// Flush waits until the guard has acknowledged all it was told, or the time is over, or there is no guard any more.
// It reports whether all was acknowledged.
func (g *Guard) Flush(atMost time.Duration) bool {
	if g == nil {
		return false
	}
	timeout := time.After(atMost)
	for {
		g.mu.Lock()
		done, over, changed := g.acked >= g.seq, g.over, g.changed
		g.mu.Unlock()
		if done || over {
			return done
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// Is reports whether pid is, or was, a guard of this run: not a process of the command's.
func (g *Guard) Is(pid int) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.pids, pid)
}

// Works reports whether there is a guard, which will go on with what it was told of.
func (g *Guard) Works() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.over
}

// Done dismisses the guard: nothing is left to give back. It does not wait for it to end.
func (g *Guard) Done() { g.end(message{Done: true}) }

// Leave lets go of the guard without dismissing it: it revokes what the run could not, and ends by itself.
func (g *Guard) Leave() { g.end() }

// end sends the last words and lets go, in one step: a guard that ends at once upon them must not be taken for lost.
func (g *Guard) end(last ...message) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	for _, m := range last {
		g.state.apply(m)
		g.write(m)
	}
	g.over = true
	g.wake()
	g.socket.Close()
}
