package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// bed compiles a policy of a few sections for nodes, told the time.
func bed(t *testing.T, sections string, now time.Time, nodes ...compile.Node) *compile.Mesh {
	t.Helper()
	text := `{"tagOwners": {"tag:gw": [], "tag:pump": [], "tag:ehr": [], "tag:cart": []}, "groups": {"group:nurses": ["ada@h"]},
"postures": {"posture:managed": ["custom:mdm == true"]},
"schedules": {"always": {"tz": "UTC", "weekly": ["Mon-Sun 00:00-24:00"]}, "office": {"tz": "UTC", "weekly": ["Mon-Fri 07:00-19:00"]}, "never": {"tz": "UTC", "weekly": ["Sun 00:00-01:00"]}}, ` + sections + `}`
	pol, _, err := policy.Options{Now: wardStart()}.Parse("bed.hujson", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	m := compile.New(pol, ranges())
	m.Advance(now)
	m.Load(nodes)
	return m
}

// bedNode is a node with the address 100.64.0.number: of a person, or with a tag.
func bedNode(number int, who string, routes ...string) compile.Node {
	n := compile.Node{ID: fmt.Sprintf("n%d", number), Addrs: []netip.Addr{bedAddr(number)}}
	if n.User = who; who[:4] == "tag:" {
		n.User, n.Tags = "", []string{who}
	}
	for _, r := range routes {
		n.Routes = append(n.Routes, netip.MustParsePrefix(r))
	}
	return n
}

func bedAddr(number int) netip.Addr { return netip.AddrFrom4([4]byte{100, 64, 0, byte(number)}) }

func opensTCP(m *compile.Mesh, src, dst string) bool {
	return m.Allowed(netip.MustParseAddr(src), netip.MustParseAddr(dst), acl.TCP, 443)
}

func TestDeclaredWithoutAnEndLiftsNothing(t *testing.T) {
	m := bed(t, `"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:nurses", "requires": {"mfa": {"within": "8h"}}}},
"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]}],
"breakGlass": [{"id": "down", "segments": ["seg:ehr"], "waives": ["mfa"], "declare": {"by": "group:nurses", "count": 1}, "maxDuration": "72h", "alert": ["group:nurses"]}]`,
		wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
	for until, want := range map[time.Time]bool{{}: false, wardStart(): false, wardStart().Add(time.Second): true} {
		m.Declare(compile.Declared{Glass: map[string]time.Time{"down": until}})
		if got := opensTCP(m, "100.64.0.1", "100.64.0.2"); got != want {
			t.Errorf("declared until %s: open is %v", until, got)
		}
	}
}

// Whoever routes a device's address more precisely than the gateway that vouches
// for it must not speak with the device's rights.
func TestDeviceIsBehindTheNearestRouterOnly(t *testing.T) {
	gateway := bedNode(1, "tag:gw", "10.0.0.0/8")
	gateway.Devices = []compile.Device{{Prefix: netip.MustParsePrefix("10.1.0.5/32"), Tags: []string{"tag:pump"}}}
	m := bed(t, `"grants": [{"src": ["tag:pump"], "dst": ["tag:ehr"], "ip": ["*"]}]`, wardStart(), gateway, bedNode(2, "tag:ehr"))
	open := func() bool { return opensTCP(m, "10.1.0.5", "100.64.0.2") }
	if !open() {
		t.Error("a device has not the rights of its tag")
	}
	for _, route := range []string{"10.1.0.0/16", "10.1.0.5/32"} {
		m.Put(bedNode(3, "tag:cart", route))
		if open() {
			t.Errorf("a router of %s has the rights of a device that another vouches for", route)
		}
	}
	m.Put(bedNode(3, "tag:cart", "10.2.0.0/16"))
	if !open() {
		t.Error("a route elsewhere takes a device's rights away")
	}
	standby := bedNode(4, "tag:gw", "10.0.0.0/8")
	m.Put(standby)
	if !open() {
		t.Error("a standby gateway that has not seen a device takes its rights away")
	}
	standby.Devices = []compile.Device{{Prefix: netip.MustParsePrefix("10.1.0.5/32"), Tags: []string{"tag:ehr"}}}
	m.Put(standby)
	if open() {
		t.Error("a device has a tag that one of its gateways denies")
	}
}

// What gateways vouch for is no node, nor what is routed inside.
func TestDeviceHasNoNodesInside(t *testing.T) {
	gateway := bedNode(1, "tag:gw", "100.64.0.0/29", "10.0.0.0/8")
	for _, p := range []string{"100.64.0.0/30", "10.1.0.0/16"} {
		gateway.Devices = append(gateway.Devices, compile.Device{Prefix: netip.MustParsePrefix(p), Tags: []string{"tag:pump"}})
	}
	m := bed(t, `"hosts": {"part": "10.1.7.0/24"}, "grants": [{"src": ["tag:pump"], "dst": ["tag:ehr"], "ip": ["*"]}, {"src": ["part"], "dst": ["tag:cart"], "ip": ["*"]}]`,
		wardStart(), gateway, bedNode(2, "tag:ehr"), bedNode(3, "ben@h"), bedNode(5, "tag:cart", "10.1.9.0/24"))
	for src, want := range map[string]bool{"100.64.0.3": false, "10.1.0.5": true, "10.1.7.7": true, "10.1.9.9": false, "10.2.0.1": false} {
		if got := opensTCP(m, src, "100.64.0.2"); got != want {
			t.Errorf("%s has the rights of the device: %v", src, got)
		}
	}
}

// A packet comes through the router that carries its source: what is known of
// another that has the address too does not count.
func TestFactsAreThoseOfTheCarrier(t *testing.T) {
	wide, near := bedNode(1, "tag:gw", "10.0.0.0/8"), bedNode(3, "tag:gw", "10.1.0.0/16")
	wide.Facts = []acl.FactEnd{{Fact: "posture:managed", Until: compile.Forever()}}
	m := bed(t, `"grants": [{"src": ["10.0.0.0/8"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"posture": "posture:managed"}}]`,
		wardStart(), wide, near, bedNode(2, "tag:ehr"))
	check := func(what, src string, want bool) {
		t.Helper()
		if got := opensTCP(m, src, "100.64.0.2"); got != want {
			t.Errorf("%s: %s passes: %v", what, src, got)
		}
	}
	check("its only router is managed", "10.2.0.1", true)
	check("its nearest router is not", "10.1.0.1", false)
	second := bedNode(4, "tag:gw", "10.0.0.0/8")
	m.Put(second)
	check("one of its routers is", "10.2.0.1", true)
	second.Elected = second.Routes
	m.Put(second)
	check("the one that is elected is not", "10.2.0.1", false)
}

func TestSchedulesAreShutUntilTheTimeIsKnown(t *testing.T) {
	m := bed(t, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"schedule": "always"}}]`,
		time.Time{}, bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
	if opensTCP(m, "100.64.0.1", "100.64.0.2") || len(m.Rules("n2").In) > 0 {
		t.Errorf("a mesh that was never told the time opens a schedule: %+v", m.Rules("n2").In)
	}
	if m.Advance(wardStart()); !opensTCP(m, "100.64.0.1", "100.64.0.2") || len(m.Rules("n2").In) != 1 {
		t.Errorf("always is not open now: %+v", m.Rules("n2").In)
	}
}

// What a schedule forbids is forbidden without a break where nobody can tell the hours: on
// a node that has been without a coordinator for longer than it was told them ahead, and
// at a mesh that was never told the time. What it opens ends there.
func TestScheduleForbidsWhereItsHoursAreUnknown(t *testing.T) {
	for schedule, until := range map[string]int{"office": 6, "always": 0, "never": 1} {
		sections := `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"]}, {"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"schedule": "` + schedule + `"}}],
