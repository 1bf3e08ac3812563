package compile_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// Who may do with a login is told of that before the glass, is told of the glass too, and
// of what was only supposed or taken for granted.
func TestExplainTellsFirstOfWhatIsOrdinary(t *testing.T) {
	pol := parse(t, `{"groups": {"group:it": ["ada@h", "ben@h"]}, "postures": {"posture:clean": ["custom:sick NOT SET"], "posture:ok": ["custom:mdm == true"]}, "tagOwners": {"tag:ehr": []},
		"segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:it", "requires": {"mfa": {"within": "8h"}, "risk": "<70"}}},
		"breakGlass": [
			{"id": "code", "src": ["group:it"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "waives": ["mfa"], "maxDuration": "1h", "alert": ["ada@h"]},
			{"id": "down", "segments": ["seg:ehr"], "waives": ["mfa", "posture"], "maxDuration": "1h", "alert": ["ada@h"], "declare": {"by": ["group:it"], "count": 1}}],
		"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "when": {"posture": ["posture:clean", "posture:ok"]}}]}`)
	m := compile.New(pol, ranges())
	laptop, ehr := two("100.64.0.1", "fd7a::1"), two("100.64.0.2", "fd7a::2")
	m.Load([]compile.Node{{ID: "laptop", User: "ada@h", Addrs: laptop}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: ehr},
		{ID: "other", User: "ben@h", Addrs: two("100.64.0.3", "fd7a::3")}})
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ given, text, who, without string }{
		{`{}`, `the nearest is rule "g" (p.hujson:6): it asks for a login within the last 8h and a device with posture:ok`,
			"taken for granted: a device with posture:clean (p.hujson:1), for nothing says otherwise", "supposed"},
		{`{}`, `; in an emergency, rule "code" (p.hujson:4) opens it: that takes breaking the glass "code"`, "taken for granted: a device whose risk is below 70, for nothing says otherwise", "supposed"},
		{`{"breakGlass": ["code"]}`, `allowed: laptop (100.64.0.1) may reach ehr (100.64.0.2) on tcp 443, by rule "code"`, `supposed: the glass "code" is broken`, "breaking"},
		{`{"breakGlass": ["down"]}`, `by rule "g" (p.hujson:6), of which the declared break-glass "down" lifts mfa, posture`, `supposed: the break-glass "down" is declared`, "glass \"code\""},
		{`{"risk": 20}`, `the nearest is rule "g"`, "supposed: a device whose risk is below 70", "taken for granted: a device whose risk"},
	} {
		given, err := pol.ParseGiven("given", []byte(c.given))
		if err != nil {
			t.Fatal(err)
		}
		m.Suppose(given, compile.Node{}, now)
		d := m.Derive(laptop[0], ehr[0], acl.TCP, 443)
		if who := strings.Join(d.Who, "\n"); !strings.Contains(d.Text, c.text) || !strings.Contains(who, c.who) || strings.Contains(who, c.without) {
			t.Errorf("%s:\n%s\n%s\nwant %s, %s", c.given, d.Text, who, c.text, c.who)
		}
	}
	m.Suppose(nil, compile.Node{}, now)
	if all := m.Derive(laptop[0], ehr[0], acl.TCP, 443).Considered; len(all) != 2 || all[0].Rule != "g" || all[1].Rule != "code" {
		t.Errorf("the glass comes first: %+v", all)
	}
	if e := m.Explain(two("100.64.0.3", "fd7a::3")[0], ehr[0], acl.TCP, 443); e.Nearest != "code" || strings.Contains(e.Text, "in an emergency") {
		t.Errorf("who has nothing but the glass: %+v", e)
	}
}

// An answer says all that is missing at once, what a rule waits for that is not in force,
// and of whom something is supposed: else whoever has made up for the first learns of the
// next.
func TestExplainTellsAllThatIsMissing(t *testing.T) {
	gateway := bedNode(4, "tag:gw", "10.9.0.0/24")
	m := bed(t, `"segments": {
	"seg:ehr": {"members": ["tag:ehr"], "class": "phi", "owner": "group:nurses", "requires": {"mfa": {"within": "8h"}, "schedule": "always"}},
	"seg:net": {"members": ["10.9.0.0/24"], "owner": "group:nurses", "mode": "monitor", "until": "2027-01-01"},
	"seg:one": {"members": ["10.9.0.5"], "impact": "life", "owner": "group:nurses"}},
"grants": [{"id": "ward", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "when": {"schedule": "never"}},
	{"id": "cart", "src": ["group:nurses"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}],
"lockdown": {"red": {"by": "group:nurses", "forbid": [{"id": "stop", "src": ["*"], "dst": ["tag:ehr"]}]}}`,
		wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"), bedNode(3, "tag:cart"), gateway)
	derive := func(given, src, dst string) (text string) {
		g, err := m.Policy().ParseGiven("given", []byte(given))
		if err != nil {
			t.Fatal(err)
		}
		m.Suppose(g, compile.Node{User: "ada@h"}, wardStart())
		defer m.Suppose(nil, compile.Node{}, wardStart())
		d := m.Derive(netip.MustParseAddr(src), netip.MustParseAddr(dst), acl.TCP, 443)
		lines := append([]string{d.Text}, d.Who...)
		for _, who := range d.Whom {
			lines = append(lines, "whom: "+who)
		}
		for _, c := range d.Considered {
			lines = append(lines, string(c.Rule)+": "+c.Why)
		}
		return strings.Join(lines, "\n") + "\n"
	}
	for _, c := range []struct{ given, src, dst, with, without string }{
		{`{}`, "100.64.0.1", "100.64.0.2", "ward: it asks for a login within the last 8h and a time within the schedule never (UTC: Sun 00:00-01:00), which opens at 2026-11-29 00:00 UTC\n", "schedule always"},
		{`{}`, "100.64.0.1", "100.64.0.2", `stop: does not forbid it: the lockdown "red" is not declared` + "\n", "not in force"},
		{`{}`, "100.64.0.1", "10.9.0.5", "seg:net: seg:one, in which this is too, is not only monitored\n", "not in force"},
		{`{}`, "100.64.0.1", "10.9.0.5", "whom: in seg:one (impact life)\n", "(,"},
		{`{}`, "100.64.0.1", "10.9.0.5", "whom: in seg:net\n", "impact )"},
		{`{"mfaAge": "1h"}`, "100.64.0.1", "100.64.0.2", "whom: in seg:ehr (phi)\n", "whom: supposed"},
		{`{"mfaAge": "1h"}`, "100.64.0.1", "100.64.0.2", "supposed: a login within the last 8h\n", "whom: supposed"},
		{`{"device": "tag:cart", "session": "login"}`, "100.64.0.3", "100.64.0.2", "ward: it opens this to group:nurses, and n3 (100.64.0.3) is not among them: for whoever sits there it takes a rule with srcDevice\n", "ward: it asks"},
		{`{}`, "100.64.0.1", "100.64.0.2", "cart: it opens tcp 22 to group:nurses\n", "takes a rule with srcDevice"},
	} {
		if got := derive(c.given, c.src, c.dst); !strings.Contains(got, c.with) || strings.Contains(got, c.without) {
			t.Errorf("%s, %s > %s:\n%s\nwants %q and not %q", c.given, c.src, c.dst, got, c.with, c.without)
		}
	}
}
