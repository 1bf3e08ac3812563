package diff_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
)

const definitions = `
	"groups": {
		"group:radiology": ["rhea@h", "ron@h", "rita@h"],
		"group:it": ["zoe@h"],
	},
	"tagOwners": {"tag:ct": [], "tag:pacs": [], "tag:gw": []},
	"hosts": {"imaging": "10.20.30.0/24", "ct-9": "10.20.30.9"},
	"postures": {"posture:managed": ["custom:mdm == true"]},
`

func ranges() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a::/48")}
}

// clinic has three radiologists, of whom one has two machines, an admin, three
// scanners, an archive, and a gateway with a network behind it.
func clinic() []compile.Node {
	var nodes []compile.Node
	add := func(name, user string, routes []netip.Prefix, tags ...string) {
		i := byte(len(nodes) + 1)
		nodes = append(nodes, compile.Node{
			ID: "n-" + name, Name: name, User: user, Tags: tags, Routes: routes,
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{100, 64, 0, i}), netip.AddrFrom16([16]byte{0xfd, 0x7a, 15: i})},
		})
	}
	for _, who := range []string{"rhea", "ron", "rita", "zoe"} {
		add(who+"-pc", who+"@h", nil)
	}
	add("rhea-laptop", "rhea@h", nil)
	for _, name := range []string{"ct-1", "ct-2", "ct-3"} {
		add(name, "", nil, "tag:ct")
	}
	add("archive", "", nil, "tag:pacs")
	add("gate", "", []netip.Prefix{netip.MustParsePrefix("10.20.30.0/24")}, "tag:gw")
	return nodes
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	pol, _, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return pol
}

func mesh(pol *policy.Policy, nodes []compile.Node) *compile.Mesh {
	m := compile.New(pol, ranges())
	m.Load(nodes)
	return m
}

// told gives a diff in lines, as a reviewer reads it.
func told(d diff.Diff) string {
	var b strings.Builder
	for _, c := range d.Gained {
		fmt.Fprintf(&b, "+ %s\n", c.Text)
	}
	for _, c := range d.Lost {
		fmt.Fprintf(&b, "- %s\n", c.Text)
	}
	for _, c := range d.Changed {
		fmt.Fprintf(&b, "~ %s\n", c.Text)
	}
	return b.String()
}

