package compile_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// clinic is a small mesh that the tests below ask about.
func clinic(t *testing.T, rules string) *compile.Mesh {
	t.Helper()
	m := compile.New(parse(t, clinicText(rules)), ranges())
	m.Load(clinicNodes())
	return m
}

func clinicText(rules string) string {
	return `{
	"groups": {"group:nurses": ["ada@h", "ben@h"], "group:none": []},
	"tagOwners": {"tag:ehr": [], "tag:db": [], "tag:gw": [], "tag:empty": []},
	"hosts": {"ct": "10.33.1.5", "vlan": "10.33.1.0/24", "ehr4": "100.64.0.3", "printer": "10.99.0.1"},
` + rules + `}`
}

func clinicNodes() []compile.Node {
	node := func(id, user, tag, four, six string, routes ...string) compile.Node {
		n := compile.Node{ID: "id-" + id, Name: id, User: user, Addrs: []netip.Addr{netip.MustParseAddr(four), netip.MustParseAddr(six)}}
		if tag != "" {
			n.Tags = []string{tag}
		}
		for _, r := range routes {
			n.Routes = append(n.Routes, netip.MustParsePrefix(r))
		}
		return n
	}
	return []compile.Node{
		node("ada-laptop", "ada@h", "", "100.64.0.1", "fd7a::1"),
		node("ada-phone", "ada@h", "", "100.64.0.2", "fd7a::2"),
		node("ehr", "ada@h", "tag:ehr", "100.64.0.3", "fd7a::3"), // ada set it up, and owns it no more
		node("db", "", "tag:db", "100.64.0.4", "fd7a::4"),
		node("cyd-laptop", "cyd@h", "", "100.64.0.5", "fd7a::5"),
		node("gw", "", "tag:gw", "100.64.0.6", "fd7a::6", "10.33.0.0/16"),
		node("gw2", "", "tag:gw", "100.64.0.7", "fd7a::7", "10.33.0.0/16"),
	}
}

