// Package mask takes secrets out of a stream of bytes.
//
// A [Masker] is a set of secrets. Any number of streams share it; each [Stream] passes bytes on to its destination and
// puts a marker in place of every secret, in whichever form a tool is likely to have printed it (see forms.go).
//
// # What it promises
//
//   - What is written is what a search of the whole text would give: every occurrence of every form of every secret is
//     found, however they overlap and however the text was cut into writes, and the union of their ranges is masked.
//     Ranges that overlap or touch are one range, and one range is one marker: so the output does not tell how many
//     secrets stood side by side, nor how long they were.
//   - Bytes that cannot be the beginning of a form leave within the Write that brought them. Only the longest end of the
//     text that is still the beginning of a form is held back, and what is masked already does not wait for it.
//     There is no timer. Close writes what is held.
//   - The output holds no form of a secret made by a marker and the text around it (see marker.go).
//   - Memory does not depend on the text: a stream holds at most one form's length and one buffer. A Write allocates
//     nothing once its stream's buffers have grown.
//   - Secrets are bytes. NUL, invalid UTF-8 and line ends are bytes like others.
//
// Time is linear in the text for every text: an Aho-Corasick automaton (CACM 18(6), 1975) decides, and a filter in front
// of it (see filter.go) passes over the bulk at several times its speed.
package mask

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// MinLength is the length in bytes, spaces around it not counted, below which a value is not masked: in most logs so
// short a string is found everywhere, and masking it would make them unreadable without keeping it private.
const MinLength = 6

// DefaultMarker stands where a secret stood, unless Options say otherwise.
const DefaultMarker = "***"

// Options are how a Masker masks. The zero value is usable.
type Options struct {
	// Marker is written in place of a secret; empty: DefaultMarker. Where it would form a secret with the text around
	// it, another is used (see marker.go).
	Marker string
	// Plain looks for the values as they are, and not for their other forms.
	Plain bool
}

// A Masker is a set of secrets, shared by the streams made from it. Its methods may be called concurrently with each
// other and with every method of its streams.
type Masker struct {
	options Options
	adding  sync.Mutex // one Add at a time; streams never wait for it
	set     atomic.Pointer[set]
}

// A set is all that is looked for. It never changes: Add makes a new one.
type set struct {
	forms   []string // sorted, each once
	matcher *matcher // nil while there are no forms
	marker  []byte
}

// New returns a Masker without secrets.
func New(o Options) *Masker {
	if o.Marker == "" {
		o.Marker = DefaultMarker
	}
	m := &Masker{options: o}
	m.set.Store(&set{marker: []byte(o.Marker)})
	return m
}

// A Warning tells of a value that Add did not take. It holds neither the value nor its length.
type Warning struct {
	Index int // which of the values given to Add, counted from 0
}

// String is a sentence for a person.
func (w Warning) String() string {
	return fmt.Sprintf("value %d is not masked: it is shorter than %d bytes and would be found all over the output", w.Index+1, MinLength)
}

// Add makes secrets of values, and of what is Within them, in all their forms, beside those there are. Every Write that begins after Add has
// returned masks them, a beginning of them held back by an earlier Write included. Secrets are never taken out again.
//
// A value shorter than MinLength is not masked and has a Warning; an empty one is passed over. The search is built anew
// by each call, so many values are best given to one.
func (m *Masker) Add(values ...string) []Warning {
	var warnings []Warning
	var forms []string
	for i, v := range values {
		switch {
		case v == "":
		case len(strings.TrimSpace(v)) < MinLength:
			warnings = append(warnings, Warning{Index: i})
		case m.options.Plain:
			forms = append(forms, v)
		default:
			forms = append(forms, Forms(v)...)
			for _, w := range Within(v) {
				forms = append(forms, Forms(w)...)
			}
		}
	}
	m.add(forms)
	return warnings
}

// AddBasic makes a secret of the pair as HTTP's basic authentication sends it (RFC 7617): base64 of "user:secret". The
// user name by itself is not masked, nor is the secret: that is Add's.
func (m *Masker) AddBasic(user, secret string) {
	if secret == "" {
		return
	}
	m.add(longEnough(appendBasic(nil, user, secret)))
}

func (m *Masker) add(forms []string) {
	if len(forms) == 0 {
		return
	}
	m.adding.Lock()
	defer m.adding.Unlock()
	old := m.set.Load()
	forms = append(forms, old.forms...)
	slices.Sort(forms)
	forms = slices.Compact(forms)
	if len(forms) == len(old.forms) {
		return
	}
	m.set.Store(&set{
		forms:   forms,
		matcher: newMatcher(forms),
		marker:  []byte(chooseMarker(m.options.Marker, forms)),
	})
}

// Empty reports whether there is nothing to mask: a stream then passes on what it is given.
func (m *Masker) Empty() bool { return m.set.Load().matcher == nil }

// Covers reports whether nothing of a text is left when it is masked but less than MinLength bytes at a time, such as the quotes around it.
func (m *Masker) Covers(text string) bool {
	var out strings.Builder
	s := m.Stream(&out)
	io.WriteString(s, text) // a Builder takes everything
	s.Close()
	for rest := range strings.SplitSeq(out.String(), string(m.set.Load().marker)) {
		if len(rest) >= MinLength {
			return false
		}
	}
	return true
}

// Copy masks all of src into dst, and returns when src ends or either fails. It does not close them.
func (m *Masker) Copy(dst io.Writer, src io.Reader) error {
	s := m.Stream(dst)
	buffer := make([]byte, pieceSize)
	for {
		n, err := src.Read(buffer)
		if n > 0 {
			if _, err := s.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return s.Close()
		case err != nil:
			// What is held was read before the error, so it is written before it is told.
			if err := s.Close(); err != nil {
				return err
			}
			return err
		}
	}
}
