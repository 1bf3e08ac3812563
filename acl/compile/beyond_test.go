package compile_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// beyond compiles sections for a gateway at 1 with two networks behind it, of which it
// vouches for one device, a server at 2, a person at 3 and another gateway, whose route
// lies in the mesh's own range, at 4. Nobody has a posture but those who are told.
func beyond(t *testing.T, sections string, managed ...int) *compile.Mesh {
	t.Helper()
	nodes := []compile.Node{bedNode(1, "tag:gw", "10.0.0.0/8", "fd00:1::/64", "fd63:6f72:646e:5174:7e00:1:a09::/112"), bedNode(2, "tag:ehr"), bedNode(3, "ada@h"), bedNode(4, "tag:cart", "100.64.7.0/24", "100.0.0.0/8")}
	nodes[0].Devices = []compile.Device{{Prefix: netip.MustParsePrefix("10.1.0.5/32"), Tags: []string{"tag:pump"}}}
	nodes[1].Addrs = append(nodes[1].Addrs, netip.MustParseAddr("fd7a::2"))
	for _, i := range managed {
		nodes[i-1].Facts = []acl.FactEnd{{Fact: "posture:managed", Until: compile.Forever()}}
	}
	return bed(t, `"hosts": {"ct": "10.2.0.7"}, "sites": {"main": {"id": 1, "nets": ["10.9.0.0/16"]}}, "ipsets": {"ipset:vlan": ["10.3.0.0-10.3.0.9"]}, `+sections, wardStart(), nodes...)
}

// passes tells whether a source reaches the server, and sees to it that both ends say so,
// and the explanation.
func passes(t *testing.T, m *compile.Mesh, gateway, src string) bool {
	t.Helper()
	from, to := netip.MustParseAddr(src), "100.64.0.2"
	if from.Is6() {
		to = "fd7a::2"
	}
	open := opensTCP(m, src, to)
	if e := m.Explain(from, netip.MustParseAddr(to), acl.TCP, 443); e.Allow != open {
		t.Errorf("from %s open is %v, and told: %s", src, open, e.Text)
	}
	source, _ := m.ClassOf(from)
	target, _ := m.ClassOf(netip.MustParseAddr(to))
	as := asking{seat{class: source}, seat{class: target}, acl.Service{Protocol: acl.TCP, First: 443}, m.Facts(gateway), wardStart()}
	in, out := m.Rules("n2"), m.Rules(gateway)
	if got := as.verdict(in.ForbidIn, in.In); got.allow != open {
		t.Errorf("from %s open is %v, by the server's rules %v", src, open, got.allow)
	}
	if got := as.verdict(out.ForbidOut, out.Out); got.allow != open {
		t.Errorf("from %s open is %v, by the rules of %s %v", src, open, gateway, got.allow)
	}
	return open
}

// A posture is asked of the mesh's own machines, the gateway among them. What stands
// behind one passes without, by whatever name the rule means it.
func TestSrcPostureAsksTheMeshAlone(t *testing.T) {
	behind := map[string][]string{
		`"10.0.0.0/8"`:           {"10.9.9.9", "10.1.0.5", "10.2.0.7"},
		`"ct"`:                   {"10.2.0.7"},
		`"ipset:vlan"`:           {"10.3.0.4"},
		`"10.9.0.7@main"`:        {"fd63:6f72:646e:5174:7e00:1:a09:7"},
		`"fd00:1::/64"`:          {"fd00:1::5"},
		`"0.0.0.0/0", "::/0"`:    {"10.9.9.9", "fd00:1::5"},
		`"*"`:                    {"10.9.9.9", "fd00:1::5"},
		`"autogroup:danger-all"`: {"10.9.9.9", "fd00:1::5"},
		`"tag:pump"`:             {"10.1.0.5"},
		`"seg:far"`:              {"10.9.9.9"},
	}
	machines := map[string]map[string]string{ // by the rule's source: addresses, and whose they are
		`"tag:gw"`: {"100.64.0.1": "n1"}, `"100.64.0.1"`: {"100.64.0.1": "n1"}, `"ada@h"`: {"100.64.0.3": "n3"},
		`"100.0.0.0/8"`: {"100.64.0.1": "n1", "100.64.0.3": "n3"}, `"*"`: {"100.64.0.1": "n1", "100.64.0.3": "n3"}, `"0.0.0.0/0"`: {"100.64.0.3": "n3"},
	}
	for _, asks := range []string{`"grants": [{"id": "g", "src": [%s], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}]`,
		`"acls": [{"id": "g", "action": "accept", "src": [%s], "dst": ["tag:ehr:*"], "srcPosture": ["posture:managed"]}]`,
		`"defaultSrcPosture": ["posture:managed"], "grants": [{"id": "g", "src": [%s], "dst": ["tag:ehr"], "ip": ["*"]}]`} {
		rule := func(src string) string {
			return `"segments": {"seg:far": {"members": ["10.9.0.0/16"], "owner": "group:nurses"}}, ` + fmt.Sprintf(asks, src)
		}
		for src, all := range behind {
			m := beyond(t, rule(src))
			for _, from := range all {
				if !passes(t, m, "n1", from) {
					t.Errorf("%s: %s does not pass", rule(src), from)
				}
			}
		}
		for src, all := range machines {
			for from, id := range all {
				if passes(t, beyond(t, rule(src)), id, from) {
					t.Errorf("%s: %s passes without the posture", rule(src), from)
				}
				if !passes(t, beyond(t, rule(src), 1, 3), id, from) {
					t.Errorf("%s: %s does not pass with the posture", rule(src), from)
				}
			}
		}
	}
}

