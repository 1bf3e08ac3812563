package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// hosted gives the addresses that are a node's, or a seat's there.
func hosted(n compile.Node) []netip.Addr {
	all := slices.Clone(n.Addrs)
	for _, s := range n.Seats {
		all = append(all, s.Addrs...)
	}
	return all
}

// seat tells whether an address is one of a seat.
func (w world) seat(a netip.Addr) bool {
	n, ok := w.hostOf(a)
	return ok && !slices.Contains(n.Addrs, a)
}

// drawSeated draws a node at which perhaps people sit.
func drawSeated(t *rapid.T, id string) compile.Node {
	n := drawNode(t, id)
	for i := range rapid.IntRange(-2, 2).Draw(t, "seats") {
		n.Seats = append(n.Seats, drawSeat(t, id, i))
	}
	return n
}

// drawSeat draws the i-th seat at a node, at the mesh's addresses as all seats are: where
// rules know it as they know the node, and where they do not.
func drawSeat(t *rapid.T, id string, i int) compile.Seat {
	s := compile.Seat{Session: fmt.Sprint(id, "-", i)}
	for _, base := range rapid.SampledFrom([][]string{{"100.64.1.%s%d", "fd7a::1%s%d"}, {"100.64.1.%s%d"}, {"100.64.0.7"}, {"100.64.0.1"}}).Draw(t, "seat at") {
		if strings.Contains(base, "%") {
			base = fmt.Sprintf(base, id[1:], i)
		}
		s.Addrs = append(s.Addrs, netip.MustParseAddr(base))
	}
	if rapid.Bool().Draw(t, "fact") {
		s.Facts = []acl.FactEnd{{Fact: policy.SignedInFact, Until: seatEnd().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "hours")) * time.Hour)}}
	}
	return s
}

func seatEnd() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }

const seats = `{"tagOwners": {"tag:ward": [], "tag:ehr": [], "tag:other": [], "tag:admin": []}, "grants": [
  {"id": "to", "src": ["tag:admin"], "dst": ["100.64.9.0/24"], "ip": ["22"]},
  {"id": "ward", "src": ["tag:ward"], "dst": ["tag:ehr"], "ip": ["80"]},
  {"id": "ana", "src": ["ana@h"], "srcDevice": ["tag:ward"], "dst": ["tag:ehr"], "ip": ["443"]},
  {"id": "ssh", "src": ["tag:ehr"], "dst": ["tag:ward"], "ip": ["22"]},
  {"id": "net", "src": ["100.64.9.0/24"], "dst": ["tag:other"], "ip": ["22"]}]}`