// TestDialect is the dialect's rules one by one: who reaches whom on TCP 22.
func TestDialect(t *testing.T) {
	grant := func(src, dst string) string {
		return fmt.Sprintf(`"grants": [{"src": [%s], "dst": [%s], "ip": ["tcp:22"]}]`, src, dst)
	}
	acl := func(src, dst string) string {
		return fmt.Sprintf(`"acls": [{"action": "accept", "src": [%s], "dst": [%s], "proto": "tcp"}]`, src, dst)
	}
	tests := []struct{ name, rules, accept, deny string }{
		{"no section denies all", ``, ``, `100.64.0.1>100.64.0.3 100.64.0.1>100.64.0.2`},
		{"empty sections deny all", `"grants": [], "acls": []`, ``, `100.64.0.1>100.64.0.3`},
		{"* as source is the mesh's ranges, owned or not", grant(`"*"`, `"tag:ehr"`), `100.64.0.1>100.64.0.3 100.64.9.9>100.64.0.3 fd7a::1>fd7a::3`, `8.8.8.8>100.64.0.3 10.99.0.1>100.64.0.3`},
		{"* as source has approved routes", grant(`"*"`, `"tag:ehr"`), `10.33.7.7>100.64.0.3`, `192.168.0.1>100.64.0.3`},
		{"* as destination is all that is owned or routed", grant(`"tag:ehr"`, `"*"`), `100.64.0.3>100.64.0.1 100.64.0.3>10.33.7.7 fd7a::3>fd7a::4`, `100.64.0.3>100.64.9.9 100.64.0.3>10.99.0.1 100.64.0.3>8.8.8.8`},
		{"a tag is both families", grant(`"tag:ehr"`, `"tag:db"`), `100.64.0.3>100.64.0.4 fd7a::3>fd7a::4`, `100.64.0.4>100.64.0.3 100.64.0.1>100.64.0.4`},
		{"a tag is never the routes of its nodes", grant(`"tag:gw"`, `"tag:gw"`), `100.64.0.6>100.64.0.7`, `100.64.0.6>10.33.7.7 10.33.7.7>100.64.0.6`},
		{"a v4 host alias opens no v6", grant(`"tag:db"`, `"ehr4"`), `100.64.0.4>100.64.0.3`, `fd7a::4>fd7a::3`},
		{"a v4 CIDR over nodes opens v4 only", grant(`"tag:db"`, `"100.64.0.0/30"`), `100.64.0.4>100.64.0.3 100.64.0.4>100.64.0.1`, `fd7a::4>fd7a::3 100.64.0.3>100.64.0.4`},
		{"a CIDR larger than the route", grant(`"tag:db"`, `"10.0.0.0/8"`), `100.64.0.4>10.33.7.7`, `100.64.0.4>10.99.0.1`},
		{"a CIDR inside the route", grant(`"tag:db"`, `"vlan"`), `100.64.0.4>10.33.1.9`, `100.64.0.4>10.33.2.9`},
		{"a literal inside a CIDR inside a route", grant(`"tag:db"`, `"ct"`) + "," + acl(`"vlan"`, `"tag:db:22"`), `100.64.0.4>10.33.1.5 10.33.1.5>100.64.0.4 10.33.1.6>100.64.0.4`, `100.64.0.4>10.33.1.6`},
		{"a literal that nobody routes", grant(`"tag:db"`, `"printer"`), ``, `100.64.0.4>10.99.0.1`},
		{"a CIDR as source that nobody owns", grant(`"172.16.0.0/12"`, `"tag:db"`), `172.16.5.5>100.64.0.4`, `172.32.0.1>100.64.0.4`},
		{"a tagged node is not its creator's", grant(`"ada@h"`, `"tag:db"`), `100.64.0.1>100.64.0.4 100.64.0.2>100.64.0.4`, `100.64.0.3>100.64.0.4`},
		{"nor in the creator's groups", grant(`"group:nurses"`, `"tag:db"`), `100.64.0.1>100.64.0.4`, `100.64.0.3>100.64.0.4 100.64.0.5>100.64.0.4`},
		{"nor a member", grant(`"autogroup:member"`, `"tag:db"`), `100.64.0.5>100.64.0.4`, `100.64.0.3>100.64.0.4`},
		{"tagged is any tag", grant(`"autogroup:tagged"`, `"tag:db"`), `100.64.0.3>100.64.0.4 100.64.0.6>100.64.0.4`, `100.64.0.1>100.64.0.4`},
		{"a valid tag without nodes", grant(`"tag:empty", "group:none"`, `"tag:db"`), ``, `100.64.0.1>100.64.0.4`},
		{"a login that nobody has", grant(`"eve@h"`, `"tag:db"`), ``, `100.64.0.1>100.64.0.4`},
		{"self", grant(`"autogroup:member"`, `"autogroup:self"`), `100.64.0.1>100.64.0.2 fd7a::2>fd7a::1`, `100.64.0.1>100.64.0.5 100.64.0.1>100.64.0.3 100.64.0.3>100.64.0.4`},
		{"self from one group", grant(`"group:nurses"`, `"autogroup:self"`), `100.64.0.1>100.64.0.2`, `100.64.0.5>100.64.0.1`},
		{"* to self is each to their own", acl(`"*"`, `"autogroup:self:22"`), `100.64.0.1>100.64.0.2`, `100.64.0.5>100.64.0.1 10.33.7.7>100.64.0.1 100.64.0.3>100.64.0.4`},
		{"self mixed with others splits", acl(`"*"`, `"autogroup:self:22", "tag:db:22"`), `100.64.0.1>100.64.0.2 100.64.0.3>100.64.0.4 100.64.0.5>100.64.0.4`, `100.64.0.5>100.64.0.1`},
		{"acl ports stay with their destination", acl(`"tag:db"`, `"tag:ehr:22", "tag:gw:80"`), `100.64.0.4>100.64.0.3`, `100.64.0.4>100.64.0.6`},
		{"IPv4-mapped addresses are nobody's", grant(`"*"`, `"*"`), ``, `::ffff:100.64.0.1>100.64.0.3 100.64.0.1>::ffff:100.64.0.3`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := clinic(t, tt.rules)
			check := func(flows string, want bool) {
				for _, flow := range strings.Fields(flows) {
					src, dst, _ := strings.Cut(flow, ">")
					if got := m.Allowed(netip.MustParseAddr(src), netip.MustParseAddr(dst), 6, 22); got != want {
						t.Errorf("%s: %v, want %v", flow, got, want)
					}
				}
			}
			check(tt.accept, true)
			check(tt.deny, false)
		})
	}
}

