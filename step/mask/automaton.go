package mask

import (
	"iter"
	"slices"
)

// An automaton finds every place where a form ends, reading each byte once (Aho and Corasick, CACM 18(6), 1975). A state
// is a beginning of a form: the longest one that is an end of the text read so far. State 0 is the empty one.
//
// States are numbered depth first over the sorted forms, so that a state's first child is the next number. Following a
// form is then mostly a walk along an array, and what else there is to know of a state is looked up where the walk ends.
// The forms are taken last to first, for of the bytes that may come next a letter is likelier than a line's end.
type automaton struct {
	step  []uint16    // per state: the byte that leads to the next number, and the flags below
	fail  []uint32    // per state: the longest proper end of it that is a beginning of a form and may go on where it does not
	fork  []uint32    // per state that is a fork: index of the first of edges, or with inRow set, of the row
	ends  []ending    // per state
	edges []edge      // to the further children of states that have several, one state's after the other
	rows  []row       // instead of edges where they are many
	root  [256]uint32 // the children of state 0; 0: none
}

// Flags of automaton.step.
const (
	endsForm uint16 = 1 << 15 // a form ends here, be it the state itself or an end of it
	isLeaf   uint16 = 1 << 14 // no children
	isFork   uint16 = 1 << 13 // more than the one child: see automaton.fork
	failsLow uint16 = 1 << 12 // fail is no deeper than lowDepth

	lowDepth = 2               // at 3, a run of a letter that a form begins with four times would be read again and again
	lowShift = 8               // where in a step that failsLow the depth of fail is
	byteOf   = isLeaf | 0x00ff // what of a step to compare a byte with; a leaf equals none
)

// An ending is what is asked of a state where a form or the text ends.
type ending struct {
	depth   uint32 // the state's length: so many bytes of the text may still become a form
	longest uint32 // the length of the longest form that ends here; 0: none
}

type edge struct {
	to    uint32
	label byte
	last  bool // of its state
}

type row [256]uint32

const (
	inRow    = 1 << 31
	maxEdges = 12 // more go into a row
)

// newAutomaton builds the automaton of forms, which are sorted, not empty and each there once.
func newAutomaton(forms []string) *automaton {
	states, longest, previous := 1, 0, ""
	for _, f := range forms {
		states += len(f) - commonPrefix(previous, f)
		longest = max(longest, len(f))
		previous = f
	}
	a := &automaton{
		step: make([]uint16, states),
		fail: make([]uint32, states),
		fork: make([]uint32, states),
		ends: make([]ending, states),
	}
	a.step[0] = isLeaf // the walk finds no child here: root is asked instead

	path := make([]uint32, longest+1) // path[d] is the state of previous[:d]
	last := uint32(0)
	var further []child
	previous = ""
	for _, f := range slices.Backward(forms) {
		for d := commonPrefix(previous, f); d < len(f); d++ {
			last++
			switch parent := path[d]; {
			case parent == 0:
				a.root[f[d]] = last
			case a.step[parent]&isLeaf != 0: // the state before this one
				a.step[parent] = uint16(f[d])
			default:
				a.step[parent] |= isFork
				a.fork[parent]++ // how many, until placeForks
				further = append(further, child{parent, edge{to: last, label: f[d]}})
			}
			a.step[last] = isLeaf
			a.ends[last].depth = uint32(d + 1)
			path[d+1] = last
		}
		a.ends[path[len(f)]].longest = uint32(len(f))
		previous = f
	}
	a.placeForks(further)
	a.linkFailures()
	return a
}

type child struct {
	of uint32
	edge
}

// placeForks puts the children that are not first of their state where next looks for them.
func (a *automaton) placeForks(further []child) {
	const placed = 1 << 30 // of fork: no longer a count
	a.edges = make([]edge, len(further))
	end := uint32(0)
	for _, c := range further {
		fork := &a.fork[c.of]
		if *fork&(placed|inRow) == 0 {
			if count := *fork; count > maxEdges {
				*fork = inRow | uint32(len(a.rows))
				a.rows = append(a.rows, row{})
			} else {
				end += count
				*fork = placed | end
				c.last = true // they are filled in from behind
			}
		}
		if *fork&inRow != 0 {
			a.rows[*fork&^inRow][c.label] = c.to
		} else {
			*fork--
			a.edges[*fork&^placed] = c.edge
		}
	}
	a.edges = a.edges[:end]
	for _, c := range further {
		a.fork[c.of] &^= placed
	}
}

// linkFailures sets fail, and longest where it comes from fail, in the order of depth.
func (a *automaton) linkFailures() {
	queue := make([]uint32, 0, len(a.step))
	for _, s := range a.root {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		fail := a.ends[a.fail[s]]
		if a.ends[s].longest == 0 {
			a.ends[s].longest = fail.longest
		}
		if a.ends[s].longest != 0 {
			a.step[s] |= endsForm
		}
		for c, to := range a.children(s) {
			a.fail[to] = a.next(a.fail[s], c)
			queue = append(queue, to)
		}
	}
	a.shortenFailures(queue)
}

// shortenFailures takes out of each state's chain of failures the states that can go on with no byte the state itself cannot (the
// strong failure of Knuth, Morris and Pratt, SIAM J. Comput. 6(2), 1977). The states come in the order of depth.
func (a *automaton) shortenFailures(states []uint32) {
	for _, s := range states {
		fail := a.fail[s]
		if fail != 0 && a.covers(s, fail) {
			fail = a.fail[fail]
			a.fail[s] = fail
		}
		if depth := a.ends[fail].depth; depth <= lowDepth {
			a.step[s] |= failsLow | uint16(depth)<<lowShift
		}
	}
}

// covers reports whether s can go on with every byte that other can go on with.
func (a *automaton) covers(s, other uint32) bool {
	for c := range a.children(other) {
		if a.step[s]&byteOf != uint16(c) && (a.step[s]&isFork == 0 || a.further(s, c) == 0) {
			return false
		}
	}
	return true
}

// children are the states after s, by the byte that leads there.
func (a *automaton) children(s uint32) iter.Seq2[byte, uint32] {
	return func(yield func(byte, uint32) bool) {
		v := a.step[s]
		if v&isLeaf != 0 || !yield(byte(v), s+1) || v&isFork == 0 {
			return
		}
		if fork := a.fork[s]; fork&inRow != 0 {
			for c, to := range a.rows[fork&^inRow] {
				if to != 0 && !yield(byte(c), to) {
					return
				}
			}
			return
		}
		for e := a.fork[s]; yield(a.edges[e].label, a.edges[e].to) && !a.edges[e].last; e++ {
		}
	}
}

// next is the state after s and the byte c.
func (a *automaton) next(s uint32, c byte) uint32 {
	for s != 0 {
		switch v := a.step[s]; {
		case v&byteOf == uint16(c):
			return s + 1
		case v&isFork != 0:
			if t := a.further(s, c); t != 0 {
				return t
			}
		}
		s = a.fail[s]
	}
	return a.root[c]
}

// further is the child by the byte c of a state that is a fork, if it is not the first one; 0 if there is none.
func (a *automaton) further(s uint32, c byte) uint32 {
	fork := a.fork[s]
	if fork&inRow != 0 {
		return a.rows[fork&^inRow][c]
	}
	for {
		e := a.edges[fork]
		if e.label == c {
			return e.to
		}
		if e.last {
			return 0
		}
		fork++
	}
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
