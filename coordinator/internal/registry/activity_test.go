package registry_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Activity moves on nothing but itself: never beyond now, never back, never the end
// of a session, and never for whoever comes next.
func TestActivityProlongsNoSession_A22(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	_, shared := m.join("cart", registry.CreateToken{})
	m.do(registry.TagNode{Node: shared.ID, Tags: []string{"tag:shared"}})
	s := m.signIn("s1", n, person("ana@clinic.example"))
	m.signIn("s2", shared, person("ben@clinic.example"))
	pause := time.Duration(0)
	note := func(at time.Time, nodes ...string) bool {
		t.Helper()
		c := registry.NoteActive{Of: map[registry.Sitting]registry.Activity{}}
		for _, id := range nodes {
			c.Of[registry.Sitting{Node: id}] = registry.Activity{At: at, Pause: pause}
		}
		r := m.do(c)
		if len(m.last.Records) > 0 {
			t.Errorf("the audit is told: %+v", m.last.Records)
		}
		return r.Changed
	}
	active := func(id string) time.Time { return m.state.SessionsAt(id)[0].LastActive() }
	if !active(n.ID).Equal(noon) {
		t.Errorf("active at %s before anything was told", active(n.ID))
	}
	m.now = noon.Add(10 * time.Minute)
	pause = 30 * time.Minute // of which most was before the session
	for name, at := range map[string]time.Time{"as it was": noon, "before the session": noon.Add(-time.Hour), "never": {}} {
		if note(at, n.ID, "n-unknown") {
			t.Errorf("%s: something changed", name)
		}
	}
	if !note(m.now.Add(-time.Minute), n.ID, shared.ID) || !active(n.ID).Equal(noon.Add(9*time.Minute)) || !active(shared.ID).Equal(noon.Add(9*time.Minute)) {
		t.Errorf("active at %s and %s", active(n.ID), active(shared.ID))
	}
	if p := m.state.SessionsAt(n.ID)[0].Pause; p != 9*time.Minute {
		t.Errorf("a pause of %s", p)
	}
	pause = 3 * time.Second
	if note(m.now.Add(-2*time.Minute), n.ID) {
		t.Error("activity went back")
	}
	if !note(m.now.Add(100*time.Hour), n.ID) || !active(n.ID).Equal(m.now) {
		t.Errorf("told of the time to come: active at %s, it is %s", active(n.ID), m.now)
	}
	if p := m.state.SessionsAt(n.ID)[0].Pause; p != 9*time.Minute {
		t.Errorf("a pause of %s is forgotten: %s", 9*time.Minute, p)
	}
	after := m.state.SessionsAt(n.ID)[0]
	if !after.Until.Equal(s.Until) || !after.Heard.Equal(s.Heard) || len(after.Logins) != 1 || !after.Logins[0].Until.Equal(s.Until) {
		t.Errorf("activity made of %+v: %+v", s, after)
	}
	again := m.signIn("s4", n, person("ana@clinic.example"))
	if again.ID != s.ID || again.Pause != 0 {
		t.Errorf("a new proof goes on as %+v", again)
	}
	m.signIn("s3", shared, person("cem@clinic.example"))
	if !active(shared.ID).Equal(m.now) || note(noon.Add(9*time.Minute), shared.ID) {
		t.Errorf("who comes next inherits activity: %s", active(shared.ID))
	}
	m.now = again.Until
	if note(m.now, n.ID) {
		t.Error("a session that has ended is active")
	}
	big := registry.NoteActive{Of: make(map[registry.Sitting]registry.Activity)}
	for i := range 100_001 {
		big.Of[registry.Sitting{Node: time.Duration(i).String()}] = registry.Activity{At: m.now}
	}
	m.refused(big, registry.ErrInvalid)
}