// TestDialectOddNodes is the dialect on nodes with several tags, with a default
// route, with nothing, and with an address that another claims too.
func TestDialectOddNodes(t *testing.T) {
	m := compile.New(parse(t, clinicText(`"grants": [
		{"src": ["tag:ehr"], "dst": ["tag:db"], "ip": ["tcp:22"]},
		{"src": ["tag:gw"], "dst": ["8.8.8.0/24", "*"], "ip": ["tcp:22"]},
		{"src": ["*"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}]`)), ranges())
	node := func(id, four, user string, tags ...string) compile.Node {
		return compile.Node{ID: id, User: user, Tags: tags, Addrs: []netip.Addr{netip.MustParseAddr(four)}}
	}
	exit := node("exit", "100.64.0.4", "", "tag:gw")
	exit.Routes = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	m.Load([]compile.Node{node("both", "100.64.0.1", "", "tag:ehr", "tag:db"), node("db", "100.64.0.2", "", "tag:db"), node("bare", "100.64.0.3", ""),
		exit, node("x", "100.64.0.5", "", "tag:ehr"), node("y", "100.64.0.5", "", "tag:db")})
	tests := []struct {
		src, dst string
		want     bool
	}{
		{"100.64.0.1", "100.64.0.2", true},  // under its first tag
		{"100.64.0.3", "100.64.0.1", true},  // a node without user or tag is still of the mesh
		{"100.64.0.3", "100.64.0.2", false}, // and nothing more
		{"100.64.0.4", "8.8.8.8", false},    // a default route is no subnet route
		{"8.8.8.8", "100.64.0.1", false},    // nor part of *
		{"100.64.0.4", "100.64.0.3", true},
		{"100.64.0.5", "100.64.0.2", false}, // claimed twice: nobody's
		{"100.64.0.4", "100.64.0.5", false},
	}
	for _, tt := range tests {
		if got := m.Allowed(netip.MustParseAddr(tt.src), netip.MustParseAddr(tt.dst), acl.TCP, 22); got != tt.want {
			t.Errorf("%s > %s: %v", tt.src, tt.dst, got)
		}
	}
	if len(m.Prefixes("x")) != 0 || len(m.Prefixes("exit")) != 1 {
		t.Errorf("x has %v, exit has %v", m.Prefixes("x"), m.Prefixes("exit"))
	}
	m.Remove("y") // the quarrel is over
	if !m.Allowed(netip.MustParseAddr("100.64.0.5"), netip.MustParseAddr("100.64.0.2"), acl.TCP, 22) {
		t.Error("x does not get its address back")
	}
}

