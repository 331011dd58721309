package harness

import (
	"bytes"
	"sync"
)

// A Transcript is what a process has said so far. It may be read while more is being said; the zero value is empty.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *Transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *Transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