// An address of the mesh's range is a machine's, though it joins tomorrow, also inside a
// route around the range. One that a route inside the range carries stands behind.
func TestRangeOfTheMeshIsItsMachines(t *testing.T) {
	m := beyond(t, `"grants": [{"id": "g", "src": ["100.0.0.0/8"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}]`)
	for src, want := range map[string]bool{"100.64.9.9": false, "100.1.0.9": true, "100.64.7.9": true} {
		if got := passes(t, m, "n4", src); got != want {
			t.Errorf("%s passes: %v", src, got)
		}
	}
	m.Put(compile.Node{ID: "n5", Tags: []string{"tag:cart"}, Addrs: []netip.Addr{netip.MustParseAddr("100.64.7.9"), netip.MustParseAddr("100.1.0.9")}})
	for _, src := range []string{"100.64.7.9", "100.1.0.9"} {
		if passes(t, m, "n5", src) {
			t.Errorf("%s passes, the address of a machine now", src)
		}
	}
	m.Remove("n5")
	if !passes(t, m, "n4", "100.64.7.9") {
		t.Error("what a machine had does not pass when that has gone")
	}
}

// What Cordon asks besides keeps its meaning: of what stands behind a gateway it is asked
// of that.
func TestOtherPosturesAskTheGateway(t *testing.T) {
	for what, sections := range map[string]string{
		"when":          `"grants": [{"id": "g", "src": ["10.0.0.0/8", "tag:pump"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"], "when": {"posture": "posture:managed"}}]`,
		"when, default": `"defaultSrcPosture": ["posture:managed"], "grants": [{"id": "g", "src": ["*"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"posture": "posture:managed"}}]`,
	} {
		for _, src := range []string{"10.9.9.9", "10.1.0.5"} {
			if passes(t, beyond(t, sections), "n1", src) || !passes(t, beyond(t, sections, 1), "n1", src) {
				t.Errorf("%s: from %s it is not the gateway's posture that counts", what, src)
			}
		}
	}
}

// A rule that forbids takes the posture of the gateway for what stands behind it: it
// forbids what it forbade, and neither all that is behind gateways nor nothing of it.
func TestForbiddenPosturesAreTheGateways(t *testing.T) {
	for _, forbid := range []string{`"forbid": [{"id": "f", "src": ["*"], "dst": ["tag:ehr"], "srcPosture": ["posture:managed"]}]`,
		`"forbid": [{"id": "f", "src": ["10.0.0.0/8", "tag:pump", "ada@h"], "dst": ["tag:ehr"], "srcPosture": ["posture:managed"]}]`} {
		sections := `"grants": [{"id": "g", "src": ["*"], "dst": ["tag:ehr"], "ip": ["*"]}], ` + forbid
		for src, id := range map[string]string{"10.9.9.9": "n1", "10.1.0.5": "n1", "100.64.0.3": "n3"} {
			if !passes(t, beyond(t, sections), id, src) || passes(t, beyond(t, sections, 1, 3), id, src) {
				t.Errorf("%s: %s is not forbidden by the posture of %s", forbid, src, id)
			}
		}
	}
}

// Who sits at a shared device is asked for its posture, whatever else has its tag.
func TestSharedDevicesAreAskedForPostures(t *testing.T) {
	m := beyond(t, `"grants": [{"id": "g", "src": ["ada@h"], "srcDevice": ["tag:pump", "tag:gw"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}]`)
	gateway := bedNode(1, "tag:gw", "10.0.0.0/8")
	gateway.Devices = []compile.Device{{Prefix: netip.MustParsePrefix("10.1.0.5/32"), Tags: []string{"tag:pump"}}}
	sitting := compile.Evidence{Person: compile.Node{User: "ada@h"}, Presence: &compile.Presence{Until: compile.Forever()}}
	gateway.Facts = m.FactsOf(&sitting, wardStart())
	m.Put(gateway)
	for _, src := range []string{"100.64.0.1", "10.1.0.5"} {
		if passes(t, m, "n1", src) {
			t.Errorf("%s passes without the posture", src)
		}
	}
}

