package mask

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// pieceSize bounds how much of a Write is looked at before it is passed on, and with it what a stream's buffers grow to. A pipe that
// is written in smaller pieces than it was read in costs a tenth more.
const pieceSize = 256 << 10

var errClosed = errors.New("mask: write to a stream that is closed")

// A Stream passes bytes on to its destination, masked. Its methods may be called concurrently; the order in which
// concurrent Writes are passed on is not defined.
type Stream struct {
	masker *Masker
	dst    io.Writer

	mu     sync.Mutex
	set    *set
	state  uint32
	held   tail   // the last bytes of the text, those that may be the beginning of a form: as many as state is long
	done   int    // how many of held have been passed on already, as part of a marker or by Release
	spans  []span // what to mask and not passed on yet, counted from the first byte of held
	marked bool   // what was passed on last was a marker
	count  int    // markers put
	out    []byte // what is about to be passed on
	err    error  // what ended the stream
}

// Stream returns a new stream to dst. A text has its own stream: stdout one, stderr another.
func (m *Masker) Stream(dst io.Writer) *Stream {
	return &Stream{masker: m, dst: dst, set: m.set.Load()}
}

// Write masks p and passes on what is decided: everything but the longest end that is still the beginning of a form.
//
// It returns the number of bytes of p it has taken, held back ones included. After an error of the destination, that
// error is returned by every later call, and nothing more is written.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.follow()
	if s.set.matcher == nil {
		if s.pass(p); s.err != nil {
			return 0, s.err
		}
		return len(p), nil
	}
	for n := 0; n < len(p); n += pieceSize {
		s.mask(p[n:min(n+pieceSize, len(p))])
		if s.err != nil {
			return n, s.err
		}
	}
	return len(p), nil
}

// Close passes on what is held back: the text has ended, so none of it becomes a form. The destination stays open.
// A second Close does nothing.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, errClosed) {
		return nil
	}
	if s.err != nil {
		return s.err
	}
	s.follow()
	s.emit(nil, len(s.held.bytes()))
	s.pass(s.out)
	if s.err != nil {
		return s.err
	}
	s.err = errClosed
	s.held, s.out, s.spans = tail{}, nil, nil
	return nil
}

// Release passes on what is held back, although it may still become a secret. If it does, the rest of that is masked.
//
// It is for the caller who knows that these bytes give nothing away: the echo of a key that a person has just pressed, which is in the way
// when it appears one key late.
func (s *Stream) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.follow()
	s.done = s.emit(nil, len(s.held.bytes()))
	s.pass(s.out)
	return s.err
}

// Masked is how many markers were put in place of secrets so far.
func (s *Stream) Masked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// mask takes one piece of the text.
func (s *Stream) mask(p []byte) {
	m, held := s.set.matcher, len(s.held.bytes())
	s.state, s.spans = m.scan(p, s.state, held, s.spans)
	keep := int(m.turns[s.state].depth)
	drop := held + len(p) - keep

	if len(s.spans) == 0 && s.done == held {
		// The usual case: nothing to mask and nothing of an earlier piece. No copy is made.
		if ahead := p[:max(drop-held, 0)]; len(ahead) > 0 {
			s.marked = false
			s.pass(ahead)
		}
		s.done = max(s.done-drop, 0)
	} else {
		cut := s.emit(p, max(drop, s.done))
		s.done = cut - drop
		s.pass(s.out)
	}
	for i := range s.spans {
		s.spans[i].start -= drop
		s.spans[i].end -= drop
	}
	s.held.push(p, keep)
}

// emit puts the text up to cut into out: what is held, then p. A span that begins there is put whole, for nothing can
// unmask it; it returns how far it came.
func (s *Stream) emit(p []byte, cut int) int {
	held := s.held.bytes()
	at := s.done
	s.out = s.out[:0]
	clear := func(end int) {
		if at >= end {
			return
		}
		if at < len(held) {
			n := min(end, len(held))
			s.out = append(s.out, held[at:n]...)
			at = n
		}
		if at < end {
			s.out = append(s.out, p[at-len(held):end-len(held)]...)
			at = end
		}
		s.marked = false
	}
	n := 0
	for ; n < len(s.spans) && s.spans[n].start <= cut; n++ {
		clear(s.spans[n].start)
		if !s.marked && s.spans[n].end > at { // else it was found again in what has been passed on, by follow
			s.out = append(s.out, s.set.marker...)
			s.marked = true
			s.count++
		}
		at = max(at, s.spans[n].end)
		cut = max(cut, at)
	}
	clear(cut)
	s.spans = slices.Delete(s.spans, 0, n)
	return cut
}

// pass writes to the destination.
func (s *Stream) pass(p []byte) {
	if len(p) == 0 {
		return
	}
	n, err := s.dst.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = err
}

// follow goes over to the masker's present set. What is held is looked at again, as the new forms may begin in it. The
// new set has every form the old one had, so what was found in it is found again, and no more of the text is needed.
func (s *Stream) follow() {
	if now := s.masker.set.Load(); now != s.set {
		s.set = now
		s.state, s.spans = now.matcher.scan(s.held.bytes(), 0, 0, s.spans[:0])
	}
}

// A tail is the last bytes of a text.
type tail struct {
	buffer []byte
	from   int
}

func (t *tail) bytes() []byte { return t.buffer[t.from:] }

// push adds p to the text and keeps its last n bytes, which must be there.
func (t *tail) push(p []byte, n int) {
	if n <= len(p) {
		t.buffer = append(t.buffer[:0], p[len(p)-n:]...)
		t.from = 0
		return
	}
	t.from = len(t.buffer) - (n - len(p))
	// Moving the rest down only when it is the smaller half keeps a byte's share of the copying constant.
	if t.from > len(t.buffer)/2 {
		t.buffer = t.buffer[:copy(t.buffer, t.buffer[t.from:])]
		t.from = 0
	}
	t.buffer = append(t.buffer, p...)
}
