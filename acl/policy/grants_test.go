package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

func TestGrantsOfTheDialect(t *testing.T) {
	g := func(rest string) string { return `"grants": [{"src": ["*"], "dst": ["ct"], ` + rest + `}]` }
	app := func(name string) string { return g(`"app": {"` + name + `": [{"a": 1}]}`) }
	const form = "capability name must have the form {domain}/{path}"
	const taken = "capability name must not be in the tailscale.com domain"
	dialect{
		{"neither ip nor app", g(`"ip": []`), "ip and app can not both be empty"},
		{"both empty", g(`"ip": [], "app": {}`), "ip and app can not both be empty"},
		{"via alone opens nothing", g(`"via": ["tag:web"]`), "ip and app can not both be empty"},
		{"app alone", app("h.example/cap/reports"), ""},
		{"app and ip", g(`"ip": ["*"], "app": {"h.example/a": null, "h.example/b": [], "h.example/c": [1, "x", {"y": [null]}]}`), ""},
		{"app without a path", app("h.example"), form},
		{"app without a domain", app("/cap"), form},
		{"app with an empty path", app("h.example/"), form},
		{"app with a scheme", app("https://h.example/cap"), form},
		{"app with a blank", app("h.example/a b"), form},
		{"app of the stock clients", g(`"app": {` + strings.TrimSuffix(eachCap(), ",") + `}`), ""},
		{"other apps of that domain", app("tailscale.com/cap/funnel"), taken},
		{"in another letter case", app("Tailscale.com/cap/drive"), taken},
		{"below an allowed one", app("tailscale.com/cap/drive/x"), taken},
		{"app that is a list", g(`"app": ["h.example/a"]`), `"app" must be an object`},
		{"app whose values are no list", g(`"app": {"h.example/a": {}}`), "h.example/a must be a list"},
		{"via a tag", g(`"ip": ["*"], "via": ["tag:web", " tag:db "]`), ""},
		{"via and app", g(`"via": ["tag:web"], "app": {"h.example/a": []}`), ""},
		{"via null", g(`"ip": ["*"], "via": null`), ""},
		{"via an unknown tag", g(`"ip": ["*"], "via": ["tag:x"]`), `via="tag:x": tag not found: "tag:x"`},
		{"via a user", g(`"ip": ["*"], "via": ["ada@h.example"]`), "via can only be a tag"},
		{"via a group", g(`"ip": ["*"], "via": ["group:eng"]`), "via can only be a tag"},
		{"via *", g(`"ip": ["*"], "via": ["*"]`), "via can only be a tag"},
		{"via autogroup:tagged", g(`"ip": ["*"], "via": ["autogroup:tagged"]`), "via can only be a tag"},
		{"an acl has no via", `"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"], "via": ["tag:web"]}]`, "unknown key in an acl"},
		{"a note in a grant", `"grants": [{"#note": "x", "src": ["*"], "dst": ["*"], "ip": ["*"]}]`, "unknown key in a grant"},
		{"empty src", `"grants": [{"src": [], "dst": ["ct"], "ip": ["*"]}]`, ""},
		{"empty dst", `"grants": [{"src": ["*"], "dst": [], "app": {"h.example/a": []}}]`, ""},
		{"47 is a port, and GRE takes none", g(`"ip": ["47", "gre:*"]`), ""},
		{"port 0", g(`"ip": ["0"]`), "first port must be >0"},
		{"bare icmp", g(`"ip": ["icmp"]`), "names a protocol without ports"},
	}.run(t)
}

func eachCap() string {
	var b strings.Builder
	for _, name := range strings.Fields("drive relay webui kubernetes golink secrets tsidp tailsql aperture") {
		fmt.Fprintf(&b, `"tailscale.com/cap/%s": [{}],`, name)
	}
	return b.String()
}

