package diff_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
)

// conditioned gives a few rules of which each may ask for something, and one of them
// in two ways.
func conditioned(r *rand.Rand) [2]string {
	whens := []string{`{}`, `{"mfa": {"within": "8h"}}`, `{"mfa": {"within": "80h"}}`, `{"posture": ["posture:managed"]}`, `{"mfa": {"within": "8h"}, "posture": ["posture:managed"]}`, `{"risk": "<50"}`, `{"risk": "<70"}`,
		`{}, "srcPosture": ["posture:managed"]`, `{"risk": "<70"}, "srcPosture": ["posture:managed"]`}
	one := func(names []string, asks string) string {
		return fmt.Sprintf(`{"src": [%q], "dst": [%q], "ip": ["tcp:%d-12"], "when": %s},`, names[r.IntN(len(names))], names[r.IntN(len(names))], 10+r.IntN(3), asks)
	}
	names := []string{"group:radiology", "zoe@h", "tag:ct", "tag:pacs", "imaging", "*"}
	ask := func() string { return whens[r.IntN(len(whens))] }
	var grants, forbids string
	for range 2 + r.IntN(2) {
		grants += one(names, ask())
	}
	for range r.IntN(3) {
		forbids += one(names, []string{whens[0], whens[3], whens[7]}[r.IntN(3)])
	}
	text := func(grants, forbids string) string {
		rules := `"grants": [` + grants + `], "forbid": [` + forbids + `]}`
		return "{" + definitions + strings.ReplaceAll(rules, `, "when": {}`, "")
	}
	if r.IntN(2) == 0 {
		return [2]string{text(grants, forbids), text(grants, forbids+one(names, whens[3]))}
	}
	at := strings.LastIndex(grants, `"when": `)
	return [2]string{text(grants, forbids), text(grants[:at]+`"when": `+ask()+"},", forbids)}
}

// TestDirection: whatever opens to anybody under any circumstances is told as a gain, and
// whatever closes as a loss, or either as a change of which nobody can tell.
func TestDirection(t *testing.T) {
	nodes := clinic()
	all := spots(nodes)[1:]
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	givens := []policy.Given{
		{}, {Risk: 60}, {Postures: []string{"posture:managed"}}, {LoggedIn: true, MFAAge: time.Hour}, {LoggedIn: true, MFAAge: 20 * time.Hour, Risk: 90},
		{LoggedIn: true, MFAAge: time.Hour, Postures: []string{"posture:managed"}, Risk: 55},
	}
	changes := 0
	for seed := range uint64(25) {
		texts := conditioned(rand.New(rand.NewPCG(seed, 7)))
		was, is := mesh(parse(t, texts[0]), nodes), mesh(parse(t, texts[1]), nodes)
		d := diff.Meshes(was, is)
		opens, closes := false, false
		for i := range givens {
			was.Suppose(&givens[i], compile.Node{}, now)
			is.Suppose(&givens[i], compile.Node{}, now)
			for _, from := range all {
				for _, to := range all {
					if from.node == to.node || from.addr.Is4() != to.addr.Is4() {
						continue
					}
					before, after := was.Allowed(from.addr, to.addr, acl.TCP, 12), is.Allowed(from.addr, to.addr, acl.TCP, 12)
					opens, closes = opens || after && !before, closes || before && !after
				}
			}
		}
		if opens || closes {
			changes++
		}
		if opens && len(d.Gained)+len(d.Changed) == 0 || closes && len(d.Lost)+len(d.Changed) == 0 {
			t.Fatalf("seed %d: opens %t, closes %t\n%s\n%s\n%s", seed, opens, closes, texts[0], texts[1], told(d))
		}
	}
	if changes < 5 {
		t.Errorf("%d of 25 edits change anything", changes)
	}
}

// TestPostureIsLostByMachinesAlone: a rule that comes to ask for a posture opens to what
// stands behind a gateway as it did.
func TestPostureIsLostByMachinesAlone(t *testing.T) {
	text := func(more string) string {
		return "{" + definitions + `"grants": [{"id": "g", "src": ["imaging", "tag:gw"], "dst": ["tag:pacs"], "ip": ["tcp:104"]` + more + `}]}`
	}
	d := diff.Meshes(mesh(parse(t, text("")), clinic()), mesh(parse(t, text(`, "srcPosture": ["posture:managed"]`)), clinic()))
	if got := told(d); len(d.Lost) != 1 || len(d.Gained)+len(d.Changed) != 0 || !strings.Contains(got, "gate (tag:gw) loses tcp/104 without posture:managed") || strings.Contains(got, "10.20.30.0/24") {
		t.Error(got)
	}
}

// TestImaginedWorldHasNetworksBehindGateways: whoever comes from anywhere may stand behind a
// gateway, also where no directory says so and no policy names a network. A rule may open to
// that alone, or stop to.
func TestImaginedWorldHasNetworksBehindGateways(t *testing.T) {
	const machines = `"autogroup:member", "autogroup:tagged"`
	rule := func(src, more string) string {
		return "{" + definitions + `"grants": [{"id": "g", "src": [` + src + `], "dst": ["tag:pacs"], "ip": ["tcp:104"]` + more + `}]}`
	}
	const bySource, byGateway = `, "srcPosture": ["posture:managed"]`, `, "when": {"posture": "posture:managed"}`
	for _, src := range []string{`"*"`, `"autogroup:danger-all"`, `"0.0.0.0/0", "::/0"`} {
		for _, c := range []struct{ wide, narrow string }{{rule(src, bySource), rule(src, byGateway)}, {rule(src+", "+machines, ""), rule(machines, "")}} {
			wide, narrow := parse(t, c.wide), parse(t, c.narrow)
			nodes, ranges, err := diff.Imagine(wide, narrow)
			if err != nil {
				t.Fatal(err)
			}
			meshes := [2]*compile.Mesh{compile.New(wide, ranges), compile.New(narrow, ranges)}
			for _, m := range meshes {
				m.Load(nodes)
			}
			const networks = "198.19.0.0/24 behind a gateway and 2001:2::/64 behind a gateway"
			if got := told(diff.Options{Imagined: true}.Meshes(meshes[0], meshes[1])); !strings.HasPrefix(got, "- "+networks+" lose tcp/104") {
				t.Errorf("from %s to %s: %s", c.wide, c.narrow, got)
			}
			if got := told(diff.Options{Imagined: true}.Meshes(meshes[1], meshes[0])); !strings.HasPrefix(got, "+ "+networks+" gain tcp/104") {
				t.Errorf("from %s to %s: %s", c.narrow, c.wide, got)
			}
		}
	}
}
