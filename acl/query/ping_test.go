package query_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	rules "github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/policy"
)

// drawServices is a random policy of two rules that open something and one that forbids:
// what they name are services, between two machines alone.
func drawServices(t *rapid.T) string {
	specs := []string{"*", "tcp:22", "tcp:*", "udp:53", "22", "icmp:*", "icmpv6:*", "gre:*", "sctp:9", "sctp:*"}
	rule := func(name string) string {
		ip := rapid.SliceOfNDistinct(rapid.SampledFrom(specs), 1, 3, rapid.ID[string]).Draw(t, name)
		src := rapid.SampledFrom([]string{"tag:a", "ada@h", "100.64.0.1", "fd7a::1"}).Draw(t, "src")
		return fmt.Sprintf(`{"id": %q, "src": [%q], "dst": ["tag:b"], "ip": ["%s"]},`, name, src, strings.Join(ip, `", "`))
	}
	forbid := ""
	if rapid.Bool().Draw(t, "forbids") {
		forbid = rule("no")
	}
	return `{"tagOwners": {"tag:a": [], "tag:b": []}, "grants": [` + rule("one") + rule("two") + `], "forbid": [` + forbid + `]}`
}

// Explain, Derive and the filter say the same of any flow between two machines: also of a
// ping, which has the ICMP of its own family, and of the ICMP of the other one, which is
// no ping but a protocol as any.
func TestExplainAgreesWithTheFilter(t *testing.T) {
	two := func(n int) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr(fmt.Sprint("100.64.0.", n)), netip.MustParseAddr(fmt.Sprint("fd7a::", n))}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := drawServices(t)
		pol, _, err := policy.Parse("p", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		m := compile.New(pol, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a::/48")})
		m.Load([]compile.Node{{ID: "a", Tags: []string{"tag:a"}, Addrs: two(1)}, {ID: "b", Tags: []string{"tag:b"}, Addrs: two(2)}, {ID: "c", User: "ada@h", Addrs: two(3)}})
		for _, from := range append(two(1), two(3)...) {
			to := two(2)[0]
			if from.Is6() {
				to = two(2)[1]
			}
			var places []filter.Place
			for _, end := range []netip.Addr{from, to} {
				class, owner := m.ClassOf(end)
				places = append(places, filter.Place{Class: class, Owner: owner})
			}
			judge, err := filter.NewPlaces(places).Judge(m.Inwards("b"))
			if err != nil {
				t.Fatal(err)
			}
			for _, proto := range []rules.Protocol{rules.ICMP, rules.ICMPv6, rules.TCP, rules.UDP, rules.SCTP, 47, 50} {
				for _, port := range []uint16{0, 9, 22, 53} {
					want := judge.Between(0, 1, to.Is6()).Judge(proto, port, filter.At(time.Now()))
					e, d := m.Explain(from, to, proto, port), m.Derive(from, to, proto, port)
					if e.Allow != want.Allow || e.Rule != want.Rule || m.Allowed(from, to, proto, port) != want.Allow || d.Allow != want.Allow {
						t.Fatalf("%s\n%s > %s, protocol %d, port %d: %+v, and the filter says %+v", text, from, to, proto, port, e, want)
					}
					decides, forbids := false, false
					for _, c := range d.Considered {
						decides, forbids = decides || c.Rule == want.Rule && c.Met, forbids || c.Rule == "no" && c.Met
					}
					if decides != (want.Rule != "") || forbids != (want.Rule == "no") {
						t.Fatalf("%s\n%s > %s, protocol %d, port %d: of rule %q the way says %+v", text, from, to, proto, port, want.Rule, d.Considered)
					}
				}
			}
		}
	})
}

// What is asked of a ping in the other family's ICMP is not called one.
func TestExplainCallsAPingWhatIsOne(t *testing.T) {
	pol, _, err := policy.Parse("p", []byte(`{"tagOwners": {"tag:a": [], "tag:b": []}, "grants": [{"src": ["tag:a"], "dst": ["tag:b"], "ip": ["tcp:22"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol, nil)
	m.Load([]compile.Node{{ID: "a", Tags: []string{"tag:a"}, Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.1")}}, {ID: "b", Tags: []string{"tag:b"}, Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.2")}}})
	for proto, says := range map[rules.Protocol]string{rules.ICMP: "allowed: a (100.64.0.1) may reach b (100.64.0.2) on ping", rules.ICMPv6: "denied: no rule lets a (100.64.0.1) reach b (100.64.0.2) on icmpv6; the nearest is"} {
		if e := m.Explain(netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2"), proto, 0); !strings.HasPrefix(e.Text, says) {
			t.Errorf("%s, want %s", e.Text, says)
		}
	}
}