func TestWords(t *testing.T) {
	const store = `{"src": ["tag:ct"], "dst": ["tag:pacs"], "ip": ["tcp:104"]}`
	for _, c := range []struct{ what, was, is, want string }{
		{"a grant from a group to a tag", store, store + `, {"src": ["group:radiology"], "dst": ["tag:ct"], "ip": ["tcp:3389", "udp:3389"]}`,
			"+ 3 people in group:radiology gain tcp/3389 and udp/3389 at 3 nodes with tag:ct\n"},
		{"it goes", store + `, {"src": ["group:radiology"], "dst": ["tag:ct"], "ip": ["tcp:3389"]}`, store,
			"- 3 people in group:radiology lose tcp/3389 at 3 nodes with tag:ct\n"},
		{"a group of one", "", `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["*"]}`,
			"+ zoe@h (group:it) gains everything at archive (tag:pacs)\n"},
		{"everybody", "", `{"src": ["autogroup:member"], "dst": ["tag:pacs"], "ip": ["tcp:443"]}`,
			"+ all 4 people gain tcp/443 at archive (tag:pacs)\n"},
		{"another range", `{"src": ["tag:ct"], "dst": ["tag:pacs"], "ip": ["tcp:100-200"]}`, `{"src": ["tag:ct"], "dst": ["tag:pacs"], "ip": ["tcp:150-250"]}`,
			"+ 3 nodes with tag:ct gain tcp/201-250 at archive (tag:pacs)\n- 3 nodes with tag:ct lose tcp/100-149 at archive (tag:pacs)\n"},
		{"a network, and one address of it", "", `{"src": ["zoe@h"], "dst": ["imaging"], "ip": ["tcp:104"]}, {"src": ["rhea@h"], "dst": ["ct-9"], "ip": ["tcp:104"]}`,
			"+ rhea@h gains tcp/104 at ct-9 (10.20.30.9 behind gate)\n+ zoe@h gains tcp/104 at ct-9 (10.20.30.9 behind gate) and imaging (10.20.30.0/24 behind gate)\n"},
		{"from behind a gateway", "", `{"src": ["ct-9"], "dst": ["tag:pacs"], "ip": ["tcp:104"]}`,
			"+ ct-9 (10.20.30.9 behind gate) gains tcp/104 at archive (tag:pacs)\n"},
		{"one's own", "", `{"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["tcp:22"]}`,
			"+ rhea@h gains tcp/22 at their own nodes\n"},
		{"one's own instead of all", `{"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["tcp:22"]}`, `{"src": ["autogroup:member"], "dst": ["autogroup:member"], "ip": ["tcp:22"]}`,
			"+ all 4 people gain tcp/22 at all 4 people\n"},
		{"one address of two", "", `{"src": ["zoe@h"], "dst": ["100.64.0.9"], "ip": ["tcp:22"]}`,
			"+ zoe@h gains tcp/22 at archive (tag:pacs)\n"},
		{"a condition", `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"]}`, `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"], "srcPosture": ["posture:managed"]}`,
			"- zoe@h (group:it) loses tcp/22 without posture:managed at archive (tag:pacs)\n"},
		{"no condition any more", `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"], "srcPosture": ["posture:managed"]}`, `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"]}`,
			"+ zoe@h (group:it) gains tcp/22 without posture:managed at archive (tag:pacs)\n"},
		{"a rule with a condition", "", `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"], "srcPosture": ["posture:managed"]}`,
			"+ zoe@h (group:it) gains tcp/22 with posture:managed at archive (tag:pacs)\n"},
		{"a span", "", `{"src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"], "when": {"mfa": {"within": "12h"}, "idle": "90m"}}`,
			"+ zoe@h (group:it) gains tcp/22 with mfa:within=12h and session:idle=1h30m at archive (tag:pacs)\n"},
		{"through another router", `{"src": ["zoe@h"], "dst": ["imaging"], "ip": ["tcp:104"], "via": ["tag:gw"]}`, `{"src": ["zoe@h"], "dst": ["imaging"], "ip": ["tcp:104"], "via": ["tag:ct"]}`,
			"- zoe@h loses tcp/104 at imaging (10.20.30.0/24 behind gate)\n"},
		{"several of each", "", `{"src": ["group:radiology", "tag:pacs", "ct-9"], "dst": ["tag:ct", "imaging"], "ip": ["tcp:104"]}`,
			"+ 3 people in group:radiology and archive (tag:pacs) gain tcp/104 at 3 nodes with tag:ct, ct-9 (10.20.30.9 behind gate) and imaging (10.20.30.0/24 behind gate)\n" +
				"+ ct-9 (10.20.30.9 behind gate) gains tcp/104 at 3 nodes with tag:ct\n"},
		{"one's own instead of one's all", `{"src": ["rhea@h"], "dst": ["rhea@h"], "ip": ["tcp:22"]}`, `{"src": ["rhea@h"], "dst": ["autogroup:self"], "ip": ["tcp:22"]}`, ""},
	} {
		was := mesh(parse(t, "{"+definitions+`"grants": [`+c.was+"]}"), clinic())
		is := mesh(parse(t, "{"+definitions+`"grants": [`+c.is+"]}"), clinic())
		if got := told(diff.Meshes(was, is)); got != c.want {
			t.Errorf("%s: told is\n%swant\n%s", c.what, got, c.want)
		}
		there, back := diff.Meshes(was, is), diff.Meshes(is, was)
		if len(there.Gained) != len(back.Lost) || len(there.Lost) != len(back.Gained) {
			t.Errorf("%s: taken back it is told as\n%s", c.what, told(back))
		}
	}
}

// What a text says is what counts, not how it says it.
func TestOtherWordsForTheSameChangeNothing(t *testing.T) {
	const rule = `{"src": ["group:it", "tag:ct"], "dst": ["tag:pacs", "10.20.30.0/24"], "ip": ["tcp:22-23"]}`
	was := "{" + definitions + `"grants": [` + rule + "]}"
	for what, is := range map[string]string{
		"a comment":         "// why\n" + was,
		"a host's name":     strings.Replace(was, `"10.20.30.0/24"], "ip"`, `"imaging"], "ip"`, 1),
		"two rules":         "{" + definitions + `"grants": [` + strings.Replace(rule, "22-23", "22", 1) + "," + strings.Replace(rule, "22-23", "23", 1) + "]}",
		"the group spelled": strings.Replace(was, `["group:it", "tag:ct"]`, `["zoe@h", "tag:ct"]`, 1),
		"tags in capitals":  strings.Replace(was, `"tag:ct"], "dst": ["tag:pacs"`, `"tag:CT"], "dst": ["tag:Pacs"`, 1),
		"a rule twice":      strings.Replace(was, rule, rule+","+rule, 1),
		"a rule of nobody":  strings.Replace(was, rule, rule+`, {"src": ["nobody@h"], "dst": ["*"], "ip": ["*"]}`, 1),
		"a test more":       strings.TrimSuffix(was, "}") + `, "tests": [{"src": "zoe@h", "accept": ["tag:pacs:22"]}]}`,
	} {
		if is == was {
			t.Fatalf("%s: nothing was edited", what)
		}
		d := diff.Meshes(mesh(parse(t, was), clinic()), mesh(parse(t, is), clinic()))
		if !d.Empty() {
			t.Errorf("%s is told as\n%s", what, told(d))
		}
	}
}