func TestPeersAreMutual(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["tag:db"], "dst": ["vlan"], "ip": ["tcp:22"]}]`)
	for _, gw := range []string{"id-gw", "id-gw2"} { // every router of a route, and both directions
		if !m.Sees("id-db", gw) || !m.Sees(gw, "id-db") {
			t.Errorf("db and %s are no peers", gw)
		}
	}
	if got := slices.Sorted(m.Peers("id-db")); fmt.Sprint(got) != "[id-gw id-gw2]" {
		t.Errorf("peers of db: %v", got)
	}
	if m.Sees("id-gw", "id-gw2") || m.Sees("id-db", "id-db") || m.Sees("id-db", "nobody") {
		t.Error("strangers see each other")
	}
}

func TestNilPolicyDenies(t *testing.T) {
	m := compile.New(nil, ranges())
	m.Load(clinicNodes())
	if c := m.Put(clinicNodes()[0]); !c.Empty() {
		t.Errorf("same node again: %+v", c)
	}
	if rs := m.Rules("id-db"); rs.In != nil || rs.Out != nil || len(slices.Collect(m.Peers("id-db"))) != 0 {
		t.Errorf("rules without a policy: %+v", rs)
	}
	if m.Allowed(netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2"), acl.TCP, 22) || m.Rules("nobody").In != nil || len(m.Set("nobody").Rules().In) > 0 || m.Prefixes("nobody") != nil || m.Owner("nobody") != 0 {
		t.Error("something is open")
	}
}

// TestClassesStay pins class numbers: a node stores maps for weeks, so they may
// never change with a release.
func TestClassesStay(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["group:nurses", "*"], "dst": ["tag:db", "vlan"], "ip": ["tcp:22"]}]`)
	got := fmt.Sprint(m.Prefixes("id-ada-laptop"), m.Prefixes("id-gw"), m.Prefixes("id-db"), m.Owner("id-ada-laptop"))
	const want = "[{100.64.0.1/32 4197682278163484827} {fd7a::1/128 4197682278163484827}] " +
		"[{10.33.0.0/16 8017947763228600291} {10.33.1.0/24 18083616993111190467} {100.64.0.6/32 8017947763228600291} {fd7a::6/128 8017947763228600291}] " +
		"[{100.64.0.4/32 12549350609830156339} {fd7a::4/128 12549350609830156339}] 833008125814543491"
	if got != want {
		t.Errorf("classes changed: %s", got)
	}
	if m.Owner("id-ada-laptop") != m.Owner("id-ada-phone") || m.Owner("id-ehr") != 0 || m.Owner("id-ada-laptop") == m.Owner("id-cyd-laptop") {
		t.Error("wrong owners")
	}
}

func TestSameClassesShareTheirRules(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["tag:gw"], "dst": ["tag:gw"], "ip": ["tcp:22"]}]`)
	a, b := m.Rules("id-gw"), m.Rules("id-gw2")
	if len(a.In) != 1 || &a.In[0] != &b.In[0] || &a.Out[0] != &b.Out[0] || m.Set("id-gw") != m.Set("id-gw2") {
		t.Error("two gateways of one kind have rule sets of their own: ten thousand would fill the memory")
	}
}

func TestKnownClassChangesNoRule(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["group:nurses"], "dst": ["tag:db"], "ip": ["tcp:22"]}]`)
	ben := compile.Node{ID: "ben", Name: "ben", User: "ben@h", Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.9"), netip.MustParseAddr("fd7a::9")}}
	for v := range m.Put(ben).Views() {
		if v.Node != "ben" && (v.Rules || v.Self) {
			t.Errorf("%s: %+v", v.Node, v)
		}
	}
	if got := slices.Sorted(m.Peers("ben")); fmt.Sprint(got) != "[id-db]" {
		t.Errorf("ben sees %v", got)
	}
}

// TestRouteInsideARouteIsNotTold pins that a map speaks of what makes a
// difference only: else each small route would change the maps around it.
func TestRouteInsideARouteIsNotTold(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["tag:db"], "dst": ["*"], "ip": ["tcp:22"]}]`)
	inner := compile.Node{ID: "inner", Tags: []string{"tag:ehr"}, Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.9")}, Routes: []netip.Prefix{netip.MustParsePrefix("10.33.4.0/24")}}
	m.Put(inner)
	if got := m.Prefixes("id-gw"); len(got) != 3 {
		t.Errorf("gw has %v", got)
	}
	inner.Routes[0] = netip.MustParsePrefix("10.33.5.0/24") // the mesh has a copy
	if got := fmt.Sprint(m.Prefixes("inner")); !strings.Contains(got, "10.33.4.0/24") {
		t.Errorf("inner has %s", got)
	}
	for v := range m.Put(inner).Views() {
		if v.Node != "inner" && v.Node != "id-db" {
			t.Errorf("%s is told of it: %+v", v.Node, v)
		}
	}
}

// Where a node stands is nobody's business as long as nothing that is told of it changes:
// here a tag by which a rule leads to routers of what it does not route.
func TestStandingIsNotTold(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["tag:db"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}, {"src": ["tag:db"], "dst": ["10.99.0.0/16"], "ip": ["*"], "via": ["tag:gw"]}]`)
	ehr := m.Node("id-ehr")
	ehr.Tags = append(slices.Clone(ehr.Tags), "tag:gw")
	if c := m.Put(ehr); !c.Empty() {
		t.Errorf("told are %+v", c)
	}
	ehr.Routes = []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16")}
	if m.Put(ehr); !slices.ContainsFunc(m.Rules("id-ehr").In, func(r acl.Rule) bool { return len(r.Open) > 1 }) {
		t.Errorf("and yet it counts where it does route that: %+v", m.Rules("id-ehr"))
	}
}

