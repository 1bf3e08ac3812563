package planetest

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Both ends count what passes under a rule with a limit, and refuse what is more, until
// the window ends. A new map does not begin the count anew.
func limits(t *testing.T, p *Pair) {
	r := open("dns", service(acl.UDP, 53, 53))
	size := uint64(len(UDP(A4, B4, 5000, 53)))
	r.Limit = acl.Limit{Bytes: 3 * size, Window: time.Minute, OnExceed: acl.Cut}
	w := newWorld(t, p, r)
	p.Pass(p.Now().Truncate(time.Minute).Add(time.Minute).Sub(p.Now())) // the window begins
	end := p.Now().Truncate(time.Minute).Add(time.Minute)
	w.passes("one", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.passes("its answer", p.B, p.A, UDP(B4, A4, 53, 5000))
	w.passes("a third", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.refused("one more", p.A, p.B, UDP(A4, B4, 5000, 53))
	w.refused("one more answer", p.B, p.A, UDP(B4, A4, 53, 5000))
	w.a.Revision, w.b.Revision = w.a.Revision+1, w.b.Revision+1
	w.apply()
	w.refused("one more under a new map", p.A, p.B, UDP(A4, B4, 5001, 53))
	for name, n := range map[string]Node{"A": p.A, "B": p.B} {
		d := plane.In
		if name == "A" {
			d = plane.Out
		}
		v, until := n.Plane.Explain(question(d, A4, B4, acl.UDP, 53))
		if want := (acl.Verdict{Reason: acl.LimitReached, Rule: "dns"}); v != want || until.Sub(end).Abs() > time.Second {
			t.Errorf("%s explains %+v until %s, want %+v until %s", name, v, until, want, end)
		}
		if all := stats(t, n.Plane).Refusals; len(all) == 0 || all[0].Verdict != v || !all[0].Until.Equal(until) {
			t.Errorf("%s tells of the refusals %+v, want one until %s", name, all, until)
		}
	}
	p.Pass(time.Minute)
	w.passes("one in the next window", p.A, p.B, UDP(A4, B4, 5000, 53))
}
