package guard

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A journal is a file of one run: lines of JSON that say which leases there are, no secret. It is there from the first lease
// that is told until all are known to be gone, so that a power cut leaves what `with-creds sweep` needs.
//
// The zero journal writes nothing. One that cannot write (no home directory, a full disk) says nothing: the run does not
// depend on it.
type journal struct {
	mu   sync.Mutex
	path string
	run  string
	file *os.File
	news bool // not yet on the disk
}

// entry is one line of the journal.
type entry struct {
	Schema  int              `json:"schema,omitempty"` // on the first line
	Run     string           `json:"run,omitempty"`
	Host    string           `json:"host,omitempty"`
	PID     int              `json:"pid,omitempty"` // of the guard that writes
	Start   uint64           `json:"start,omitempty"`
	Begun   time.Time        `json:"begun,omitzero"`
	Session string           `json:"session,omitempty"`
	Origin  string           `json:"origin,omitempty"`
	Lease   *providers.Lease `json:"lease,omitempty"`
	Own     *providers.Lease `json:"own,omitempty"`
	Gone    string           `json:"gone,omitempty"`
	Closed  string           `json:"closed,omitempty"`
}

const (
	journalSchema = 1
	journalSuffix = ".journal"
)

func newJournal(dir, run string) *journal {
	if dir == "" {
		return &journal{}
	}
	return &journal{path: filepath.Join(dir, run+journalSuffix), run: run}
}

// note writes what a message says of leases; the rest is not the journal's.
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
	_, _ = j.file.Write(append(line, '\n')) // the journal is a second line of defence: a full disk ends no run
	j.news = true
}

// open makes the file, for this user alone, or takes up the one that a lost guard of the same run left. The caller holds mu.
func (j *journal) open() bool {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return false
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|noFollow, 0o600)
	if err != nil {
		return false
	}
	j.file = f
	host, _ := os.Hostname()
	pid := os.Getpid()
	line, _ := json.Marshal(entry{Schema: journalSchema, Run: j.run, Host: host, PID: pid, Start: startTime(pid), Begun: time.Now().UTC()})
	_, _ = f.Write(append(line, '\n'))
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

// remove takes the file away: nothing is left to sweep.
func (j *journal) remove() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		os.Remove(j.path)
		j.file.Close()
		j.file, j.path = nil, ""
	}
}

// A Remnant is what a journal says a run left.
type Remnant struct {
	Path    string
	Run     string
	Begun   time.Time
	Alive   bool              // its guard is still at work
	Origins map[string]string // of each session
	Leases  []providers.Lease // not known to be gone; sessions' own logins last
}

// Read reads one journal. A last line cut short is passed over; a file that is no journal is an error.
func Read(path string) (Remnant, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return Remnant{}, err
	}
	defer f.Close()
	r := Remnant{Path: path, Origins: map[string]string{}}
	var own []providers.Lease
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			if n == 0 {
				return Remnant{}, fmt.Errorf("%s: not a journal of with-creds", path)
			}
			continue
		}
		if n == 0 {
			if e.Schema != journalSchema || e.Run == "" {
				return Remnant{}, fmt.Errorf("%s: not a journal of with-creds, or of another version", path)
			}
			r.Run, r.Begun = e.Run, e.Begun
			r.Alive = e.Start != 0 && startTime(e.PID) == e.Start
			continue
		}
		switch {
		case e.Session != "":
			r.Origins[e.Session] = e.Origin
			if e.Own != nil {
				e.Own.Session = e.Session
				own = append(own, *e.Own)
			}
		case e.Lease != nil:
			r.strike(e.Lease.Key())
			r.Leases = append(r.Leases, *e.Lease)
		case e.Gone != "":
			r.strike(e.Gone)
		case e.Closed != "":
			own = without(own, func(l providers.Lease) bool { return l.Session == e.Closed })
		}
	}
	r.Leases = append(r.Leases, own...)
	return r, lines.Err()
}

func (r *Remnant) strike(key string) {
	r.Leases = without(r.Leases, func(l providers.Lease) bool { return l.Key() == key })
}

func without(all []providers.Lease, drop func(providers.Lease) bool) []providers.Lease {
	var kept []providers.Lease
	for _, l := range all {
		if !drop(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// Remnants reads every journal in dir. Files that are none, or cannot be read, are told of in the error; the rest is returned all the same.
func Remnants(dir string) ([]Remnant, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Remnant
	var errs []error
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), journalSuffix) {
			errs = append(errs, fmt.Errorf("%s: not a journal of with-creds", filepath.Join(dir, f.Name())))
			continue
		}
		r, err := Read(filepath.Join(dir, f.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}
