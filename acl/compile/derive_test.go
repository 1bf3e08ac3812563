package compile_test

import (
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
