package compile

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
)

// zone is the segments that a class is in. A nil zone is that of a class in none.
type zone struct {
	segments []policy.Segment // by name
	which    string           // as a map's key
}

func (z *zone) key() string {
	if z == nil {
		return ""
	}
	return z.which
}

func (z *zone) list() []policy.Segment {
	if z == nil {
		return nil
	}
	return z.segments
}

// hold gives how long rules into a zone live on without a word from the
// coordinator: as its most impatient segment says.
func (z *zone) hold() time.Duration {
	hold := DefaultHold
	for _, s := range z.list() {
		if s.Offline > 0 {
			hold = min(hold, s.Offline)
		}
	}
	return hold
}

// zone takes on the policy's segments, and its break-glasses that are rules.
func (b *book) zone(pol *policy.Policy, ids map[string]selector) {
	if len(pol.Segments()) > 0 {
		b.segmentsOf = make([][]int32, len(b.texts))
	}
	for _, name := range pol.Segments() {
		s, _ := pol.Segment(name)
		for _, member := range s.Members {
			for _, text := range []string{member.Key(), machineText + member.Key()} {
				if id, used := ids[text]; used {
					b.segmentsOf[id] = append(b.segmentsOf[id], int32(len(b.segments)))
				}
			}
		}
		b.segments = append(b.segments, s)
		b.learnWhen(&s.Requires)
		b.floors = b.floors || asksAnything(s.Requires)
		b.proofs = b.proofs || proves(&s.Requires)
	}
	for _, g := range pol.BreakGlass() {
		b.glasses[g.ID] = g
	}
}

func asksAnything(w policy.When) bool { return !reflect.DeepEqual(w, policy.When{}) }

// zoneOf gives the zone of a class's selectors: one for the same segments.
func (b *book) zoneOf(sign []selector) *zone {
	if len(b.segmentsOf) == 0 {
		return nil
	}
	var in []selector
	for _, id := range sign {
		in = append(in, b.segmentsOf[id]...)
	}
	if len(in) == 0 {
		return nil
	}
	in = sortedSet(in)
	key := signKey(in)
	if z, ok := b.zones[key]; ok {
		return z
	}
	z := &zone{which: key}
	for _, i := range in {
		z.segments = append(z.segments, b.segments[i])
	}
	b.zones[key] = z
	return z
}

// lift is a break-glass that is declared now.
type lift struct {
	policy.BreakGlass
	until time.Time
}

// lifts gives the break-glasses that lift conditions into a zone now: those that
// name all of its segments, by their ids: that the policy writes them in another
// order must change no node's rules.
func (m *Mesh) lifts(into *zone) []lift {
	if len(into.list()) == 0 || len(m.declared.Glass) == 0 {
		return nil
	}
	if all, known := m.lifted[into]; known {
		return all
	}
	var all []lift
	for _, g := range m.pol.BreakGlass() {
		until := m.declared.Glass[g.ID]
		if until.IsZero() || slices.ContainsFunc(into.list(), func(s policy.Segment) bool { return !slices.Contains(g.Segments, s.Name) }) {
			continue
		}
		all = append(all, lift{g, until})
	}
	slices.SortFunc(all, func(a, b lift) int { return strings.Compare(a.ID, b.ID) })
	if m.lifted == nil {
		m.lifted = make(map[*zone][]lift)
	}
	m.lifted[into] = all
	return all
}
