package policy_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestNodeAttrsOfTheDialect(t *testing.T) {
	attr := func(rest string) string { return `"nodeAttrs": [{` + rest + `}]` }
	to := func(targets string) string { return attr(`"target": [` + targets + `], "attr": ["funnel"]`) }
	const badTarget, reserved = "is no target of nodeAttrs", "overlaps a reserved range"
	dialect{
		{"section null", `"nodeAttrs": null`, ""}, {"section empty", `"nodeAttrs": []`, ""}, {"entry empty", attr(``), ""},
		{"lists null", attr(`"target": null, "attr": null, "ipPool": null, "app": null`), ""}, {"lists empty", attr(`"target": [], "attr": []`), ""},
		{"all targets", to(`"*", "ada@h.example", "user:*@h.example", "group:eng", "tag:web", "autogroup:member", "autogroup:tagged", "autogroup:admin", "autogroup:owner", "ct", "10.0.0.0/8", " fd00::1 "`), ""},
		{"unknown attributes", attr(`"target": ["*"], "attr": ["no-such:thing", "https://h.example/x", " "]`), ""},
		{"unknown tag", to(`"tag:x"`), `target="tag:x": tag not found: "tag:x"`}, {"nonsense", to(`"nonsense"`), "unknown host"}, {"nothing", to(`""`), "is empty"},
		{"the internet", to(`"autogroup:internet"`), badTarget}, {"oneself", to(`"autogroup:self"`), badTarget}, {"the world", to(`"autogroup:danger-all"`), badTarget},
		{"a number as attribute", attr(`"target": ["*"], "attr": [1]`), "must be a string"},
		{"an unknown key", attr(`"target": ["*"], "attrs": ["funnel"]`), `did you mean "attr"?`},
		{"ipPool", attr(`"target": ["*"], "ipPool": ["100.81.0.0/16", "100.82.0.1"]`), ""},
		{"reserved ipPool", attr(`"target": ["*"], "ipPool": ["100.100.0.0/24"]`), reserved}, {"reserved ipPool, inside", attr(`"ipPool": ["100.115.93.0/24"]`), reserved},
		{"reserved ipPool, around", attr(`"ipPool": ["100.100.0.0/16"]`), reserved}, {"reserved ipPool, one", attr(`"ipPool": ["100.100.100.100"]`), reserved},
		{"ipPool of other addresses", attr(`"ipPool": ["10.0.0.0/8"]`), "is outside of"}, {"ipPool of more addresses", attr(`"ipPool": ["100.0.0.0/8"]`), reserved}, {"ipPool of IPv6", attr(`"ipPool": ["fd7a:115c:a1e0::/48"]`), "is outside of"},
		{"ipPool of words", attr(`"ipPool": ["pool"]`), "is no CIDR"}, {"ipPool with host bits", attr(`"ipPool": ["100.81.0.1/16"]`), "has bits behind"},
		{"app connectors", attr(`"target": ["*"], "app": {"h.example/app-connectors": [{"name": "x", "connectors": ["tag:web"], "domains": ["a.example"]}]}`), ""},
	}.run(t)
	p := parse(t, world(`"nodeAttrs": [{"target": ["*", "group:eng"], "attr": ["b", " a ", "b"]}, {"target": ["*"]}, {"attr": ["c"]}, {"target": ["ct"], "attr": ["d"]}]`))
	var got strings.Builder
	for _, a := range p.NodeAttrs() {
		fmt.Fprintln(&got, a.Target, a.Attrs, a.Pos.Column)
	}
	if got.String() != "[* group:eng] [a b] 15\n[ct] [d] 110\n" {
		t.Error(got.String())
	}
}
