package mask

// A matcher finds the forms of a set in a text that comes in pieces.
type matcher struct {
	*automaton
	filter
}

func newMatcher(forms []string) *matcher {
	return &matcher{automaton: newAutomaton(forms), filter: newFilter(forms)}
}

// A span is a range of bytes to mask.
type span struct{ start, end int }

// scan reads p on from state and returns the state after it, with the spans of the forms that end in it added to those
// found before. Places are counted from a point origin bytes before p.
func (m *matcher) scan(p []byte, state uint32, origin int, spans []span) (uint32, []span) {
	a := m.automaton
	// From here on too little is left for the filter, so the state must be followed to know what is to be held back.
	tail := len(p) - gram
	i := 0
	for i < len(p) {
		if state == 0 {
			i = m.filter.next(p, i)
		}
		v := a.step[state]
		for i < len(p) {
			c := p[i]
			i++
			if v&^endsForm == uint16(c) {
				state++
			} else {
				before := a.nodes[state].depth
				state = a.next(state, c)
				// A form that came to nothing, and hardly anything of another: the filter is faster in saying whether
				// it is one. It goes on from a later place than where the form began, so there is no end of it.
				d := a.nodes[state].depth
				if start := i - int(d); d <= before && d < gram && start >= 0 && start <= tail {
					i = start
					state = 0
					break
				}
			}
			v = a.step[state]
			if v&endsForm != 0 {
				end := origin + i
				spans = join(spans, span{end - int(a.nodes[state].longest), end})
			}
		}
	}
	return state, spans
}

// join adds a span that ends after all the others; those it overlaps or touches become one with it.
func join(spans []span, s span) []span {
	for n := len(spans); n > 0 && spans[n-1].end >= s.start; n-- {
		s.start = min(s.start, spans[n-1].start)
		spans = spans[:n-1]
	}
	return append(spans, s)
}
