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
// Each form is at least stride+gram-1 bytes long. So of the grams that begin at every stride-th byte of the text, one lies
// within those first bytes of any form, and begins less than stride after it. A gram that is found in no form's first
// bytes rules out stride places at once. As the places to look at do not depend on what was seen, the processor looks at
// several at a time; with a table of skips (Wu and Manber, TR-94-17) each look-up waits for the one before. And as a gram
// of four bytes is rarely in a table by chance, many forms, and short ones, slow it down little.
type filter struct {
	stride int
	grams  sketch // of every form, the grams at offsets 0 to stride-1
	starts sketch // of every form, the gram at offset 0
	enter  entrances
}

func newFilter(forms []string, a *automaton) filter {
	shortest := len(forms[0])
	for _, f := range forms {
		shortest = min(shortest, len(f))
	}
	f := filter{stride: min(shortest-gram+1, maxStride)}
	// What a form shares with the one before it is there already.
	eachNew := func(do func(head []byte, from int)) {
		previous := ""
		for _, form := range forms {
			do([]byte(form[:f.stride+gram-1]), max(0, commonPrefix(previous, form)-gram+1))
			previous = form
		}
	}
	grams, starts := 0, 0
	eachNew(func(_ []byte, from int) {
		grams += max(0, f.stride-from)
		if from == 0 {
			starts++
		}
	})
	f.grams, f.starts, f.enter = newSketch(grams), newSketch(starts), newEntrances(starts)
	eachNew(func(head []byte, from int) {
		for i := from; i < f.stride; i++ {
			f.grams.add(head[i:])
		}
		if from == 0 {
			f.starts.add(head)
			f.enter.add(head, a)
		}
	})
	return f
}

// next returns the first place at or after i where a form may begin. The state is that of its first gram, or 0 where
// fewer bytes than that are left, so that there is nothing to be said.
func (f *filter) next(p []byte, i int) (int, uint32) {
	stride := f.stride
	for i+stride+gram-1 <= len(p) {
		if !f.grams.has(gramAt(p, i+stride-1)) {
			i = f.skip(p, i+stride)
			continue
		}
		end := i + stride
		if !f.grams.has(gramAt(p, end-2)) {
			i = end - 1 // of a form that begins before, that gram would be one too: what was found is mostly there by chance
		}
		for ; i < end; i++ {
			if f.starts.has(gramAt(p, i)) {
				if s := f.enter.state(gramAt(p, i)); s != 0 {
					return i, s
				}
			}
		}
	}
	for ; i+gram <= len(p); i++ {
		if f.starts.has(gramAt(p, i)) {
			if s := f.enter.state(gramAt(p, i)); s != 0 {
				return i, s
			}
		}
	}
	return i, 0
}

// skip passes over two steps at a time from i on, for together they cost less, until a form may begin in either.
func (f *filter) skip(p []byte, i int) int {
	stride, words := f.stride, f.grams.words
	last := len(words) - 1
	if last < 0 {
		return i // never; said for the compiler, which then checks no index
	}
	at := i + stride - 1
	for ; at+stride+gram <= len(p); at += 2 * stride {
		h := hash(gramAt(p, at))
		if words[int(h>>6)&last]>>(h&63)&1 != 0 {
			break
		}
		h = hash(gramAt(p, at+stride))
		if words[int(h>>6)&last]>>(h&63)&1 != 0 {
			at += stride
			break
		}
	}
	return at - stride + 1
}

// A sketch is a set of grams that may take others for its own (a hashed bit map).
type sketch struct {
	words []uint64 // a power of two
}

// newSketch has room for n grams, so that about one in 32 of others is taken for one of them.
func newSketch(n int) sketch {
	size := min(max(bits.Len(uint(n*32-1)), 12), 24)
	return sketch{words: make([]uint64, 1<<(size-6))}
}

func (s *sketch) add(p []byte) {
	h := hash(gramOf(p))
	s.words[int(h>>6)&(len(s.words)-1)] |= 1 << (h & 63)
}

func (s *sketch) has(gram uint32) bool {
	h := hash(gram)
	return s.words[int(h>>6)&(len(s.words)-1)]>>(h&63)&1 != 0
}

// entrances lead from the first gram of a form into the automaton (a hash table with linear probing).
type entrances struct {
	doors []door
	shift uint8
}

type door struct {
	gram  uint32
	state uint32 // 0: none
}

func newEntrances(n int) entrances {
	size := max(bits.Len(uint(n)), 4) + 1
	return entrances{doors: make([]door, 1<<size), shift: uint8(32 - size)}
}

func (e *entrances) add(head []byte, a *automaton) {
	s := uint32(0)
	for _, c := range head[:gram] {
		s = a.next(s, c)
	}
	g := gramOf(head)
	i := hash(g) >> e.shift
	for e.doors[i].state != 0 {
		i = (i + 1) % uint32(len(e.doors))
	}
	e.doors[i] = door{g, s}
}

func (e *entrances) state(g uint32) uint32 {
	for i := hash(g) >> (e.shift & 31); ; i++ {
		d := e.doors[i&uint32(len(e.doors)-1)]
		if d.gram == g || d.state == 0 {
			return d.state
		}
	}
}

func gramOf(p []byte) uint32 { return binary.LittleEndian.Uint32(p) }

// gramAt is gramOf(p[i:]), written so that the compiler has less to check: a fifth of the time over a log.
func gramAt(p []byte, i int) uint32 { return gramOf(p[i : i+gram : i+gram]) }

// hash spreads a gram over 32 bits, of which any are used (multiplicative hashing, Knuth vol. 3, 6.4, by the golden ratio).
func hash(g uint32) uint32 { return uint32(uint64(g) * 0x9e3779b97f4a7c15 >> 32) }
