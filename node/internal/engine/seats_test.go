package engine_test

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/engine"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// seat is what a session has of its own, in class 9.
func seat(session string, addresses ...string) wire.Seat {
	s := wire.Seat{Session: session, Facts: []acl.FactEnd{{Fact: acl.Fact(session), Until: time.Unix(1e9, 0)}}}
	for _, text := range addresses {
		a := netip.MustParseAddr(text)
		s.Addresses = append(s.Addresses, a)
		s.Prefixes = append(s.Prefixes, acl.PrefixClass{Prefix: netip.PrefixFrom(a, a.BitLen()), Class: 9})
	}
	return s
}

func accounts(all []plane.Seat) (uids []uint32) {
	for _, s := range all {
		uids = append(uids, s.UID)
	}
	return uids
}

// An account's addresses go over to nobody: who is gone has none, and who comes has
// others. Only a change is told.
func TestSeatsAreTold(t *testing.T) {
	m := mapAt(1)
	drive(t, func(t *testing.T, e *engine.Engine, p *parts) {
		knowing(t, e, p)
		e.SetMap(m)
	}, func(t *testing.T, e *engine.Engine, p *parts) {
		asked(t, p, everything...)
		if want := (plane.Seat{UID: 1000, Addresses: []netip.Addr{netip.MustParseAddr("100.64.9.1")}}); len(p.seats) != 1 || !p.seats[0].Same(want) {
			t.Errorf("told %v, want %v", p.seats, want)
		}
		m.Revision, m.Self.Seats = 2, []wire.Seat{seat("s1", "100.64.9.1", "fd00::9")}
		e.SetMap(m)
		asked(t, p, "plane", "seats", "plane")
		m.Revision, m.Self.Seats = 3, []wire.Seat{seat("s1", "100.64.9.1", "fd00::9")}
		e.SetMap(m)
		asked(t, p, "plane")
		m.Revision, m.Self.Seats, m.Self.Sessions = 4, nil, nil
		e.SetMap(m)
		asked(t, p, "plane", "seats")
		if len(p.seats) != 0 {
			t.Errorf("after the session's end: %v", p.seats)
		}
	})
}

// What names no account of a person on this system gets no addresses on it.
func TestSeatsAreOfAccounts(t *testing.T) {
	for account, want := range map[string][]uint32{
		"1000": {1000}, "1": {1}, "4294967294": {4294967294},
		"": nil, "0": nil, "4294967295": nil, "4294967296": nil, "-1": nil, "+7": nil, "007": nil, "ada": nil,
	} {
		m := mapAt(1)
		m.Self.Sessions[0].Seat = account
		if got := accounts(engine.Derive(&engine.Input{Map: m}).Seats); !slices.Equal(got, want) {
			t.Errorf("account %q has seats %v, want %v", account, got, want)
		}
	}
	m := mapAt(1)
	m.Self.Seats[0].Session = "s2"
	if got := engine.Derive(&engine.Input{Map: m}).Seats; len(got) != 0 {
		t.Errorf("a seat of no session: %v", got)
	}
}

// What may not be held to an account may not pass the rules either.
func TestRulesKnowTheSeatsOfAccounts(t *testing.T) {
	m := mapAt(1)
	m.Self.Sessions = []wire.Session{{ID: "s1", Seat: "1000"}, {ID: "s2", Seat: "root"}, {ID: "s3", Seat: "1000"}, {ID: "s4", Seat: "7"}}
	m.Self.Seats = []wire.Seat{seat("s1", "100.64.9.1"), seat("s2", "100.64.9.2"), seat("s3", "100.64.9.3"), seat("s4", "100.64.9.4")}
	m.Self.Seats[3].Prefixes = nil // in no class, and this node's all the same
	known := engine.Derive(&engine.Input{Map: m}).Plane.Self.Seats
	want := []acl.Seat{
		{Session: "s4", Prefixes: []acl.PrefixClass{{Prefix: prefix("100.64.9.4/32")}}, Facts: m.Self.Seats[3].Facts},
		{Session: "s1", Prefixes: m.Self.Seats[0].Prefixes, Facts: m.Self.Seats[0].Facts},
	}
	if !reflect.DeepEqual(known, want) {
		t.Errorf("%+v, want %+v", known, want)
	}
}

