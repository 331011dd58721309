package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/lease"
)

// Serve is the guard's whole life: it listens on the socket (descriptor 3 of the process) until the run says that it is done or
// is gone, and in the latter case ends all that the run held. It returns when nothing is left, or when what is left has expired;
// the journal stays behind only in the case of an error, and says which.
func Serve(socket *os.File, registry map[string]providers.Provider) error {
	ignoreSignals()
	s, j, err := listen(socket)
	if err == nil && !s.done {
		err = s.takeOver(registry, j)
	}
	if err != nil {
		j.write(entry{Failed: err.Error()})
		return err
	}
	j.remove()
	return nil
}

// listen takes the run's messages into account until it says that it is done or is gone.
func listen(socket *os.File) (*state, *journal, error) {
	s, j := newState(), &journal{}
	from := &reader{socket: socket}
	for in := bufio.NewReaderSize(from, 64<<10); !s.done; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break // the run is gone; a line cut short was never relied upon
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			return s, j, errors.New("guard: a message of another version")
		}
		s.apply(m)
		if m.Conn != nil {
			s.connect(*m.Conn, from)
		}
		if m.Hello != nil {
			for name, value := range m.Hello.Env {
				os.Setenv(name, value)
			}
			j = newJournal(m.Hello.Journal, m.Hello.Run, m.Hello.Process)
		}
		j.note(m)
		if in.Buffered() == 0 { // one flush and one answer for all that has come
			j.flush()
			answer, _ := json.Marshal(ack{m.Seq})
			_, _ = socket.Write(append(answer, '\n')) // an error shows at the next read
		}
	}
	return s, j, nil //nolint:nilerr // an error of the socket is how a run that died is known
}

// connect keeps or lets go of a duplicate of a connection.
func (s *state) connect(c connection, from *reader) {
	closed := c.Closed
	c.Closed = false
	if f := s.conns[c]; closed && f != nil {
		f.Close()
		delete(s.conns, c)
	}
	if !closed {
		s.conns[c] = from.take()
	}
}

// inherited are the connections of a session.
func (s *state) inherited(session string) []*os.File {
	var conns []*os.File
	for c, f := range s.conns {
		if c.Session == session && f != nil {
			conns = append(conns, f)
		}
	}
	return conns
}

// takeOver ends all that a run left behind: what uses the credentials, their files, and the credentials.
func (s *state) takeOver(registry map[string]providers.Provider, j *journal) error {
	var work errgroup.Group
	work.Go(func() error {
		_ = s.removeFiles() // at once; and again when nobody is left who writes to them
		return errors.Join(endProcesses(s.hello.Run, s.command), s.removeFiles())
	})
	book := lease.NewBook(striking{j})
	for id, told := range s.sessions {
		work.Go(func() error {
			session, err := resume(registry, told.Handoff, s.hello.Run)
			if err != nil {
				return err
			}
			if c, ok := session.(providers.Connected); ok {
				c.Inherit(s.inherited(id))
			}
			return s.endSession(book, book.Adopt(id, session, s.pending[id]))
		})
	}
	return work.Wait()
}

// removeFiles removes what was private.
func (s *state) removeFiles() error {
	var errs []error
	for _, dir := range s.dirs {
		errs = append(errs, bind.RemoveDir(dir))
	}
	for _, file := range s.files {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// resume makes the session of a handoff anew.
func resume(registry map[string]providers.Provider, h providers.Handoff, run string) (providers.Session, error) {
	p, ok := registry[h.Provider]
	if !ok {
		return nil, fmt.Errorf("guard: no provider %q", h.Provider)
	}
	return p.Resume(h, providers.Settings{Run: run})
}

// endSession revokes a session's leases and then its login, until each is gone or has expired.
func (s *state) endSession(book *lease.Book, session *lease.Session) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.longest(session.ID))
	defer cancel()
	for _, l := range s.leases {
		if l.Session == session.ID {
			book.Hold(l)
		}
	}
	for _, o := range (lease.Revoker{Book: book, Patient: true}).Session(ctx, session) {
		if !o.Confirmed() {
			return fmt.Errorf("guard: %s: %w", o.Lease.ID, o.Err)
		}
	}
	return nil
}

// Patience is how long a guard goes on with a lease whose end is not known.
const Patience = time.Hour

// longest is how long revoking is worth trying: until the last lease has expired by itself.
func (s *state) longest(session string) time.Duration {
	const margin = time.Minute // a machine that is busy needs some
	longest := margin
	if s.pending[session] > 0 && s.sessions[session].Own == nil {
		longest = Patience // nothing but the lease itself ends what such a request has created
	}
	for _, l := range s.leases {
		switch {
		case l.Session != session:
		case l.Expires.IsZero():
			longest = max(longest, Patience)
		default:
			longest = max(longest, time.Until(l.Expires)+margin)
		}
	}
	if own := s.sessions[session].Own; own != nil && !own.Expires.IsZero() {
		longest = max(longest, time.Until(own.Expires)+margin)
	}
	return longest
}

// striking strikes what is gone out of the journal.
type striking struct{ *journal }

func (s striking) Gone(l providers.Lease)                              { s.note(message{Gone: l.Key()}) }
func (s striking) Session(string, providers.Handoff, *providers.Lease) {}
func (s striking) Lease(providers.Lease)                               {}
func (s striking) Pending(string, int)                                 {}
func (s striking) Closed(id string)                                    { s.note(message{Closed: id}) }
func (s striking) Works() bool                                         { return false }