"forbid": [{"src": ["ada@h"], "dst": ["tag:ehr"], "when": {"schedule": "` + schedule + `"}}]`
		m := bed(t, sections, wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
		horizon := wardStart().Truncate(24 * time.Hour).Add(8 * 24 * time.Hour)
		in, out := m.Rules("n2").ForbidIn, m.Rules("n1").ForbidOut
		for way, rules := range map[string][]acl.Rule{"in": in, "out": out} {
			if len(rules) != until+1 {
				t.Fatalf("%s, %s: %d windows", schedule, way, len(rules))
			}
			last := rules[until]
			if !last.NotAfter.IsZero() || last.NotBefore.After(horizon) || until > 0 && !last.NotBefore.Equal(horizon) {
				t.Errorf("%s, %s: it is forbidden from %s to %s after the hours that are told until %s", schedule, way, last.NotBefore, last.NotAfter, horizon)
			}
		}
		for _, r := range m.Rules("n2").In[1:] {
			if r.NotAfter.IsZero() || r.NotAfter.After(horizon) {
				t.Errorf("%s: it is open until %s", schedule, r.NotAfter)
			}
		}
		m = bed(t, sections, time.Time{}, bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
		if rules := m.Rules("n2").ForbidIn; len(rules) != 1 || !rules[0].NotBefore.IsZero() || !rules[0].NotAfter.IsZero() || opensTCP(m, "100.64.0.1", "100.64.0.2") {
			t.Errorf("%s: a mesh that was never told the time forbids %+v", schedule, rules)
		}
	}
}

func TestFactsAreNoneUntilTheTimeIsKnown(t *testing.T) {
	n := bedNode(1, "ada@h")
	n.Facts = []acl.FactEnd{{Fact: "posture:managed", Until: compile.Forever()}}
	m := bed(t, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}]`, time.Time{}, n, bedNode(2, "tag:ehr"))
	if opensTCP(m, "100.64.0.1", "100.64.0.2") {
		t.Error("a mesh that was never told the time takes a fact for true")
	}
	if m.Advance(wardStart()); !opensTCP(m, "100.64.0.1", "100.64.0.2") {
		t.Error("a fact is not true when the time is known")
	}
}

