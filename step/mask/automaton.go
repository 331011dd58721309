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
	step    []uint16    // per state: the byte that leads to the next number, and the flags below
	turns   []turn      // per state
	longest []uint32    // per state: the length of the longest form that ends here, be it the state itself or an end of it; 0: none
	edges   []edge      // to the further children of states that have several, one state's after the other; the first is none's
	rows    []row       // instead of edges where they are many
	root    [256]uint32 // the children of state 0; 0: none
}

// Flags of automaton.step.
const (
	isLeaf   uint16 = 1 << 15 // no children
	endsNext uint16 = 1 << 14 // a form ends in the next number
	lowShift        = 8       // where the depth of the first failure is that is no deeper than lowDepth

	lowDepth = 2                 // at 3, a run of a letter that a form begins with four times would be read again and again
	byteOf   = isLeaf | 0x00ff   // what of a step to compare a byte with; a leaf equals none
	quietOf  = byteOf | endsNext // and this where no form may end
)

// A turn is what there is to know of a state where the walk along the array ends. It lies in one place: each look at another costs
// more there than a step along the array.
type turn struct {
	fork  uint32 // where the children are besides the next number: index of the first of edges, or with inRow set, of the row; 0: there are none
	fail  uint32 // the longest proper end of the state that is a beginning of a form and may go on where the state does not
	ahead uint32 // as aheadOf says, the bytes by which fail can go on, and its fail, and so on down to lowDepth
	depth uint32 // the state's length: so many bytes of the text may still become a form
}

// aheadOf is the bit of a byte, and of seven others, in turn.ahead.
func aheadOf(c byte) uint32 { return 1 << (c & 31) }

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
	a := &automaton{step: make([]uint16, states), turns: make([]turn, states), longest: make([]uint32, states)}
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
				a.turns[parent].fork++ // how many, until placeForks
				further = append(further, child{parent, edge{to: last, label: f[d]}})
			}
			a.step[last] = isLeaf
			a.turns[last].depth = uint32(d + 1)
			path[d+1] = last
		}
		a.longest[path[len(f)]] = uint32(len(f))
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

// placeForks puts the children that are not first of their state where further looks for them.
func (a *automaton) placeForks(further []child) {
	const placed = 1 << 30 // of fork: no longer a count
	a.edges = make([]edge, 1, 1+len(further))
	for _, c := range further {
		fork := &a.turns[c.of].fork
		if *fork&(placed|inRow) == 0 {
			if count := *fork; count > maxEdges {
				*fork = inRow | uint32(len(a.rows))
				a.rows = append(a.rows, row{})
			} else {
				a.edges = a.edges[:len(a.edges)+int(count)]
				*fork = placed | uint32(len(a.edges))
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
	for _, c := range further {
		a.turns[c.of].fork &^= placed
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
		if a.longest[s] == 0 {
			a.longest[s] = a.longest[a.turns[s].fail]
		}
		for c, to := range a.children(s) {
			a.turns[to].fail = a.next(a.turns[s].fail, c)
			queue = append(queue, to)
		}
	}
	for s, longest := range a.longest {
		if longest != 0 && a.step[s-1]&isLeaf == 0 { // after a leaf, s is a further child of another state
			a.step[s-1] |= endsNext
		}
	}
	a.shortenFailures(queue)
}

// shortenFailures takes out of each state's chain of failures the states that can go on with no byte the state itself cannot (the
// strong failure of Knuth, Morris and Pratt, SIAM J. Comput. 6(2), 1977), and sets what is ahead in the chain. The states come in the
// order of depth.
func (a *automaton) shortenFailures(states []uint32) {
	for _, s := range states {
		t := &a.turns[s]
		if t.fail != 0 && a.covers(s, t.fail) {
			t.fail = a.turns[t.fail].fail
		}
		fail := a.turns[t.fail]
		if fail.depth <= lowDepth {
			a.step[s] |= uint16(fail.depth) << lowShift
			continue
		}
		a.step[s] |= a.step[t.fail] & (3 << lowShift)
		t.ahead = fail.ahead
		for c := range a.children(t.fail) {
			t.ahead |= aheadOf(c)
		}
	}
}

// covers reports whether s can go on with every byte that other can go on with.
func (a *automaton) covers(s, other uint32) bool {
	for c := range a.children(other) {
		if a.child(s, c) == 0 {
			return false
		}
	}
	return true
}

// children are the states after s, by the byte that leads there.
func (a *automaton) children(s uint32) iter.Seq2[byte, uint32] {
	return func(yield func(byte, uint32) bool) {
		v, fork := a.step[s], a.turns[s].fork
		if v&isLeaf != 0 || !yield(byte(v), s+1) || fork == 0 {
			return
		}
		if fork&inRow != 0 {
			for c, to := range a.rows[fork&^inRow] {
				if to != 0 && !yield(byte(c), to) {
					return
				}
			}
			return
		}
		for ; yield(a.edges[fork].label, a.edges[fork].to) && !a.edges[fork].last; fork++ {
		}
	}
}

// next is the state after s and the byte c.
func (a *automaton) next(s uint32, c byte) uint32 {
	for ; s != 0; s = a.turns[s].fail {
		if t := a.child(s, c); t != 0 {
			return t
		}
	}
	return a.root[c]
}

// follow is how many bytes of text lead from s on, each to the next number, where no form ends.
func (a *automaton) follow(s uint32, text []byte) int {
	step := a.step[s:]
	n := min(len(step), len(text))
	step, text = step[:n], text[:n] // so that the loop checks no bounds
	for i, v := range step {
		if v&quietOf != uint16(text[i]) {
			return i
		}
	}
	return n
}

// child is the state after s by the byte c; 0: there is none.
func (a *automaton) child(s uint32, c byte) uint32 {
	if a.step[s]&byteOf == uint16(c) {
		return s + 1
	}
	if fork := a.turns[s].fork; fork != 0 {
		return a.further(fork, c)
	}
	return 0
}

// further is the child by the byte c among those of a turn.fork; 0: there is none.
func (a *automaton) further(fork uint32, c byte) uint32 {
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