// Whoever asks why something behind a gateway passes is told that the posture is not asked
// of it; and who asks who reaches what, that it is open always.
func TestWhyWhatIsBehindPasses(t *testing.T) {
	m := beyond(t, `"grants": [{"id": "g", "src": ["*"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "srcPosture": ["posture:managed"]}]`, 3)
	const why = "its srcPosture is asked of the mesh's own machines alone"
	server := netip.MustParseAddr("100.64.0.2")
	for src, want := range map[string]bool{"10.9.9.9": true, "100.64.0.3": false} {
		d := m.Derive(netip.MustParseAddr(src), server, acl.TCP, 443)
		if !d.Allow || strings.Contains(d.Text, why) != want || strings.Contains(d.Considered[0].Why, why) != want {
			t.Errorf("from %s: %+v", src, d)
		}
		if who := strings.Join(d.Who, "\n"); !strings.Contains(who, "rules know it as *") || strings.Contains(who, "mesh") {
			t.Errorf("%s is known as: %s", src, who)
		}
	}
	if e := m.Explain(bedAddr(1), server, acl.TCP, 443); e.Allow || !strings.Contains(e.Text, "it asks for a device with posture:managed") {
		t.Errorf("the gateway itself: %s", e.Text)
	}
	var behind, itself bool
	for line := range strings.SplitSeq(m.ReachTable(), "\n") {
		switch {
		case strings.HasPrefix(line, "10.0.0.0/8+fd00:1::/64") && strings.Contains(line, "n2"):
			behind = strings.HasSuffix(strings.TrimSpace(line), "always")
		case strings.HasPrefix(line, "n1") && strings.Contains(line, "n2"):
			itself = strings.HasSuffix(strings.TrimSpace(line), "posture:managed")
		}
	}
	if !behind || !itself {
		t.Errorf("the matrix:\n%s", m.ReachTable())
	}
}

// Tests judge a device behind a gateway as it is judged, whatever they suppose of it, also
// in a world that is made up, where an address of the mesh stays one of a machine.
func TestTestsOfWhatIsBehind(t *testing.T) {
	const rules = `"tagOwners": {"tag:gw": [], "tag:ehr": []}, "hosts": {"ct": "10.2.0.7", "node": "100.64.0.9"}, "postures": {"posture:managed": ["custom:mdm == true"]},
"grants": [{"id": "g", "src": ["ct", "node", "tag:gw"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}], "tests": [`
	for _, given := range []string{``, `, "given": {"risk": 0}`} {
		m := compile.New(parse(t, `{`+rules+
			`{"src": "ct", "accept": ["tag:ehr:443"]`+given+`}, {"src": "node", "deny": ["tag:ehr:443"]`+given+`}, {"src": "tag:gw", "deny": ["tag:ehr:443"]`+given+`}]}`), ranges())
		for _, nodes := range [][]compile.Node{{bedNode(1, "tag:gw"), bedNode(2, "tag:ehr")}, {bedNode(1, "tag:gw", "10.0.0.0/8"), bedNode(2, "tag:ehr")}} {
			m.Load(nodes)
			failed, err := m.Test(t.Context())
			if err != nil || len(failed) > 0 {
				t.Errorf("%s: %v %v", given, failed, err)
			}
		}
	}
	m := compile.New(parse(t, `{`+rules+`{"src": "ct", "srcPostureAttrs": {"custom:mdm": false}, "accept": ["tag:ehr:443"]}, {"src": "node", "srcPostureAttrs": {"custom:mdm": true}, "accept": ["tag:ehr:443"]}]}`), ranges())
	m.Load([]compile.Node{bedNode(2, "tag:ehr")})
	if failed, err := m.Test(t.Context()); err != nil || len(failed) > 0 {
		t.Error(failed, err)
	}
}

