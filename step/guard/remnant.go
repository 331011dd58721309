package guard

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// A Remnant is what a journal says a run left.
type Remnant struct {
	Path    string
	Run     string
	Host    string // the machine's name
	Begun   time.Time
	Alive   bool              // its guard, or the run itself, is still at work; of another machine's it is not known
	Origins map[string]string // of each session
	Leases  []providers.Lease // not known to be gone; sessions' own logins last (see Own)
	Dirs    []string          // of private files
	Files   []string          // private files elsewhere, where a person wanted them
	own     int
}

// Own reports whether the i-th of the leases is a session's own login, to be ended after the others.
func (r Remnant) Own(i int) bool { return i >= len(r.Leases)-r.own }

// Empty reports that there is nothing to be done but to remove the journal.
func (r Remnant) Empty() bool { return len(r.Leases) == 0 && len(r.Dirs) == 0 }

// Read reads one journal. A last line cut short is passed over; a file that is no journal is an error.
func Read(path string) (Remnant, error) {
	f, err := openJournal(path, os.O_RDONLY)
	if err != nil {
		return Remnant{}, err
	}
	defer f.Close()
	return readJournal(f)
}

// openJournal opens a plain file, and neither follows a link nor waits for a pipe's writer.
func openJournal(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|noFollow, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: not a journal of with-creds: it is a link", path)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s: not a journal of with-creds: not a plain file", path)
	}
	return f, nil
}

func readJournal(f *os.File) (Remnant, error) {
	path := f.Name()
	r := Remnant{Path: path, Origins: map[string]string{}}
	var own []providers.Lease
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			if n == 0 {
				return Remnant{}, fmt.Errorf("%s: not a journal of with-creds", path)
			}
			continue
		}
		if n == 0 && (e.Schema != journalSchema || e.Run == "") {
			return Remnant{}, fmt.Errorf("%s: not a journal of with-creds, or of another version", path)
		}
		if e.Schema != 0 { // the last guard's counts
			r.Run, r.Host = e.Run, e.Host
			if n == 0 {
				r.Begun = e.Begun
			}
			guard := &instance{e.PID, e.Start}
			here, _ := os.Hostname()
			r.Alive = e.Host == here && (guard.lives() || e.Parent.lives())
			continue
		}
		switch {
		case e.Session != "":
			r.Origins[e.Session] = e.Origin
			own = without(own, func(l providers.Lease) bool { return l.Session == e.Session })
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
		case e.Dir != "":
			r.Dirs = with(r.Dirs, e.Dir)
		case e.File != "":
			r.Files = with(r.Files, e.File)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return Remnant{}, fmt.Errorf("%s: not a journal of with-creds: a line of it is longer than any of theirs", path)
	}
	if err := lines.Err(); err != nil {
		return Remnant{}, fmt.Errorf("reading %s: %w", path, err)
	}
	if n == 0 {
		return Remnant{}, fmt.Errorf("%s: an empty file, not a journal of with-creds", path)
	}
	r.Leases, r.own = append(r.Leases, own...), len(own)
	return r, nil
}

func (r *Remnant) strike(key string) {
	r.Leases = without(r.Leases, func(l providers.Lease) bool { return l.Key() == key })
}

// with is a list with a path, once: each guard of a run tells of all there is.
func with(all []string, path string) []string {
	if slices.Contains(all, path) {
		return all
	}
	return append(all, path)
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

// Remnants reads every journal in dir. Files that are none, or cannot be read, are told of in skipped; a directory that is not there is an empty one.
func Remnants(dir string) (all []Remnant, skipped []error, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the journals: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if !strings.HasSuffix(path, journalSuffix) {
			skipped = append(skipped, fmt.Errorf("%s: not a journal of with-creds", path))
			continue
		}
		r, err := Read(path)
		switch {
		case errors.Is(err, os.ErrNotExist): // its run has ended meanwhile
		case err != nil:
			skipped = append(skipped, err)
		default:
			all = append(all, r)
		}
	}
	return all, skipped, nil
}

// ErrInUse says that a journal's guard, or another sweep, is at work on it.
var ErrInUse = errors.New("in use")

// A Claim is a journal taken for this process alone: no other sweep works on it, and its run is not alive.
type Claim struct {
	Remnant
	file *os.File
}

// Take claims a journal, and reads it: it may have changed since it was last read. It is an error that wraps ErrInUse when somebody else is at work on
// it, and one that wraps os.ErrNotExist when it is gone, which means that all of it has been seen to.
func Take(path string) (*Claim, error) {
	f, err := openJournal(path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	c := &Claim{file: f}
	if err := c.take(); err != nil {
		f.Close()
		return nil, err
	}
	return c, nil
}

func (c *Claim) take() error {
	path := c.file.Name()
	if err := lock(c.file); err != nil {
		return fmt.Errorf("%s is %w", path, ErrInUse)
	}
	// Who had the lock before may have removed the file.
	locked, err := c.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(locked, there) {
		return fmt.Errorf("%s is %w", path, ErrInUse)
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if c.Remnant, err = readJournal(c.file); err != nil {
		return err
	}
	if c.Alive {
		return fmt.Errorf("%s is %w", path, ErrInUse)
	}
	return nil
}

// Done removes the journal: nothing is left of its run.
func (c *Claim) Done() error {
	defer c.file.Close()
	return os.Remove(c.Path)
}

// Leave lets go of the journal, for a later sweep.
func (c *Claim) Leave() { c.file.Close() }
