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
		for {
			n := a.follow(state, p[i:])
			state += uint32(n)
			if i += n; i == len(p) {
				break reading
			}
			c := p[i]
			switch v := a.step[state]; {
			case v&byteOf == uint16(c): // to a form's end
				state++
			case state == 0:
				state = a.root[c]
			default:
				t := &a.turns[state]
				to := uint32(0)
				if t.fork != 0 {
					to = a.further(t.fork, c)
				}
				if to == 0 {
					// The form came to nothing. What else has begun in it begins later, so this comes to an end.
					if t.ahead&aheadOf(c) == 0 {
						if start := i - int(v>>lowShift&3); start >= 0 && start <= tail {
							i, state = start, 0
							continue reading
						}
					}
					state = t.fail
					continue
				}
				state = to
			}
			i++
			if longest := a.longest[state]; longest != 0 {
				spans = join(spans, span{origin + i - int(longest), origin + i})
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
