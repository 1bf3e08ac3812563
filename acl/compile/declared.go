package compile

import (
	"maps"
	"slices"
	"time"
)

// Declared is what people have declared for the whole mesh.
type Declared struct {
	Levels []string             // of lockdown, each by its name
	Glass  map[string]time.Time // ids of break-glasses that lift conditions, and until when; the zero time has passed
}

func (d *Declared) level(name string) bool { return slices.Contains(d.Levels, name) }

func (d Declared) equal(o Declared) bool {
	return slices.Equal(d.Levels, o.Levels) && maps.EqualFunc(d.Glass, o.Glass, time.Time.Equal)
}

// Declare puts what is declared in the place of what was.
func (m *Mesh) Declare(d Declared) Change {
	return m.turnTo(func() { m.declared = Declared{slices.Clone(d.Levels), maps.Clone(d.Glass)} })
}

// Advance tells the mesh from which day on nodes are to know schedules, and the
// time as [Mesh.At] does. They know them ahead, so only another day changes what
// they are told.
func (m *Mesh) Advance(now time.Time) Change {
	m.At(now)
	if day := dayOf(now); !day.Equal(m.day) {
		if len(m.book.schedules) > 0 {
			return m.turnTo(func() { m.day = day })
		}
		m.day = day
	}
	return Change{}
}

// At tells the mesh at which time it is to judge and to explain. A mesh that was
// never told it keeps every schedule shut, and takes no fact for true.
func (m *Mesh) At(now time.Time) { m.now = now }

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// turnTo changes what all rules depend on, and tells whose rules that changes.
func (m *Mesh) turnTo(change func()) Change {
	before := make(map[*profile]*Set, len(m.profiles))
	for _, p := range m.profiles {
		before[p] = m.setOf(p)
	}
	change()
	m.forget()
	var told Change
	for p, was := range before {
		p.rewrite()
		if !was.equal(m.setOf(p)) {
			told.crowds = append(told.crowds, crowd{p.ids, News{Rules: true}})
		}
	}
	return told
}

// forget forgets on what grounds parts stand.
func (m *Mesh) forget() {
	m.lifted = nil
	for _, part := range m.book.parts {
		part.grounds, part.latest, part.whens = nil, keyed{}, nil
	}
}