// A policy where nobody meets a condition opens by a posture to what stands behind alone,
// and makes peers of nobody else.
func TestUnconditionalPostureIsForWhatIsBehind(t *testing.T) {
	pol, _, err := policy.Parse("p", []byte(`{"tagOwners": {"tag:gw": [], "tag:ehr": [], "tag:none": []}, "postures": {"posture:managed": ["custom:mdm == true"]},
"grants": [{"id": "g", "src": ["*", "ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "app": {"h.example/cap/x": [1]}, "srcPosture": ["posture:managed"]},
{"src": ["*", "ada@h"], "dst": ["tag:none"], "ip": ["*"]}, {"src": ["*"], "dst": ["tag:none"], "ip": ["*"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol.Unconditional(), ranges())
	m.Load([]compile.Node{bedNode(1, "tag:gw", "10.0.0.0/8"), bedNode(2, "tag:ehr"), bedNode(3, "ada@h")})
	if passes(t, m, "n3", "100.64.0.3") || passes(t, m, "n1", "100.64.0.1") || !passes(t, m, "n1", "10.9.9.9") {
		t.Error("it is not what stands behind the gateway that passes, and that alone")
	}
	if m.Sees("n3", "n2") || !m.Sees("n1", "n2") {
		t.Error("peers are others than the gateway and the server")
	}
	if got := m.Capabilities("n2"); len(got) > 0 {
		t.Errorf("capabilities %v", got)
	}
	if hops := m.NextHops("n2"); len(hops["n1"]) != 1 {
		t.Errorf("the server's way back is %v", hops)
	}
}

// A break-glass that lifts postures is why something passes, behind a gateway too.
func TestLiftedPosturesAreToldOfAsLifted(t *testing.T) {
	m := beyond(t, `"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:nurses"}},
"grants": [{"id": "g", "src": ["*"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}]`+lift("posture"))
	m.Declare(compile.Declared{Glass: map[string]time.Time{"down": compile.Forever()}})
	for _, src := range []string{"10.9.9.9", "100.64.0.3"} {
		e := m.Explain(netip.MustParseAddr(src), bedAddr(2), acl.TCP, 443)
		if !e.Allow || !strings.HasSuffix(e.Text, `of which the declared break-glass "down" lifts posture`) {
			t.Errorf("from %s: %s", src, e.Text)
		}
	}
}

// Whatever comes in whatever order, what nodes enforce is what they would of a mesh that
// knew all from the start.
func TestRulesOfWhatIsBehindAsAfresh(t *testing.T) {
	const sections = `"grants": [{"id": "p", "src": ["*"], "dst": ["tag:ehr"], "ip": ["1"], "srcPosture": ["posture:managed"]}, {"id": "m", "src": ["*"], "dst": ["tag:ehr"], "ip": ["2"], "when": {"mfa": {"within": "8h"}}},
{"id": "b", "src": ["*"], "dst": ["tag:ehr", "10.0.0.0/8"], "ip": ["3"], "srcPosture": ["posture:managed"], "when": {"mfa": {"within": "8h"}}}, {"id": "n", "src": ["*"], "dst": ["tag:ehr"], "ip": ["4"]}]`
	nodes := []compile.Node{bedNode(1, "tag:gw", "10.0.0.0/8"), bedNode(2, "tag:ehr"), bedNode(3, "ada@h"), bedNode(4, "tag:cart", "100.64.7.0/24"), bedNode(5, "tag:ehr", "192.168.0.0/24")}
	for first := range nodes {
		for step := 1; step < len(nodes); step++ { // prime to five: each comes once
			m := bed(t, sections, wardStart())
			var known []compile.Node
			for i := range nodes {
				n := nodes[(first+i*step)%len(nodes)]
				m.Put(n)
				known = append(known, n)
				fresh := bed(t, sections, wardStart(), known...)
				for _, k := range known {
					if got, want := m.Rules(k.ID), fresh.Rules(k.ID); !reflect.DeepEqual(got, want) {
						t.Fatalf("%d of %d by %d, %s:\n%+v, want\n%+v", i, first, step, k.ID, got, want)
					}
				}
			}
		}
	}
}

// A rule that comes to ask for a posture changes nothing for those behind other gateways.
func TestPostureOfOneNetworkIsNoNewsOfAnother(t *testing.T) {
	sections := func(more string) string {
		return `"grants": [{"id": "g", "src": ["10.0.0.0/8"], "dst": ["tag:ehr"], "ip": ["*"]` + more + `}, {"id": "h", "src": ["192.168.0.0/24"], "dst": ["tag:cart"], "ip": ["*"]}]`
	}
	m := bed(t, sections(""), wardStart(), bedNode(1, "tag:gw", "10.0.0.0/8"), bedNode(2, "tag:ehr"), bedNode(3, "tag:pump", "192.168.0.0/24"), bedNode(4, "tag:cart"))
	var told []string
	for v := range m.SetPolicy(bed(t, sections(`, "srcPosture": ["posture:managed"]`), wardStart()).Policy()).Views() {
		told = append(told, v.Node)
	}
	if slices.Sort(told); !slices.Equal(told, []string{"n1", "n2"}) {
		t.Errorf("%v are told", told)
	}
}
