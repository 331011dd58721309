package child

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

// A releaser is a mask that can be told to pass on what it holds back, although that may still become a secret.
type releaser interface{ Release() error }

// keys are what was typed last. Nearly every letter begins some form of some secret, so a mask would hold the echo of each key back until
// the next one is pressed, and a person would see what he types one key late. What he has typed himself is no news to him: an echo is
// shown at once. Only of a few bytes, so that a secret that is pasted is still masked.
type keys struct {
	mu   sync.Mutex
	last []byte
}

func (k *keys) press(p []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range p {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			k.last = append(k.last, '^') // ECHOCTL, termios(3)
			c ^= 0x40
		}
		k.last = append(k.last, c)
	}
	k.last = k.last[max(0, len(k.last)-utf8.UTFMax):]
}

// echoed reports whether p is what was typed last. A key has one echo.
func (k *keys) echoed(p []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(p) == 0 || !bytes.HasSuffix(k.last, p) {
		return false
	}
	k.last = k.last[:0]
	return true
}
