package mask

// A matcher finds the forms of a set in a text that comes in pieces.
type matcher struct {
	*automaton
	filter
}

func newMatcher(forms []string) *matcher {
	a := newAutomaton(forms)
	return &matcher{automaton: a, filter: newFilter(forms, a)}
}

// A span is a range of bytes to mask.
type span struct{ start, end int }

// scan reads p on from state and returns the state after it, with the spans of the forms that end in it added to those
// found before. Places are counted from a point origin bytes before p.
func (m *matcher) scan(p []byte, state uint32, origin int, spans []span) (uint32, []span) {
	a := m.automaton
	// A beginning of less than a gram is left to the filter, which is faster in saying what comes of it. But at the end of
	// p it must be followed, for what may still become a form is held back.
	tail := len(p) - gram
	i := 0
reading:
	for i < len(p) {
		if state == 0 {
			if i, state = m.filter.next(p, i); state != 0 {
				i += gram
			}
		}
		v := a.step[state]
		for i < len(p) {
			c := p[i]
			switch {
			case v&byteOf == uint16(c):
				state++
			case state == 0:
				state = a.root[c]
			default:
				t := uint32(0)
				if v&isFork != 0 {
					t = a.further(state, c)
				}
				if t == 0 {
					// The form came to nothing. What else has begun in it begins later, so this comes to an end.
					if v&failsLow != 0 {
						if start := i - int(v>>lowShift&3); start >= 0 && start <= tail {
							i, state = start, 0
							continue reading
						}
					}
					state = a.fail[state]
					v = a.step[state]
					continue
				}
				state = t
			}
			i++
			v = a.step[state]
			if v&endsForm != 0 {
				end := origin + i
				spans = join(spans, span{end - int(a.ends[state].longest), end})
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