// A peer speaks for its seats, which are not its own addresses.
func TestSeatsOfAPeer(t *testing.T) {
	m := mapAt(1)
	b := m.Peers["n-b"]
	b.Seats = []wire.Seat{seat("s7", "100.64.9.7", "fd00::7"), seat("s8", "100.64.0.8")}
	b.Addresses = append(make([]netip.Addr, 0, 8), b.Addresses...) // with room that is not ours
	m.Peers["n-b"] = b
	p := engine.Derive(&engine.Input{Map: m, TunnelKey: key.NewTunnel()}).Plane.Peers[1]
	allowed := []netip.Prefix{prefix("10.1.0.0/16"), prefix("10.9.0.0/16"), prefix("100.64.0.3/32"), prefix("100.64.0.8/32"), prefix("100.64.9.7/32"), prefix("fd00::7/128")}
	if !slices.Equal(p.Allowed, allowed) {
		t.Errorf("speaks for %v, want %v", p.Allowed, allowed)
	}
	if len(p.Seats) != 2 || p.Seats[0].Session != "s7" || !slices.Equal(p.Seats[0].Prefixes, b.Seats[0].Prefixes) || !slices.Equal(p.Seats[1].Facts, b.Seats[1].Facts) {
		t.Errorf("its seats are %+v", p.Seats)
	}
	for _, c := range p.Prefixes {
		if c.Prefix == prefix("100.64.9.7/32") || c.Prefix == prefix("100.64.0.8/32") {
			t.Errorf("%s is the machine's too", c.Prefix)
		}
	}
	if room := b.Addresses[:2]; room[1].IsValid() {
		t.Errorf("the map was written to: %v", room)
	}
}

func TestSeatsAreSortedAndOnePerAccount(t *testing.T) {
	m := mapAt(1)
	m.Self.Sessions = []wire.Session{{ID: "s1", Seat: "1000"}, {ID: "s2", Seat: "7"}, {ID: "s3", Seat: "1000"}}
	m.Self.Seats = []wire.Seat{seat("s1", "100.64.9.1"), seat("s2", "100.64.9.2"), seat("s3", "100.64.9.3")}
	got := engine.Derive(&engine.Input{Map: m}).Seats
	if !slices.Equal(accounts(got), []uint32{7, 1000}) || got[1].Addresses[0] != netip.MustParseAddr("100.64.9.1") {
		t.Errorf("%v, want 7 and 1000 with its first seat", got)
	}
}

// A plane that knows of a seat takes what comes from its address for that person's. So
// it knows of those alone that are tied: of nobody while they cannot be, also of nobody
// that it knew.
func TestUntiedSeatsAreUnknownToThePlane(t *testing.T) {
	known := func(t *testing.T, p *parts, when string, want ...string) {
		t.Helper()
		synctest.Wait()
		var got []string
		for _, s := range p.config.Self.Seats {
			got = append(got, s.Session)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s the plane knows of %v, want %v", when, got, want)
		}
	}
	drive(t, failing("seats"), func(t *testing.T, e *engine.Engine, p *parts) {
		time.Sleep(time.Minute)
		known(t, p, "untied")
		p.setFail("seats", nil)
		time.Sleep(time.Minute)
		known(t, p, "tied", "s1")
		m := mapAt(2)
		m.Self.Sessions = append(m.Self.Sessions, wire.Session{ID: "s2", Seat: "7"})
		m.Self.Seats = append(m.Self.Seats, seat("s2", "100.64.9.2"))
		p.setFail("seats", errors.New("no"))
		e.SetMap(m)
		known(t, p, "untied again")
		p.setFail("seats", nil)
		time.Sleep(time.Minute)
		known(t, p, "tied again", "s2", "s1")
		p.take()
		e.CheckSeats()
		asked(t, p, "seats")
		p.setFail("seats", errors.New("no"))
		e.CheckSeats()
		known(t, p, "when what ties them was lost")
		asked(t, p, "seats", "plane")
	})
}
