package mask

import (
	"encoding/binary"
	"math/bits"
)

// gram is how many bytes the filter looks at together.
const gram = 4

// maxStride bounds how far the filter goes in one step, for each step is paid for with one entry of each form.
const maxStride = 16

// A filter says where no form begins, looking at one gram in every few bytes.
//
// Each form is at least stride+gram-1 bytes long. So of any stride consecutive grams, one that begins at every stride-th
// byte of the text, at least one lies within those first bytes of a form that begins between it and the one before. A
// gram that is found in no form's first bytes rules out stride places at once. As the places to look at do not depend on
// what was seen, the processor looks at several at a time; tables of skips (Wu and Manber, TR-94-17) have each look-up wait for
// the one before, and short forms shorten their skips alike.
type filter struct {
	stride int
	grams  sketch // of every form, the grams at offsets 0 to stride-1
	starts sketch // of every form, the gram at offset 0
}

func newFilter(forms []string) filter {
	shortest := len(forms[0])
	for _, f := range forms {
		shortest = min(shortest, len(f))
	}
	stride := min(shortest-gram+1, maxStride)
	f := filter{
		stride: stride,
		grams:  newSketch(len(forms) * stride),
		starts: newSketch(len(forms)),
	}
	for _, form := range forms {
		head := []byte(form[:stride+gram-1])
		f.starts.add(head)
		for i := range stride {
			f.grams.add(head[i:])
		}
	}
	return f
}

// next returns the first place at or after i where a form may begin, or where too little of p is left to say.
func (f *filter) next(p []byte, i int) int {
	stride := f.stride
	for i+stride+gram-1 <= len(p) {
		if !f.grams.has(p[i+stride-1:]) {
			i += stride
			continue
		}
		for end := i + stride; i < end; i++ {
			if f.starts.has(p[i:]) {
				return i
			}
		}
	}
	for ; i+gram <= len(p); i++ {
		if f.starts.has(p[i:]) {
			return i
		}
	}
	return i
}

// A sketch is a set of grams that may take others for its own (a hashed bit map).
type sketch struct {
	words []uint64
	shift uint8 // of the 32-bit hash, leaving an index of one bit
}

// newSketch has room for n grams, so that about one in 16 of others is taken for one of them.
func newSketch(n int) sketch {
	size := min(max(bits.Len(uint(n*16-1)), 12), 24)
	return sketch{words: make([]uint64, 1<<(size-6)), shift: uint8(32 - size)}
}

func (s *sketch) add(p []byte) {
	h := hash(p) >> (s.shift & 31)
	s.words[h>>6] |= 1 << (h & 63)
}

func (s *sketch) has(p []byte) bool {
	h := hash(p) >> (s.shift & 31)
	return s.words[h>>6]>>(h&63)&1 != 0
}

// hash spreads the first gram of p (multiplicative hashing, Knuth vol. 3, 6.4): its upper bits are used.
func hash(p []byte) uint32 { return binary.LittleEndian.Uint32(p) * 2654435769 }
