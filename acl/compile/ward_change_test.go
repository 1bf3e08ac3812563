package compile_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// TestWardChangesAreExact plays random changes of a hospital: of its nodes, what is
// known of them, what is declared, the time and the policy. After each the mesh must
// be as a fresh one, and the Change what a comparison of all views finds.
func TestWardChangesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWard(t)
		w.site = drawSite(t)
		w.site.nodes = map[string]compile.Node{}
		m := w.mesh(t)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			all := world{nodes: maps.Clone(w.site.nodes)}
			before, given := all.snapshot(m), all.given(m)
			change, put := w.step(t, m)
			all.nodes = w.site.nodes
			after := all.snapshot(m)
			want := difference(before, after)
			got := changeOf(change)
			checkEnded(t, got, want, before, after, put)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("change\n%+v, want\n%+v\n%s\n%+v", got, want, w.text(), w.site)
			}
			checkGiven(t, given, before)
			w.checkFresh(t, m, after)
		}
	})
}

// step makes one change, and tells which node it put.
func (w *ward) step(t *rapid.T, m *compile.Mesh) (change compile.Change, put string) {
	id := draw(t, "id", idPool())
	switch rapid.IntRange(0, 10).Draw(t, "step") {
	case 0:
		w.edit(t)
		return m.SetPolicy(w.parse(t)), ""
	case 1:
		delete(w.site.nodes, id)
		return m.Remove(id), ""
	case 2:
		w.site.declared = drawDeclared(t)
		return m.Declare(w.site.declared), ""
	case 3:
		w.site.now = w.site.now.Add(draw(t, "later", []time.Duration{time.Minute, 7 * time.Hour, 24 * time.Hour, 100 * time.Hour}))
		return m.Advance(w.site.now), ""
	case 4:
		w.site.signIn = !w.site.signIn
		return m.RequireSignIn(w.site.signIn), ""
	}
	n, known := w.site.nodes[id]
	if !known || oneIn(t, 3, "another") {
		n = withDevices(t, drawNode(t, id))
	}
	if oneIn(t, 4, "devices") {
		n.Devices = nil
		n = withDevices(t, n)
	}
	if oneIn(t, 2, "evidence") {
		e := drawEvidence(t, w.site.now)
		n.Facts = m.FactsOf(&e, w.site.now)
	} else {
		n.Facts = drawFacts(t)
	}
	w.site.nodes[id] = n
	return m.Put(n), id
}

// drawFacts draws facts as no evidence makes them: twice, of nothing, without an end.
func drawFacts(t *rapid.T) []acl.FactEnd {
	var all []acl.FactEnd
	for _, f := range some(t, "facts", []string{"posture:managed", "posture:sick", "oncall:icu", "risk:<70", "signed-in", "what no rule asks for"}, 0, 4) {
		for range rapid.IntRange(1, 2).Draw(t, "times") {
			all = append(all, acl.FactEnd{Fact: acl.Fact(f), Until: drawEnd(t)})
		}
	}
	return all
}

// edit changes a policy a little.
func (w *ward) edit(t *rapid.T) {
	site := w.site
	other := drawWard(t)
	switch rapid.IntRange(0, 6).Draw(t, "edit") {
	case 0:
		*w = *other
	case 1:
		w.groups = other.groups
	case 2:
		w.forbids = w.forbids[:len(w.forbids)/2]
	case 3:
		w.lifts, w.glasses = nil, nil
	case 4:
		w.lifts = slices.Clone(w.lifts)
		slices.Reverse(w.lifts)
	case 5:
		w.segments = slices.Clone(w.segments)
		for i := range w.segments {
			w.segments[i].offline += time.Hour
		}
	case 6:
		w.grants = slices.Clone(w.grants)
		for i := range w.grants {
			w.grants[i].drain += time.Minute
		}
	}
	w.site = site
}

// sooner tells whether a fact is no more, or ends sooner.
func sooner(was, is []acl.FactEnd) bool {
	until := map[acl.Fact]time.Time{}
	for _, e := range is {
		until[e.Fact] = e.Until
	}
	return slices.ContainsFunc(was, func(e acl.FactEnd) bool { return until[e.Fact].Before(e.Until) })
}

func (w *ward) checkFresh(t *rapid.T, m *compile.Mesh, after map[string]seen) {
	fresh := compile.New(w.parse(t), ranges())
	fresh.Declare(w.site.declared)
	fresh.Advance(w.site.now)
	fresh.RequireSignIn(w.site.signIn)
	fresh.Load(slices.Collect(maps.Values(w.site.nodes)))
	if want := (world{nodes: w.site.nodes}).snapshot(fresh); !reflect.DeepEqual(after, want) {
		t.Fatalf("mesh\n%+v\nfresh\n%+v\n%s\n%+v", after, want, w.text(), w.site)
	}
	if got, want := classesOf(m), classesOf(fresh); !maps.Equal(got, want) {
		t.Fatalf("classes\n%v\nfresh\n%v\n%s\n%+v", got, want, w.text(), w.site)
	}
}