// TestViewsOfOneGroup pins that nodes which share a view do not write into
// each other's when each also gets nodes of its owner.
func TestViewsOfOneGroup(t *testing.T) {
	m := clinic(t, ``)
	c := m.SetPolicy(parse(t, clinicText(`"grants": [{"src": ["autogroup:member"], "dst": ["tag:ehr", "tag:gw", "autogroup:self"], "ip": ["tcp:22"]}]`)))
	got := changeOf(c)
	for id, want := range map[string]string{
		"id-ada-laptop": "[id-ada-phone id-ehr id-gw id-gw2]", "id-ada-phone": "[id-ada-laptop id-ehr id-gw id-gw2]", "id-cyd-laptop": "[id-ehr id-gw id-gw2]",
	} {
		if upserted := fmt.Sprint(got[id].upserted); upserted != want {
			t.Errorf("%s: %s, want %s", id, upserted, want)
		}
	}
}

func TestWithLeavesTheMeshAlone(t *testing.T) {
	m := clinic(t, ``)
	edit := m.With(parse(t, clinicText(`"grants": [{"src": ["tag:db"], "dst": ["*"], "ip": ["tcp:22"]}]`)))
	a, b := netip.MustParseAddr("100.64.0.4"), netip.MustParseAddr("100.64.0.1")
	if m.Allowed(a, b, acl.TCP, 22) || !edit.Allowed(a, b, acl.TCP, 22) {
		t.Error("the edit counts where it must not, or not where it must")
	}
}