// shared gives a mesh of a ward's machine (1), a server (2), another (3) and an admin's (4), and what
// seats at the first have to be put with.
func shared(t *testing.T) (m *compile.Mesh, sit func(...compile.Seat) compile.Change) {
	m = compile.New(parse(t, seats), ranges())
	m.RequireSignIn(true)
	m.At(seatEnd().Add(-time.Hour))
	pc := compile.Node{ID: "pc", Name: "pc", Tags: []string{"tag:ward"}, Addrs: []netip.Addr{addr("100.64.0.1"), addr("fd7a::1")}}
	m.Load([]compile.Node{pc, {ID: "ehr", Name: "ehr", Tags: []string{"tag:ehr"}, Addrs: []netip.Addr{addr("100.64.0.2"), addr("fd7a::2")}},
		{ID: "other", Tags: []string{"tag:other"}, Addrs: []netip.Addr{addr("100.64.0.3")}}, {ID: "admin", Tags: []string{"tag:admin"}, Addrs: []netip.Addr{addr("100.64.0.4")}}})
	return m, func(all ...compile.Seat) compile.Change {
		pc.Seats = all
		return m.Put(pc)
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// anasSeat is that of a person for whom a rule is; those of others have no facts.
func anasSeat(t *testing.T, m *compile.Mesh) compile.Seat {
	t.Helper()
	e := compile.Evidence{Person: compile.Node{User: "ana@h"}, SignedIn: seatEnd(), Presence: &compile.Presence{Kind: "login", Until: seatEnd()}}
	facts := m.FactsOf(&e, seatEnd().Add(-time.Hour))
	if len(facts) != 2 {
		t.Fatalf("she who sits there has %v", facts)
	}
	return compile.Seat{Session: "s1", Addrs: []netip.Addr{addr("100.64.1.1"), addr("fd7a::11")}, Facts: facts}
}

// From a seat one may what the machine may, and who sits there; nobody else at the
// machine has that, and nobody reaches a seat.
func TestSeatIsItsPersons(t *testing.T) {
	m, sit := shared(t)
	sit(anasSeat(t, m), compile.Seat{Session: "s2", Addrs: []netip.Addr{addr("100.64.1.2")}})
	open := func(src, dst string, port uint16) bool { return m.Allowed(addr(src), addr(dst), acl.TCP, port) }
	for _, c := range []struct {
		src, dst string
		port     uint16
		want     bool
	}{
		{"100.64.1.1", "100.64.0.2", 443, true}, {"fd7a::11", "fd7a::2", 443, true}, // ana's rule
		{"100.64.1.2", "100.64.0.2", 443, false}, {"100.64.0.1", "100.64.0.2", 443, false},
		{"100.64.1.1", "100.64.0.2", 80, true}, {"100.64.1.2", "100.64.0.2", 80, true}, {"100.64.0.1", "100.64.0.2", 80, true},
		{"100.64.0.2", "100.64.0.1", 22, true}, {"100.64.0.2", "100.64.1.1", 22, false},
	} {
		if got := open(c.src, c.dst, c.port); got != c.want {
			t.Errorf("%s to %s on %d: %v\n%s", c.src, c.dst, c.port, got, m.Explain(addr(c.src), addr(c.dst), acl.TCP, c.port).Text)
		}
	}
	if m.Answers("pc", addr("100.64.1.1")) {
		t.Error("the machine answers at a seat")
	}
	if text := m.Explain(addr("100.64.0.2"), addr("100.64.1.1"), acl.TCP, 22).Text; !strings.Contains(text, "pc (100.64.1.1, the seat of session s1) is where somebody sits") {
		t.Errorf("explained by %q", text)
	}
	if d := m.Derive(addr("100.64.1.1"), addr("100.64.0.2"), acl.TCP, 443); !strings.Contains(strings.Join(d.Who, "\n"), "known: ") {
		t.Errorf("of her who sits there it is known: %q", d.Who)
	}
	m.At(seatEnd())
	if open("100.64.1.1", "100.64.0.2", 443) {
		t.Error("the right outlives the sign-in")
	}
}

// Who sits down and stands up changes one record, and no rule anywhere; that somebody
// stood up is told in a hurry, that somebody sat down is not.
func TestSittingDownChangesNoRule(t *testing.T) {
	m, sit := shared(t)
	class, _ := m.ClassOf(addr("100.64.0.1"))
	tell := func(what string, c compile.Change, ended bool) {
		t.Helper()
		for id, v := range changeOf(c) {
			if v.rules || v.self != (id == "pc") || v.ended != ended || id == "ehr" && !slices.Equal(v.upserted, []string{"pc"}) {
				t.Errorf("%s: %s is told %+v", what, id, v)
			}
		}
		if told := slices.Collect(c.Views()); len(told) != 2 {
			t.Errorf("%s: told are %+v", what, told)
		}
	}
	seat := anasSeat(t, m)
	tell("sat down", sit(seat), false)
	told := m.Seats("pc")
	if len(told) != 1 || told[0].Session != "s1" || len(told[0].Facts) != 2 || !slices.Equal(told[0].Prefixes, []acl.PrefixClass{{Prefix: netip.MustParsePrefix("100.64.1.1/32"), Class: class}, {Prefix: netip.MustParsePrefix("fd7a::11/128"), Class: class}}) {
		t.Errorf("told of the seat: %+v, the machine's class is %d", told, class)
	}
	if len(m.Facts("pc")) > 0 || len(m.Prefixes("pc")) != 2 {
		t.Errorf("of the machine itself: %v, %v", m.Facts("pc"), m.Prefixes("pc"))
	}
	tell("another beside her", sit(seat, compile.Seat{Session: "s2", Addrs: []netip.Addr{addr("100.64.1.2")}}), false)
	tell("the other is gone", sit(seat), true)
	later := seat
	later.Facts = []acl.FactEnd{{Fact: seat.Facts[0].Fact, Until: seatEnd().Add(time.Hour)}, {Fact: seat.Facts[1].Fact, Until: seatEnd().Add(time.Hour)}}
	tell("proved anew", sit(later), false)
	tell("ends sooner", sit(seat), true)
	moved := seat
	moved.Addrs = []netip.Addr{addr("100.64.1.9")}
	tell("another address", sit(moved), true)
	if c := sit(moved); !c.Empty() {
		t.Errorf("as it was, and told are %+v", c)
	}
}

// Where the policy names a network that a seat's address is in, and its machine's own
// is not, the seat has that name's rights besides, for as long as it is there; and is
// still no destination.
func TestSeatInANamedNetwork(t *testing.T) {
	m, sit := shared(t)
	seat := compile.Seat{Session: "s1", Addrs: []netip.Addr{addr("100.64.9.1")}}
	if m.Sees("pc", "other") {
		t.Fatal("peers before anybody sits there")
	}
	sit(seat)
	if !m.Sees("pc", "other") || !m.Allowed(addr("100.64.9.1"), addr("100.64.0.3"), acl.TCP, 22) || m.Allowed(addr("100.64.0.1"), addr("100.64.0.3"), acl.TCP, 22) {
		t.Error("the network's rule does not count for the seat, or for the machine too")
	}
	ofAdmin := func(r acl.Rule) bool { return r.ID == "to" }
	if peers := slices.DeleteFunc(slices.AppendSeq(slices.Collect(m.Peers("admin")), m.Peers("pc")), func(id string) bool { return id == "ehr" || id == "other" }); m.Allowed(addr("100.64.0.4"), addr("100.64.9.1"), acl.TCP, 22) || len(peers) > 0 || slices.ContainsFunc(m.Rules("pc").In, ofAdmin) {
		t.Errorf("a rule leads to the seat: peers %v, rules %v", peers, m.Rules("pc").In)
	}
	sit()
	if m.Sees("pc", "other") {
		t.Error("peers though nobody sits there any more")
	}
}

// Whoever claims another's address takes nobody's rights: neither has it.
func TestContestedSeatIsNobodys(t *testing.T) {
	m, sit := shared(t)
	seat := anasSeat(t, m)
	sit(seat)
	m.Put(compile.Node{ID: "thief", Tags: []string{"tag:other"}, Addrs: seat.Addrs})
	if m.Allowed(seat.Addrs[0], addr("100.64.0.2"), acl.TCP, 443) || len(m.Seats("pc")[0].Prefixes) > 0 || len(m.Prefixes("thief")) > 0 {
		t.Errorf("two have one address: %+v, %v", m.Seats("pc"), m.Prefixes("thief"))
	}
	own := seat
	own.Addrs = []netip.Addr{addr("100.64.0.1")}
	if sit(own); m.Allowed(addr("100.64.0.1"), addr("100.64.0.2"), acl.TCP, 443) {
		t.Error("the machine's own address is a seat's")
	}
}
