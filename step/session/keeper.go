package session

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/receipt"
)

// A Keeper is the keeper's side: it stands between a run that holds credentials and those who use them. It is an io.Writer for the run's log, a line a
// Write.
type Keeper struct {
	start    *pipe
	until    chan string
	listener net.Listener
	longest  time.Duration // that giving back may take

	mu       sync.Mutex
	attached bool     // start listens
	kept     bool     // start has passed on what it was given: the job knows of the session
	ending   string   // why; empty: it is not
	lines    []string // of the log since start has gone, for stop
	lost     int      // lines that did not fit
	stops    []*pipe  // who waits for the end
	held     *step.Held
}

// maxLines bounds what is kept for stop: renewals that fail for hours say so often.
const maxLines = 500

// Take is the beginning of a keeper's life: it reads the order off its socket.
func Take(socket *os.File) (*Keeper, Order, error) {
	k := &Keeper{start: newPipe(socket), until: make(chan string, 1), attached: true}
	m, err := k.start.receive()
	if err == nil && m.Order == nil {
		err = errors.New("no order")
	}
	if err != nil {
		return nil, Order{}, fmt.Errorf("keeper: %w", err)
	}
	go k.listenToStart()
	return k, *m.Order, nil
}

// listenToStart ends the session unless start says that it has passed on what it was given.
func (k *Keeper) listenToStart() {
	for {
		m, err := k.start.receive()
		switch {
		case err != nil:
			k.detach()
			k.GiveBack("start died")
			return
		case m.Abandon != "":
			k.GiveBack(m.Abandon)
		case m.Kept:
			k.keep()
			k.start.Close()
			return
		}
	}
}

func (k *Keeper) keep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attached, k.kept = false, true
}

func (k *Keeper) detach() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attached = false
}

// GiveBack ends the session for a reason. It may be called more than once; the first counts.
func (k *Keeper) GiveBack(why string) {
	select {
	case k.until <- why:
	default:
	}
}

// Write takes one line of the log: to start while it listens, and otherwise kept for stop.
func (k *Keeper) Write(text []byte) (int, error) {
	line := strings.TrimRight(string(text), "\n")
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.attached:
		_ = k.start.send(message{Line: &line}) // start may have died a moment ago
	case len(k.stops) > 0:
		for _, s := range k.stops {
			_ = s.send(message{Line: &line})
		}
	case len(k.lines) < maxLines:
		k.lines = append(k.lines, line)
	default:
		k.lost++
	}
	return len(text), nil
}

// Hold is what a run needs to hold its credentials for this keeper's clients. longest is how long it may take to give them back.
func (k *Keeper) Hold(longest time.Duration) *step.Hold {
	k.longest = longest
	return &step.Hold{Ready: k.ready, Until: k.until, Ending: k.end, Keep: []string{socketName}}
}

// end closes the session to those who ask for credentials. Those who come to stop it wait for its end.
func (k *Keeper) end(why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ending = cmp.Or(why, "it was given back")
}

func (k *Keeper) isEnding() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ending != ""
}

// ready opens the session for its clients, and gives start what it waits for.
func (k *Keeper) ready(held step.Held) error {
	Forget(filepath.Dir(held.Dir))
	var listener *net.UnixListener
	err := atSocket(held.Dir, func(path string) (err error) {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if err != nil {
		return fmt.Errorf("opening the session's socket: %w", err)
	}
	listener.SetUnlinkOnClose(false) // End removes it
	k.mu.Lock()
	k.held, k.listener = &held, listener
	k.mu.Unlock()
	go k.serve(listener)
	grant := k.grant()
	if err := k.start.send(message{Grant: &grant}); err != nil {
		return errors.New("start died")
	}
	return nil
}

func (k *Keeper) grant() Grant {
	h := k.held
	g := Grant{Session: h.Dir, Run: h.Run, Secrets: h.Secrets(), Providers: h.Providers, NotInherited: h.NotInherited}
	for _, v := range h.Values() {
		g.Values = append(g.Values, Value{Name: v.Name, Value: v.Variable(), Secret: v.Secret && !v.File, Lasts: v.Lasts || v.File})
	}
	return g
}

func (k *Keeper) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go k.client(newPipe(conn.(*net.UnixConn)))
	}
}

// client answers one connection.
func (k *Keeper) client(p *pipe) {
	stopping := false
	defer func() {
		if !stopping { // End answers and closes those
			p.Close()
		}
	}()
	for {
		m, err := p.receive()
		switch {
		case err != nil:
			return
		case m.Ask && k.isEnding():
			return
		case m.Ask:
			g := k.grant()
			if p.send(message{Grant: &g}) != nil {
				return
			}
		case m.Stop:
			stopping = true
			k.stop(p)
			_, _ = io.Copy(io.Discard, p) // whether it waits or goes away, the session ends
			return
		}
	}
}

// stop tells what was said since start, and ends the session.
func (k *Keeper) stop(p *pipe) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = p.send(message{Within: k.longest})
	for _, line := range k.said() {
		_ = p.send(message{Line: &line})
	}
	k.lines, k.lost = nil, 0
	k.stops = append(k.stops, p)
	k.GiveBack("it was stopped")
}

// said are the lines of the log that nobody was told.
func (k *Keeper) said() []string {
	if k.lost == 0 {
		return k.lines
	}
	return append(slices.Clone(k.lines), fmt.Sprintf("with-creds: and %d lines more", k.lost))
}

// End tells whoever waits how the run ended, and leaves word for those who come later.
func (k *Keeper) End(code int, r receipt.Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	end := End{Code: code, Receipt: r, Why: k.ending}
	switch {
	case k.held == nil:
	case k.kept && leaveWord(k.held.Dir, Over{Session: k.held.Dir, End: end, Lines: k.said()}) == nil:
		_ = os.Remove(filepath.Join(k.held.Dir, socketName)) // with the word beside it, whether it is there makes no difference
	default:
		_ = bind.RemoveDir(k.held.Dir) // nothing secret is in it
	}
	if k.listener != nil {
		k.listener.Close()
	}
	if k.attached {
		_ = k.start.send(message{End: &end})
	}
	for _, p := range k.stops {
		_ = p.send(message{End: &end}) // one that did not wait is not told
		p.Close()
	}
}