// A new member gains what the group has, and is named.
func TestMember(t *testing.T) {
	was := "{" + definitions + `"grants": [{"src": ["group:it"], "dst": ["tag:ct"], "ip": ["tcp:22"]}]}`
	is := strings.Replace(was, `"zoe@h"`, `"zoe@h", "ron@h"`, 1)
	d := diff.Meshes(mesh(parse(t, was), clinic()), mesh(parse(t, is), clinic()))
	if got := told(d); got != "+ ron@h gains tcp/22 at 3 nodes with tag:ct\n" {
		t.Errorf("told is %s", got)
	}
	if d.Lost != nil || !slices.Equal(d.Gained[0].Who.People, []string{"ron@h"}) || !slices.Equal(d.Gained[0].Where.Nodes, []string{"ct-1", "ct-2", "ct-3"}) {
		t.Errorf("%+v", d)
	}
}

// Without a directory there still is something to say, but for numbers.
func TestImagined(t *testing.T) {
	was := "{" + definitions + `"grants": []}`
	is := "{" + definitions + `"grants": [
		{"src": ["group:radiology", "100.64.0.1"], "dst": ["tag:ct", "imaging"], "ip": ["tcp:104"], "via": ["tag:gw"]},
		{"src": ["group:it"], "dst": ["tag:ct", "ct-9"], "ip": ["tcp:22"]},
		{"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["udp:9"]},
	]}`
	a, b := parse(t, was), parse(t, is)
	nodes, ranges, err := diff.Imagine(a, b)
	if err != nil {
		t.Fatal(err)
	}
	before, after := compile.New(a, ranges), compile.New(b, ranges)
	before.Load(nodes)
	after.Load(nodes)
	want := "+ all people gain udp/9 at their own nodes\n" +
		"+ people in group:it gain tcp/22 at nodes with tag:ct and ct-9 (10.20.30.9 behind gateway of 10.20.30.9)\n" +
		"+ people in group:radiology and the node with 100.64.0.1 gain tcp/104 at ct-9 (10.20.30.9 behind gateway of 10.20.30.9) and imaging (10.20.30.0/24 behind gateway of 10.20.30.0/24)\n"
	if got := told(diff.Options{Imagined: true}.Meshes(before, after)); got != want {
		t.Errorf("told is\n%swant\n%s", got, want)
	}
}

// Sources that stand in one rule are told apart where one of a node's two addresses is meant,
// or a network of one family.
func TestAddressesOfOneFamily(t *testing.T) {
	nodes := clinic()
	gate := &nodes[len(nodes)-1]
	gate.Routes = append(gate.Routes, netip.MustParsePrefix("fd00:20::/64"))
	const twice = `{"src": ["100.64.0.1", "tag:ct"], "dst": ["tag:pacs"], "ip": ["tcp:80"]}`
	for _, c := range []struct{ was, is, want string }{
		{twice, twice + `, {"src": ["fd7a::1", "tag:ct"], "dst": ["tag:pacs"], "ip": ["tcp:80"]}`, "+ rhea-pc gains tcp/80 at archive (tag:pacs)\n"},
		{``, `{"src": ["10.20.30.0/24", "fd00:20::/64"], "dst": ["100.64.0.9"], "ip": ["tcp:80"]}`, "+ 10.20.30.0/24 behind gate gains tcp/80 at archive (tag:pacs)\n"},
	} {
		policy := func(rules string) string { return "{" + definitions + `"grants": [` + rules + "]}" }
		if got := told(diff.Meshes(mesh(parse(t, policy(c.was)), nodes), mesh(parse(t, policy(c.is)), nodes))); got != c.want {
			t.Errorf("told is\n%swant\n%s", got, c.want)
		}
	}
}