func TestCommentChangesNothing(t *testing.T) {
	const rules = `"grants": [{"src": ["group:nurses"], "dst": ["tag:db"], "ip": ["tcp:22"]}]`
	m := clinic(t, rules)
	if c := m.SetPolicy(parse(t, "\n// why\n"+clinicText(rules))); !c.Empty() {
		t.Errorf("a comment changed %+v", c)
	}
	e := m.Explain(netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.4"), acl.TCP, 22)
	if e.Pos.Line != 7 { // four lines of definitions and two of comment before
		t.Errorf("the rule is told to be in line %d", e.Pos.Line)
	}
}

func TestApprovedRoutes(t *testing.T) {
	m := clinic(t, `"autoApprovers": {"routes": {"10.0.0.0/8": ["tag:gw", "group:nurses"], "0.0.0.0/0": ["tag:db"], "fd00::/16": ["ada@h"]}, "exitNode": ["tag:ehr"]}`)
	routes := []netip.Prefix{netip.MustParsePrefix("10.33.0.0/16"), netip.MustParsePrefix("192.168.0.0/24"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("10.0.0.0/7"), {}}
	want := map[string]string{
		"gw": "[10.33.0.0/16]", "ada-laptop": "[10.33.0.0/16 fd00:1::/32]", "cyd-laptop": "[]", "db": "[]",
		"ehr": "[0.0.0.0/0 ::/0]", // tagged: not ada's
	}
	for _, n := range clinicNodes() {
		if w, ok := want[n.Name]; ok {
			for _, approved := range [][]netip.Prefix{m.ApprovedRoutes(n, routes), compile.RoutesApproved(m.Policy(), n, routes)} {
				if got := fmt.Sprint(approved); got != w {
					t.Errorf("%s: %s, want %s", n.Name, got, w)
				}
			}
		}
	}
}

func TestPolicyTests(t *testing.T) {
	const rules = `"grants": [
	{"id": "ward", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:443"]},
	{"id": "own", "src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["udp:53"]},
	{"id": "scan", "src": ["tag:db"], "dst": ["printer", "vlan"], "ip": ["*"]},
	{"id": "half", "src": ["100.64.0.1"], "dst": ["tag:db"], "ip": ["tcp:22"]},
	{"id": "lower", "src": ["10.33.0.0/17"], "dst": ["tag:db"], "ip": ["tcp:2222"]},
	{"id": "all", "src": ["tag:gw"], "dst": ["*"], "ip": ["tcp:515"]}],`
	tests := []struct{ test, want string }{
		{`{"src": "ada@h", "accept": ["tag:ehr:443", "ehr4:443", "autogroup:self:53"], "deny": ["tag:ehr:22", "cyd@h:53", "tag:db:443"]}`, ""},
		{`{"src": "ada@h", "accept": ["tag:db:22"]}`, "must reach tag:db:22, but no rule lets it"}, // the phone does not
		{`{"src": "ada@h", "deny": ["tag:db:22"]}`, `ada-laptop must not reach tag:db:22, but rule "half"`},
		{`{"src": "cyd@h", "accept": ["tag:ehr:443"]}`, "cyd-laptop must reach"},
		{`{"src": "tag:db", "accept": ["printer:9100", "ct:104"], "deny": ["tag:gw:104"]}`, ""}, // a host that is no node is fine
		{`{"src": "tag:db", "proto": "sctp", "accept": ["printer:9100"]}`, "must reach"},
		{`{"src": "ada@h", "proto": "udp", "accept": ["tag:ehr:443"]}`, "must reach"},
		{`{"src": "ada@h", "proto": "tcp", "accept": ["tag:ehr:443"]}`, ""},
		{`{"src": "tag:ehr", "accept": ["autogroup:self:53"]}`, "belongs to nobody"},
		{`{"src": "eve@h", "deny": ["tag:ehr:443"]}`, "no device"},
		{`{"src": "ada@h", "deny": ["tag:empty:443"]}`, "no device"},
		{`{"src": "autogroup:tagged", "deny": ["tag:ehr:443"]}`, ""},
		{`{"src": "100.64.0.1", "accept": ["tag:db:22"], "deny": ["[fd7a::4]:22"]}`, ""},
		{`{"src": "100.64.0.0/24", "deny": ["tag:db:22"]}`, "must not reach"},
		{`{"src": "autogroup:tagged", "deny": ["tag:ehr:22"]}`, ""},
		{`{"src": "autogroup:member", "deny": ["tag:ehr:443"]}`, "must not reach"},
		{`{"src": "10.33.0.0/16", "accept": ["tag:db:2222"]}`, "10.33.128.0 must reach"}, // of a network every part counts
		{`{"src": "10.33.0.0/17", "accept": ["tag:db:2222"]}`, ""},
		{`{"src": "tag:gw", "accept": ["printer:515", "100.64.9.9:515"], "deny": ["printer:9100"]}`, ""}, // * leads to what nobody has yet
		{`{"src": "tag:gw", "deny": ["printer:515"]}`, `rule "all" `},
	}
	for _, tt := range tests {
		failures := tested(t, clinic(t, rules+`"tests": [`+tt.test+`]`))
		got := fmt.Sprint(failures)
		if (tt.want == "") != (len(failures) == 0) || !strings.Contains(got, tt.want) {
			t.Errorf("%s\n got %s\nwant %q", tt.test, got, tt.want)
		}
		if noDevice := tt.want == "no device"; len(failures) > 0 && failures[0].NoDevice != noDevice && tt.want != "belongs to nobody" {
			t.Errorf("%s: NoDevice is %v", tt.test, !noDevice)
		}
	}
}

// What a test expects of a virtual service neither holds nor fails, on the nodes that
// there are and on made-up ones; the rest of it is judged.
func TestVirtualServicesAreNotJudged(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr", "svc:web"], "ip": ["443"]}], "tests": [
		{"src": "ada@h", "accept": ["svc:web:443", "tag:ehr:443"], "deny": ["svc:db:1", "tag:ehr:443"]},
		{"name": "made up", "src": "eve@h", "accept": ["svc:web:443"], "deny": ["svc:web:22", "tag:ehr:443"]},
		{"src": "eve@h", "deny": ["svc:db:1"]}]`)
	results, err := m.TestResults(t.Context())
	if err != nil || len(results) != 8 {
		t.Fatal(results, err)
	}
	for _, r := range results {
		virtual := strings.HasPrefix(r.Target.Text, "svc:")
		if f := r.Failure; virtual && (f == nil || !f.NoDevice || f.NoSource || !strings.HasSuffix(f.Text, "there are no virtual services here to test with") || f.Pos != r.Target.Pos || r.Rule != nil) {
			t.Errorf("%s: %+v", r.Target.Text, r)
		} else if !virtual && (f != nil && f.NoDevice) {
			t.Errorf("%s is not judged: %v", r.Target.Text, f)
		}
	}
	if failures := tested(t, m); len(failures) != 1 || !strings.Contains(failures[0].Text, "must not reach tag:ehr:443") {
		t.Error(failures)
	}
}

// TestWords reads testdata/words.txt: what Explain says, and the table of who
// can reach what. CORDON_GOLDEN=1 writes it anew.
func TestWords(t *testing.T) {
	m := clinic(t, `"grants": [
	{"id": "ward", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:443"]},
	{"id": "own", "src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["udp:53"]},
	{"id": "scan", "src": ["tag:db"], "dst": ["vlan", "ct"], "ip": ["*"]},
	{"id": "pull", "src": ["tag:ehr"], "dst": ["ct"], "ip": ["tcp:104"]}],
"acls": [{"action": "accept", "src": ["*"], "dst": ["ehr4:22,8000-9000"], "proto": "tcp"}]`)
	var b strings.Builder
	for _, q := range []string{"100.64.0.1 100.64.0.3 6 443", "100.64.0.1 100.64.0.3 1 0", "100.64.0.1 100.64.0.3 6 444", "100.64.0.1 100.64.0.3 17 443",
		"100.64.0.5 100.64.0.3 6 443", "100.64.0.1 100.64.0.2 17 53", "100.64.0.1 100.64.0.5 17 53", "100.64.0.4 10.33.1.5 132 7", "100.64.0.4 10.33.2.5 6 7",
		"10.33.2.5 100.64.0.3 6 22", "100.64.0.4 8.8.8.8 6 53", "100.64.0.4 100.64.9.9 6 53", "8.8.8.8 100.64.0.5 47 0", "100.64.0.1 100.64.0.4 6 7"} {
		var src, dst string
		var proto, port int
		if _, err := fmt.Sscan(q, &src, &dst, &proto, &port); err != nil {
			t.Fatal(err)
		}
		e := m.Explain(netip.MustParseAddr(src), netip.MustParseAddr(dst), acl.Protocol(proto), uint16(port))
		if e.Allow != (e.Rule != "") || e.Allow != m.Allowed(netip.MustParseAddr(src), netip.MustParseAddr(dst), acl.Protocol(proto), uint16(port)) {
			t.Errorf("%s: %+v", q, e)
		}
		fmt.Fprintf(&b, "%s: %s\n", q, e.Text)
	}
	b.WriteString("\n" + m.ReachTable())
	for a := range m.Reach() {
		fmt.Fprintf(&b, "%s %v > %s %v: %v %v\n", a.Src, a.From, a.Dst, a.To, a.Open, a.Rules)
	}
	const file = "testdata/words.txt"
	if os.Getenv("CORDON_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
