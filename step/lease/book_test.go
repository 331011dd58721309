package lease

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/with-creds/with-creds/providers"
)

// growing is a session whose handoff holds what it issued.
type growing struct {
	*fake
	issued []string
}

func (g *growing) Handoff() providers.Handoff {
	g.mu.Lock()
	defer g.mu.Unlock()
	data, _ := json.Marshal(g.issued)
	return providers.Handoff{Provider: "fake", Data: data}
}

// lastHandoff remembers of each kind what was told last.
type lastHandoff struct {
	told
	handoff string
	before  map[string]string // lease → the handoff that had been told by then
}

func (r *lastHandoff) Session(_ string, h providers.Handoff, _ *providers.Lease) {
	r.handoff = string(h.Data)
}
func (r *lastHandoff) Lease(l providers.Lease) { r.before[l.ID] = r.handoff }

func TestAHandoffThatGrowsIsToldBeforeEachLease(t *testing.T) {
	g := &growing{fake: newFake()}
	r := &lastHandoff{before: map[string]string{}}
	b := NewBook(r)
	s := b.Add("fake", g)
	const n = 50
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			id := fmt.Sprint(i)
			g.mu.Lock()
			g.issued = append(g.issued, id)
			g.mu.Unlock()
			b.Changed(s)
			b.Hold(providers.Lease{Provider: "fake", ID: id, Session: s.ID})
		})
	}
	all.Wait()
	for id, text := range r.before {
		var handed []string
		if err := json.Unmarshal([]byte(text), &handed); err != nil || !slices.Contains(handed, id) {
			t.Errorf("lease %s was told when the handoff was %s (%v)", id, text, err)
		}
	}
	var last []string
	if err := json.Unmarshal([]byte(r.handoff), &last); err != nil || len(last) != n || len(b.Held(s)) != n {
		t.Errorf("the last handoff holds %d of %d (%v), the book %d", len(last), n, err, len(b.Held(s)))
	}
}
