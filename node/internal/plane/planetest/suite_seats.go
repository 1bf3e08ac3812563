package planetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Two people at A, by the addresses of their sessions.
const (
	ada Address = "100.64.1.1"
	ben Address = "100.64.1.2"
)

func seatOf(session string, at Address, facts ...acl.FactEnd) acl.Seat {
	return acl.Seat{Session: session, Prefixes: []acl.PrefixClass{{Prefix: at.Host(), Class: classA}}, Facts: facts}
}

// seat has sessions at A, by the map of A alone, of B alone, or of both.
func (w *world) seat(atA, atB []acl.Seat) {
	w.t.Helper()
	w.a.Self.Seats, w.b.Peers[0].Seats = atA, atB
	w.b.Peers[0].Allowed = []netip.Prefix{A4.Host(), A6.Host()}
	for _, s := range atB {
		w.b.Peers[0].Allowed = append(w.b.Peers[0].Allowed, s.Prefixes[0].Prefix)
	}
	w.apply()
}

// Each of several people at a machine is judged by themselves, at both ends, as is the
// machine; who leaves, or whose login ends, takes only their own flows along.
func seats(t *testing.T, p *Pair) {
	r := open("ward", service(acl.UDP, 53, 53))
	r.Needs = []acl.Fact{"login"}
	w := newWorld(t, p, r)
	login := func(d time.Duration) acl.FactEnd { return acl.FactEnd{Fact: "login", Until: p.Now().Add(d)} }
	both := []acl.Seat{seatOf("s1", ada, login(time.Minute)), seatOf("s2", ben, login(time.Hour))}
	flow := func(check func(string, Node, Node, []byte), who Address, when string) {
		t.Helper()
		check(string(who)+" "+when, p.A, p.B, UDP(who, B4, 5000, 53))
		check("answer to "+string(who)+" "+when, p.B, p.A, UDP(B4, who, 53, 5000))
	}
	flow(w.refused, ada, "before anybody is there")
	w.seat(both, both)
	flow(w.passes, ada, "signed in")
	flow(w.passes, ben, "signed in")
	w.refused("the machine itself", p.A, p.B, UDP(A4, B4, 5000, 53))
	p.Pass(time.Minute)
	flow(w.refused, ada, "after the login's end")
	flow(w.passes, ben, "after another's end")
	both = []acl.Seat{seatOf("s1", ada, login(time.Hour)), both[1]}
	w.seat(both, both)
	flow(w.passes, ada, "signed in anew")

	// The other end is not believed: neither who is there, nor what they have proved.
	w.seat(both, both[1:])
	w.refused(string(ada)+", of whom the receiver does not know", p.A, p.B, UDP(ada, B4, 5000, 53))
	w.seat(both, []acl.Seat{seatOf("s1", ada), both[1]})
	w.refused(string(ada)+", who has no login to the receiver", p.A, p.B, UDP(ada, B4, 5000, 53))
	w.seat(both[1:], both)
	w.refused(string(ada)+", of whom the sender does not know", p.A, p.B, UDP(ada, B4, 5000, 53))
	flow(w.passes, ben, "when others come and go")
}

// Nobody opens a flow to a seat, whatever the rules say of its class; each end sees to
// that by itself, and the caller hears at once.
func seatsAreNotCalled(t *testing.T, p *Pair) {
	any := service(acl.UDP, 0, 65535)
	w := newWorld(t, p, acl.Rule{ID: "back", Src: []acl.Class{classB}, Dst: []acl.Class{classA}, Open: []acl.Service{any}}, open("there", any))
	there := []acl.Seat{seatOf("s1", ada)}
	w.seat(there, there)
	w.passes("to the machine", p.B, p.A, UDP(B4, A4, 5000, 53))
	w.refused("to a seat", p.B, p.A, UDP(B4, ada, 5000, 53))
	if n := count(t, p.B.Plane, acl.SeatCalled); n != 1 {
		t.Errorf("the caller's own filter refused %d calls, want the one", n)
	}
	if w.answer(p.B, UDP(B4, ada, 5001, 53)) == nil {
		t.Error("the caller hears nothing")
	}
	if v, _ := p.B.Plane.Explain(question(plane.Out, B4, ada, acl.UDP, 53)); v != (acl.Verdict{Reason: acl.SeatCalled}) {
		t.Errorf("explained as %+v", v)
	}
	// To a caller that errs the address is one more of the machine's.
	w.b.Peers[0].Prefixes = append(slices.Clone(w.b.Peers[0].Prefixes), there[0].Prefixes...)
	w.b.Peers[0].Seats = nil
	w.apply()
	w.refused("to a seat, past the caller's own filter", p.B, p.A, UDP(B4, ada, 5002, 53))
	if n := count(t, p.A.Plane, acl.SeatCalled); n != 1 {
		t.Errorf("the called end's filter refused %d calls, want the one", n)
	}
}
