package compile_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// What is forbidden at one address of a machine is so at the other, as source and as
// destination: names lead to both, and who is shut out would take the one left open.
func TestForbidsHoldForAllOfAMachine(t *testing.T) {
	for _, forbid := range []string{
		`{"src": ["*"], "dst": ["ehr-box"]}`, `{"src": ["*"], "dst": ["fd7a::2"]}`, `{"src": ["*"], "dst": ["ipset:boxes"]}`, `{"src": ["*"], "dst": ["seg:ehr"]}`,
		`{"src": ["100.64.0.1"], "dst": ["tag:ehr"]}`, `{"src": ["fd7a::1"], "dst": ["tag:ehr"]}`,
	} {
		m := compile.New(parse(t, `{"tagOwners": {"tag:ehr": [], "tag:cart": []}, "hosts": {"ehr-box": "100.64.0.2"}, "ipsets": {"ipset:boxes": ["100.64.0.2/31"]},
			"groups": {"group:it": ["ada@h"]}, "segments": {"seg:ehr": {"members": ["100.64.0.2"], "owner": "group:it"}},
			"grants": [{"src": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}], "forbid": [`+forbid+`]}`), ranges())
		m.Load([]compile.Node{
			{ID: "cart", Tags: []string{"tag:cart"}, Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")},
			{ID: "other", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.4", "fd7a::4")}, {ID: "cart2", Tags: []string{"tag:cart"}, Addrs: two("100.64.0.5", "fd7a::5")},
		})
		for _, flow := range [][2]string{{"100.64.0.1", "100.64.0.2"}, {"fd7a::1", "fd7a::2"}} {
			if m.Allowed(addr(flow[0]), addr(flow[1]), acl.TCP, 443) {
				t.Errorf("%s lets %s reach %s", forbid, flow[0], flow[1])
			}
		}
		if !m.Allowed(addr("fd7a::5"), addr("fd7a::4"), acl.TCP, 443) {
			t.Errorf("%s forbids what it does not name", forbid)
		}
	}
}

func two(v4, v6 string) []netip.Addr { return []netip.Addr{addr(v4), addr(v6)} }

// inSegments is a policy of a segment with a floor and lives that hang on it, of which
// members are as given; whoever is of group:it gets in by tag, by the machine's other
// address and by the segment's name.
func inSegments(members string) string {
	return `{"tagOwners": {"tag:ehr": []}, "hosts": {"ehr-box": "100.64.0.2"}, "ipsets": {"ipset:boxes": ["100.64.0.2/31"]},
		"groups": {"group:it": ["ada@h"]}, "segments": {"seg:ehr": {"members": [` + members + `], "owner": "group:it", "impact": "life",
			"requires": {"mfa": {"within": "1h"}}, "offline": {"hold": "2h"}}, "seg:else": {"members": ["tag:ehr"], "owner": "group:it"}},
		"breakGlass": [{"id": "glass", "segments": ["seg:ehr", "seg:else"], "declare": {"by": "group:it", "count": 1}, "waives": ["mfa"], "maxDuration": "1h", "alert": ["group:it"]}],
		"grants": [
			{"id": "tag", "src": ["group:it"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "log": "off"},
			{"id": "six", "src": ["group:it"], "dst": ["fd7a::/125"], "ip": ["tcp:22"]}]}`
}

// A machine is in a segment with all of its addresses: whoever is asked for more at one
// would take the other. What is behind it is not, nor is another machine.
func TestMachineIsInASegmentAsAWhole(t *testing.T) {
	for _, members := range []string{`"ehr-box"`, `"100.64.0.2"`, `"fd7a::2"`, `"ipset:boxes"`, `"100.64.0.2/31"`, `"fd7a::2/127"`} {
		m := compile.New(parse(t, inSegments(members)), ranges())
		m.Advance(wardStart())
		ada := compile.Node{ID: "ada", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}
		m.Load([]compile.Node{ada, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2"), Routes: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}},
			{ID: "other", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.4", "fd7a::4")}})
		open := func(dst string, port uint16) bool {
			src := "100.64.0.1"
			if addr(dst).Is6() {
				src = "fd7a::1"
			}
			return m.Allowed(addr(src), addr(dst), acl.TCP, port)
		}
		if open("100.64.0.2", 443) || open("fd7a::2", 443) || open("fd7a::2", 22) {
			t.Errorf("%s: without the floor open are %v, %v and %v", members, open("100.64.0.2", 443), open("fd7a::2", 443), open("fd7a::2", 22))
		}
		if !open("100.64.0.4", 443) || !open("fd7a::4", 443) || !open("fd7a::4", 22) {
			t.Errorf("%s: the floor is another machine's", members)
		}
		for _, r := range m.Rules("ehr").In {
			if len(r.Needs) == 0 || r.Log != acl.LogFlows || r.Hold != 2*time.Hour {
				t.Errorf("%s: a rule into it: %+v", members, r)
			}
		}
		for _, r := range m.Rules("other").In {
			if len(r.Needs) > 0 || r.ID == "tag" && r.Log != acl.LogOff || r.Hold != compile.DefaultHold {
				t.Errorf("%s: a rule to another: %+v", members, r)
			}
		}
		wanted := func(s policy.Segment) bool { return s.Name == "seg:ehr" }
		for prefix, want := range map[string]bool{"100.64.0.2/32": true, "fd7a::2/128": true, "10.9.0.0/24": false, "fd7a::4/128": false} {
			if got := m.PickSegments(wanted)(compile.Node{}, netip.MustParsePrefix(prefix)); got != want {
				t.Errorf("%s: %s in the segment: %v", members, prefix, got)
			}
		}
		m.Declare(compile.Declared{Glass: map[string]time.Time{"glass": wardStart().Add(time.Hour)}})
		if !open("100.64.0.2", 443) || !open("fd7a::2", 443) || !open("fd7a::2", 22) {
			t.Errorf("%s: a broken glass leaves closed: %v, %v, %v", members, !open("100.64.0.2", 443), !open("fd7a::2", 443), !open("fd7a::2", 22))
		}
	}
}

// A segment that is only monitored lets pass at both addresses of its machine; a rule to
// a segment opens no address but the one that is written, as rules to addresses do.
func TestSegmentOpensWhatIsWritten(t *testing.T) {
	for mode, want := range map[string][2]bool{`"mode": "monitor", "until": "2099-01-01"`: {true, true}, `"mode": "enforce"`: {true, false}} {
		m := compile.New(parse(t, `{"groups": {"group:it": ["ada@h"]}, "segments": {"seg:ehr": {"members": ["100.64.0.2"], "owner": "group:it", `+mode+`}},
			"grants": [{"src": ["ada@h"], "dst": ["seg:ehr"], "ip": ["*"]}]}`), ranges())
		m.Advance(wardStart())
		m.Load([]compile.Node{{ID: "ada", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Addrs: two("100.64.0.2", "fd7a::2")}})
		if got := [2]bool{m.Allowed(addr("100.64.0.1"), addr("100.64.0.2"), acl.TCP, 1), m.Allowed(addr("fd7a::1"), addr("fd7a::2"), acl.TCP, 1)}; got != want {
			t.Errorf("%s: open are %v, want %v", mode, got, want)
		}
	}
}

// What is forbidden to a machine by one of its addresses is so to whoever has a seat
// there; by an address of a seat, to that seat alone, at both of its addresses.
func TestForbidsHoldForAllOfASeat(t *testing.T) {
	for src, want := range map[string][3]bool{"100.64.0.1": {false, false, false}, "100.64.1.1": {true, false, true}, "fd7a::11": {true, false, true}} {
		m := compile.New(parse(t, `{"tagOwners": {"tag:pc": [], "tag:ehr": []}, "grants": [{"src": ["tag:pc"], "dst": ["tag:ehr"], "ip": ["*"]}],
			"forbid": [{"src": ["`+src+`"], "dst": ["tag:ehr"]}]}`), ranges())
		pc := compile.Node{ID: "pc", Tags: []string{"tag:pc"}, Addrs: two("100.64.0.1", "fd7a::1"), Seats: []compile.Seat{
			{Session: "s1", Addrs: two("100.64.1.1", "fd7a::11")}, {Session: "s2", Addrs: two("100.64.1.2", "fd7a::12")}}}
		m.Load([]compile.Node{pc, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")}})
		for i, from := range [][]netip.Addr{pc.Addrs, pc.Seats[0].Addrs, pc.Seats[1].Addrs} {
			if got := [2]bool{m.Allowed(from[0], addr("100.64.0.2"), acl.TCP, 1), m.Allowed(from[1], addr("fd7a::2"), acl.TCP, 1)}; got != [2]bool{want[i], want[i]} {
				t.Errorf("forbidden to %s: from %v open are %v, want %v", src, from, got, want[i])
			}
		}
		one := pc // whose seat then loses, and gets again, the address that is named
		for _, addrs := range [][]netip.Addr{two("100.64.1.1", "fd7a::99"), two("100.64.1.99", "fd7a::11"), pc.Seats[0].Addrs} {
			one.Seats = []compile.Seat{{Session: "s1", Addrs: addrs}}
			m.Put(one)
			open := src != "100.64.0.1" && !slices.Contains(addrs, addr(src))
			if got := m.Allowed(addrs[0], addr("100.64.0.2"), acl.TCP, 1); got != open {
				t.Errorf("forbidden to %s: from %v open is %v, want %v", src, addrs, got, open)
			}
		}
	}
}