func TestCapabilities(t *testing.T) {
	p := parse(t, world(`"grants": [{"src": ["*"], "dst": ["ct", "autogroup:tagged"], "ip": ["tcp:22"],
 "app": {"h.example/b": [{"y": 1.0, /* why */ "x": [true,],}, "a \u003c b", 10000000000000001], "h.example/a": null}}]`))
	ports, part := p.Rules()[0].Parts[0], p.Rules()[0].Parts[1]
	if got := fmt.Sprintf("%q", part.App); got != `[{"h.example/a" []} {"h.example/b" ["{\"y\":1.0,\"x\":[true]}" "\"a \\u003c b\"" "10000000000000001"]}]` {
		t.Error(got)
	}
	if got := open(ports.Open); len(p.Rules()[0].Parts) != 2 || got != "6:22-22" || ports.App != nil || part.Open != nil {
		t.Errorf("opens %s in %d parts", got, len(p.Rules()[0].Parts))
	}
	big := world(`"grants": [{"src": ["*"], "dst": ["ct"], "app": {"h.example/a": ["` + strings.Repeat("x", 70_000) + `"]}}]`)
	if _, _, err := policy.Parse("p", []byte(big)); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("large values: %v", err)
	}
}

// Destinations that open the same go together, save those that say how to look.
func TestPartsApart(t *testing.T) {
	p := parse(t, world(grant(`"ada@h.example"`, `"ct", "autogroup:self", "tag:db", "autogroup:internet"`)))
	var got []string
	for _, part := range p.Rules()[0].Parts {
		got = append(got, fmt.Sprintln(part.Dst, part.Self, part.Internet, open(part.Open)))
	}
	if text := strings.Join(got, ""); text != "[ct tag:db] false false 6:22-22\n[] true false 6:22-22\n[] false true 6:22-22\n" {
		t.Error(text)
	}
}

// What narrows or adds to a rule is part of its hash; a rule without keeps the
// hash that it had before there was any of it.
func TestHashes(t *testing.T) {
	section := func(rest, sections string) string {
		return world(`"postures": {"posture:a": ["node:os IS SET"], "posture:b": ["node:os IS SET"]}, ` + sections +
			`"grants": [{"src": ["*"], "dst": ["ct"], "ip": ["tcp:22"]` + rest + `}]`)
	}
	hash := func(text string) string { return string(parse(t, text).Rules()[0].ID) }
	if got := hash(section("", "")); got != "sha256:7a5417a902eacdd0" {
		t.Errorf("the hash of a plain grant is now %s", got)
	}
	if got := hash(section(`, "via": [], "app": {}, "srcPosture": null`, "")); got != "sha256:7a5417a902eacdd0" {
		t.Errorf("the hash of a grant with empty keys is %s", got)
	}
	if got := hash(world(`"acls": [{"action": "accept", "proto": "tcp", "src": ["*"], "dst": ["ct:22"]}]`)); got != "sha256:ab11060530f0bce3" {
		t.Errorf("the hash of a plain acl is now %s", got)
	}
	seen := map[string]string{}
	for _, rest := range []string{"", `, "via": ["tag:web"]`, `, "via": ["tag:db"]`, `, "srcPosture": ["posture:a"]`, `, "srcPosture": ["posture:b"]`,
		`, "app": {"h.example/a": []}`, `, "app": {"h.example/a": [1]}`, `, "app": {"h.example/a": [2]}`, `, "app": {"h.example/b": [1]}`} {
		got := hash(section(rest, ""))
		if other, twice := seen[got]; twice {
			t.Errorf("the same hash %s for %q and %q", got, other, rest)
		}
		seen[got] = rest
	}
	acl := func(rest string) string {
		return hash(world(`"postures": {"posture:a": ["node:os IS SET"]}, "acls": [{"action": "accept", "src": ["*"], "dst": ["ct:22"]` + rest + `}]`))
	}
	if acl("") == acl(`, "srcPosture": ["posture:a"]`) {
		t.Error("an acl with a posture has the same hash as one without")
	}
	if hash(section("", `"defaultSrcPosture": ["posture:a"], `)) != hash(section(`, "srcPosture": ["posture:a"]`, "")) {
		t.Error("a posture by default gives another hash than the same posture written out")
	}
}
