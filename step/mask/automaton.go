package mask

import "bytes"

// An automaton finds every place where a form ends, reading each byte once. A state is a beginning of a form: the
// longest one that is an end of the text read so far. State 0 is the empty one.
//
// States are numbered depth first over the sorted forms, so that a state's only child, or the first of several, is the
// next number. Following a form is then a walk along an array.
type automaton struct {
	step  []uint16    // per state: the byte that leads to the next number, and the flags below
	nodes []node      // per state
	forks []fork      // of the states with more than one child
	root  [256]uint32 // the children of state 0
}

// Flags of automaton.step. A step without leaf and fork is the byte of an only child.
const (
	endsForm uint16 = 1 << 15 // a form ends here, be it the state itself or an end of it
	isLeaf   uint16 = 1 << 14 // no children
	isFork   uint16 = 1 << 13 // several: see node.fork
)

// A node is what is needed of a state only when the walk along a form ends.
type node struct {
	fail    uint32 // the state of the longest proper end of this one that is a beginning of a form
	depth   uint32 // the state's length: so many bytes of the text may still become a form
	longest uint32 // the length of the longest form that ends here; 0: none
	fork    uint32 // index into automaton.forks
}

type fork struct {
	labels []byte
	to     []uint32
}

// newAutomaton builds the automaton of forms, which are sorted, not empty and each there once.
func newAutomaton(forms []string) *automaton {
	states, longest, previous := 1, 0, ""
	for _, f := range forms {
		states += len(f) - commonPrefix(previous, f)
		longest = max(longest, len(f))
		previous = f
	}
	a := &automaton{step: make([]uint16, states), nodes: make([]node, states)}
	a.step[0] = isLeaf // the walk never finds a child here: root is asked instead

	path := make([]uint32, longest+1) // path[d] is the state of previous[:d]
	last := uint32(0)
	previous = ""
	for _, f := range forms {
		d := commonPrefix(previous, f)
		for ; d < len(f); d++ {
			last++
			a.addChild(path[d], f[d], last)
			a.step[last] = isLeaf
			a.nodes[last].depth = uint32(d + 1)
			path[d+1] = last
		}
		a.nodes[last].longest = uint32(len(f))
		previous = f
	}
	a.linkFailures()
	return a
}

// addChild is called with the children of a state in the order of their bytes.
func (a *automaton) addChild(parent uint32, c byte, child uint32) {
	switch v := a.step[parent]; {
	case parent == 0:
		a.root[c] = child
	case v&isLeaf != 0: // the state added last, so its child is the next number
		a.step[parent] = uint16(c)
	case v&isFork == 0:
		a.nodes[parent].fork = uint32(len(a.forks))
		a.step[parent] = isFork
		a.forks = append(a.forks, fork{labels: []byte{byte(v), c}, to: []uint32{parent + 1, child}})
	default:
		f := &a.forks[a.nodes[parent].fork]
		f.labels = append(f.labels, c)
		f.to = append(f.to, child)
	}
}

// linkFailures sets fail, and longest where it comes from fail, in the order of depth.
func (a *automaton) linkFailures() {
	queue := make([]uint32, 0, len(a.nodes))
	for _, child := range a.root {
		if child != 0 {
			queue = append(queue, child)
		}
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		n := &a.nodes[s]
		if n.longest == 0 {
			n.longest = a.nodes[n.fail].longest
		}
		v := a.step[s]
		if n.longest != 0 {
			a.step[s] |= endsForm
		}
		switch {
		case v&isLeaf != 0:
		case v&isFork != 0:
			f := &a.forks[n.fork]
			for j, c := range f.labels {
				a.nodes[f.to[j]].fail = a.next(n.fail, c)
				queue = append(queue, f.to[j])
			}
		default:
			a.nodes[s+1].fail = a.next(n.fail, byte(v))
			queue = append(queue, s+1)
		}
	}
}

// next is the state after s and the byte c.
func (a *automaton) next(s uint32, c byte) uint32 {
	for s != 0 {
		switch v := a.step[s] &^ endsForm; {
		case v == uint16(c):
			return s + 1
		case v&isFork != 0:
			f := &a.forks[a.nodes[s].fork]
			if i := bytes.IndexByte(f.labels, c); i >= 0 {
				return f.to[i]
			}
		}
		s = a.nodes[s].fail
	}
	return a.root[c]
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