// Nodes are told of the hours of eight days from the day's beginning, of several
// schedules those that are in all of them, and of none after a lift has ended.
func TestRulesOfSchedulesAreWindows(t *testing.T) {
	day := wardStart().Truncate(24 * time.Hour)
	type window [2]time.Time
	hours := func(m *compile.Mesh) []window {
		var all []window
		for _, r := range m.Rules("n2").In {
			all = append(all, window{r.NotBefore.UTC(), r.NotAfter.UTC()})
		}
		return all
	}
	with := func(floor, schedule string) *compile.Mesh {
		return bed(t, `"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:nurses"`+keyed("requires", floor)+`}},
"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"schedule": "`+schedule+`"}}]`+strings.ReplaceAll(lift("mfa"), "down", "lift"), wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"))
	}
	if got := hours(with("", "always")); !slices.Equal(got, []window{{day, day.Add(8 * 24 * time.Hour)}}) {
		t.Errorf("always: %v", got)
	}
	if got := hours(with(`"schedule": "office"`, "always")); len(got) != 6 || got[0] != (window{day.Add(7 * time.Hour), day.Add(19 * time.Hour)}) {
		t.Errorf("office and always: %v", got)
	}
	if got := hours(with(`"schedule": "never"`, "office")); len(got) != 0 {
		t.Errorf("two schedules that never meet: %v", got)
	}
	m := with("", "office")
	m.Declare(compile.Declared{Glass: map[string]time.Time{"lift": wardStart().Add(time.Hour)}})
	if got := hours(m); len(got) != 7 || got[0] != (window{day.Add(7 * time.Hour), wardStart().Add(time.Hour)}) {
		t.Errorf("office, lifted for an hour: %v", got)
	}
	m = with(`"schedule": "office"`, "always") // the hours of a floor move on with the days, too
	m.Advance(wardStart().Add(7 * 24 * time.Hour))
	if got := hours(m); len(got) != 6 || !got[0][0].Equal(day.Add(7*24*time.Hour+7*time.Hour)) {
		t.Errorf("a week later: %v", got)
	}
}

func TestDevicesThatAreNone(t *testing.T) {
	for what, p := range map[string]netip.Prefix{
		"not behind it": netip.MustParsePrefix("10.2.0.5/32"), "no prefix": {}, "with more bits": netip.MustParsePrefix("10.1.0.5/24"),
		"mapped": netip.MustParsePrefix("::ffff:10.1.0.5/128"), "around its route": netip.MustParsePrefix("10.0.0.0/8"),
	} {
		gateway := bedNode(1, "tag:gw", "10.1.0.0/16")
		gateway.Devices = []compile.Device{{Prefix: p, Tags: []string{"tag:pump"}}}
		m := bed(t, `"grants": [{"src": ["tag:pump"], "dst": ["tag:ehr"], "ip": ["*"]}]`, wardStart(), gateway, bedNode(2, "tag:ehr"))
		for _, src := range []string{"10.1.0.5", "10.2.0.5", "10.1.0.0"} {
			if opensTCP(m, src, "100.64.0.2") {
				t.Errorf("%s: a device %s has its tag's rights", src, what)
			}
		}
	}
}
