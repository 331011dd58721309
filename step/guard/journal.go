package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A journal is a file of one run: lines of JSON that say which leases and private files there are, no secret. It is there from the
// first of them that is told until all are known to be gone, so that a power cut leaves what `with-creds sweep` needs. Its
// guard holds a lock on it (flock(2)), which nobody has to clean up: it ends with the process.
//
// The zero journal writes nothing. One that cannot write (no home directory) says nothing: the run does not depend on it, and the run has warned of it (see Start). What did not fit on a full disk is
// written, from where it was cut, with what comes next.
//
// A guard that takes the place of a lost one goes on below what that wrote, with a first line of its own: at no instant does the disk say less than it did.
type journal struct {
	mu     sync.Mutex
	path   string
	run    string
	parent *instance
	file   *os.File
	due    []byte // not yet written
	news   bool   // not yet on the disk
}

// An instance names a process beyond its number, which is used again.
type instance struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot; 0: not known
}

// thisProcess is the process that asks.
func thisProcess() *instance { return &instance{os.Getpid(), startTime(os.Getpid())} }

// lives reports whether the process is there; of one whose start is not known it is not said.
func (i *instance) lives() bool { return i != nil && i.Start != 0 && startTime(i.PID) == i.Start }

// entry is one line of the journal.
type entry struct {
	Schema  int              `json:"schema,omitempty"` // on the first line of each guard
	Run     string           `json:"run,omitempty"`
	Host    string           `json:"host,omitempty"`
	PID     int              `json:"pid,omitempty"` // of the guard that writes
	Start   uint64           `json:"start,omitempty"`
	Parent  *instance        `json:"parent,omitempty"` // the run, which lives on when its guard is lost and cannot be replaced
	Begun   time.Time        `json:"begun,omitzero"`
	Session string           `json:"session,omitempty"`
	Origin  string           `json:"origin,omitempty"`
	Lease   *providers.Lease `json:"lease,omitempty"`
	Own     *providers.Lease `json:"own,omitempty"`
	Gone    string           `json:"gone,omitempty"`
	Closed  string           `json:"closed,omitempty"`
	Dir     string           `json:"dir,omitempty"`    // of private files
	File    string           `json:"file,omitempty"`   // a private file elsewhere
	Failed  string           `json:"failed,omitempty"` // why the guard gave up
}

const (
	journalSchema = 1
	journalSuffix = ".journal"
)

// newJournal is the journal of a run; parent is the run's process, nil where that is not known.
func newJournal(dir, run string, parent *instance) *journal {
	if dir == "" {
		return &journal{}
	}
	return &journal{path: filepath.Join(dir, run+journalSuffix), run: run, parent: parent}
}

// keepable says why no journal can be kept in a directory, which it makes where it can.
func keepable(dir string) error {
	if dir == "" {
		return errors.New("there is no place for it: set XDG_STATE_HOME, or HOME")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("writing in %s: %w", dir, err)
	}
	return nil
}

// note writes what a message says of leases and files; the rest is not the journal's.
func (j *journal) note(m message) {
	switch {
	case m.Session != nil:
		j.write(entry{Session: m.Session.ID, Origin: m.Session.Handoff.Origin, Own: m.Session.Own})
	case m.Lease != nil:
		j.write(entry{Lease: m.Lease})
	case m.Gone != "":
		j.write(entry{Gone: m.Gone})
	case m.Closed != "":
		j.write(entry{Closed: m.Closed})
	case m.Dir != "":
		j.write(entry{Dir: m.Dir})
	case m.File != "":
		j.write(entry{File: m.File})
	}
}

func (j *journal) write(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.path == "" {
		return
	}
	if j.file == nil && !j.open() {
		j.path = ""
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		return
	}
	j.put(line)
}

// put writes a line, and what is due from before. The caller holds mu.
func (j *journal) put(line []byte) {
	j.due = append(append(j.due, line...), '\n')
	n, _ := j.file.Write(j.due) // the journal is a second line of defence: a full disk ends no run
	j.due = j.due[n:]
	j.news = true
}

// open makes the file, for this user alone, or takes up the one that a lost guard of the same run left. The caller holds mu.
func (j *journal) open() bool {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return false
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_APPEND | noFollow
	if _, err := Read(j.path); err == nil {
		j.due = []byte("\n") // its last line may have been cut short
	} else {
		how |= os.O_TRUNC
	}
	f, err := os.OpenFile(j.path, how, 0o600)
	if err != nil {
		return false
	}
	j.file = f
	host, _ := os.Hostname()
	self := thisProcess()
	_ = lock(f) // a file system without locks leaves the process's number to go by
	line, _ := json.Marshal(entry{Schema: journalSchema, Run: j.run, Host: host, PID: self.PID, Start: self.Start, Parent: j.parent, Begun: time.Now().UTC()})
	j.put(line)
	if dir, err := os.Open(filepath.Dir(j.path)); err == nil {
		_ = dir.Sync()
		dir.Close()
	}
	return true
}

// flush puts what was noted on the disk.
func (j *journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil && j.news {
		_ = j.file.Sync()
		j.news = false
	}
}

// remove takes the file away: nothing is left to sweep. There may be one that this guard has not opened: it took over from a lost one when there was nothing
// more to write.
func (j *journal) remove() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.path != "" {
		os.Remove(j.path)
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.path = nil, ""
}
