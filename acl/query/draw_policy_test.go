package query_test

import (
	"net/netip"
	"slices"
	"strings"
)

func (d *drawer) policy() {
	d.p.TagOwners = map[string][]string{}
	for _, tag := range tags() {
		d.p.TagOwners[tag] = []string{"ada@h.example"}
	}
	d.p.Groups = map[string][]string{"group:g": some(d, "members", 2, logins()...), "group:empty": {}}
	d.p.Hosts = map[string]string{"h1": one(d, "h1", "100.64.0.1", "100.64.0.2", "10.1.1.1", "fd7a:115c:a1e0::2"),
		"h2": one(d, "h2", "10.1.0.0/16", "100.64.0.0/30", "10.1.2.0/24")}
	d.p.IPSets = map[string][]string{"ipset:s": {one(d, "add", "10.1.0.0/16", "add 100.64.0.0/24", "autogroup:internet"), one(d, "remove", "remove 10.1.1.0/24", "remove 100.64.0.2", "remove 8.8.8.0/24")}}
	d.wards()
	for range one(d, "grants", 2, 1, 3, 4, 0) {
		d.p.Grants = append(d.p.Grants, d.grant())
	}
	for range one(d, "acls", 0, 0, 1, 2) {
		d.p.ACLs = append(d.p.ACLs, d.acl())
	}
	for range one(d, "ssh", 0, 1, 2, 3) {
		d.p.SSH = append(d.p.SSH, d.ssh())
	}
	for range one(d, "nodeAttrs", 0, 0, 1, 2) {
		targets := slices.Concat(selectors()[:9], []string{"*", "h1", "h2", "100.64.0.0/30", "10.1.0.0/16", "autogroup:admin", "autogroup:owner"})
		d.p.NodeAttrs = append(d.p.NodeAttrs, nodeAttr{Target: some(d, "target", 2, targets...), Attr: some(d, "attr", 2, "x", "y")})
	}
	if d.chance("autoApprovers", 60) {
		d.p.AutoApprovers = d.approvers()
	}
	if d.chance("tests", 10) {
		d.p.Tests = append(d.p.Tests, policyTest{Src: one(d, "test src", "ada@h.example", "tag:a", "group:g", "tag:none", "zed@h.example", "group:empty"),
			Proto: one(d, "test proto", "", "tcp", "udp")})
		target := one(d, "test dst", "tag:b", "ada@h.example", "tag:none", "100.64.0.2") + ":" + one(d, "test port", "443", "22")
		if one(d, "test kind", true, false) {
			d.p.Tests[0].Accept = []string{target}
		} else {
			d.p.Tests[0].Deny = []string{target}
		}
	}
	if d.chance("sshTests", 5) {
		people := []string{"ada@h.example", "tag:a", "group:g", "zed@h.example", "tag:none"}
		t := sshTest{Src: one(d, "ssh test src", people...), Dst: some(d, "ssh test dst", 2, append(people, "100.64.0.2")...)}
		logins := some(d, "ssh test logins", 2, "root", "ada", "ops")
		switch one(d, "ssh test kind", "deny", "accept", "check") {
		case "deny":
			t.Deny = logins
		case "accept":
			t.Accept = logins
		default:
			t.Check = logins
		}
		d.p.SSHTests = append(d.p.SSHTests, t)
	}
	if d.chance("default posture", 4) {
		d.p.Postures = map[string][]string{"posture:p": {"node:os == 'linux'"}}
		d.p.EachPosture = []string{"posture:p"}
	}
	if d.chance("defect", 5) {
		d.defect()
	}
}

// selectors are the aliases of people and tags; the first nine may stand
// anywhere.
func selectors() []string {
	return []string{"ada@h.example", "bob@h.example", "tag:a", "tag:b", "tag:r", "group:g", "autogroup:member", "autogroup:tagged", "tag:none",
		"group:empty", "user:*@h.example", "eve@", "autogroup:admin", "autogroup:owner", "autogroup:shared", "autogroup:members"}
}

func literals() []string {
	return []string{"100.64.0.1", "100.64.0.2", "100.64.0.3/32", "100.64.0.0/30", "100.64.0.0/24", "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::/120",
		"10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1", "10.1.2.0/24", "10.2.0.0/16", "fd00:1:1::/48", "fd00:1::/32",
		"203.0.113.0/24", "8.8.8.0/24", "172.16.0.0/12", "h1", "h2", "ipset:s"}
}

// named are the aliases of addresses that a rule may have.
func named() []string { return append(literals(), "seg:s") }

func people() []string {
	return []string{"ada@h.example", "bob@h.example", "group:g", "autogroup:member", "user:*@h.example", "eve@lab.example", "autogroup:admin"}
}

// wards draws what is protected, and what is forbidden: by one address of machines, too.
func (d *drawer) wards() {
	machines := literals()[:5]
	members := slices.Concat(machines, literals(), machines, []string{"tag:a", "tag:b", "tag:none"})
	d.p.Segments = map[string]segment{"seg:s": {Members: some(d, "members of seg:s", 2, members...), Owner: "group:g"}}
	if d.chance("floor", 50) {
		d.p.Segments["seg:f"] = segment{Members: some(d, "members of seg:f", 2, members...), Owner: "group:g", Requires: map[string]any{"mfa": map[string]string{"within": "1h"}}}
	}
	if d.chance("forbid", 50) {
		all := slices.Concat(machines, literals(), selectors(), []string{"*", "*", "*", "seg:s", "seg:s"})
		d.p.Forbid = []forbid{{Src: some(d, "forbidden src", 2, all...), Dst: some(d, "forbidden dst", 2, all...)}}
		if d.chance("forbidden ip", 50) {
			d.p.Forbid[0].IP = some(d, "forbidden ip", 2, "*", "443", "tcp:22", "icmp:*", "udp:*", "gre:*", "icmpv6:*")
		}
	}
}

// sources draws who a rule is for; before autogroup:self only people.
func (d *drawer) sources(self bool) []string {
	if self {
		return d.blanks(some(d, "src", 2, people()...))
	}
	switch one(d, "src kind", "selector", "wild", "literal", "mixed", "selector", "mixed", "any") {
	case "selector":
		return d.blanks(some(d, "src", 2, selectors()...))
	case "wild":
		return []string{"*"}
	case "literal":
		return some(d, "src", 2, named()...)
	case "any":
		return []string{one(d, "src", "autogroup:danger-all", "0.0.0.0/0", "::/0", "*")}
	}
	return some(d, "src", 3, slices.Concat(selectors(), named(), []string{"*"})...)
}

func (d *drawer) destinations(via bool) []string {
	kinds := []string{"selector", "wild", "literal", "mixed", "internet", "mixed", "wild"}
	if via {
		kinds = []string{"route", "wild", "route", "internet", "mixed"}
	}
	switch one(d, "dst kind", kinds...) {
	case "selector":
		return some(d, "dst", 2, append(selectors(), "autogroup:self")...)
	case "wild":
		return []string{"*"}
	case "literal":
		return some(d, "dst", 2, named()...)
	case "route":
		return some(d, "dst", 2, literals()[7:16]...)
	case "internet":
		return []string{one(d, "internet", "autogroup:internet", "ipset:s")}
	}
	all := slices.Concat(selectors(), named(), []string{"*", "autogroup:internet", "autogroup:self", "autogroup:self"})
	if via {
		all = all[:len(all)-2]
	}
	return some(d, "dst", 3, all...)
}

// blanks puts blanks around some of the aliases, which change nothing.
func (d *drawer) blanks(list []string) []string {
	if d.chance("blanks", 5) {
		list[0] = " " + list[0] + "  "
	}
	return list
}

func (d *drawer) grant() grant {
	var g grant
	if d.chance("via", 30) {
		g.Via = some(d, "via", 2, "tag:a", "tag:r", "tag:b")
	}
	g.Dst = d.destinations(len(g.Via) > 0)
	g.Src = d.sources(slices.Contains(g.Dst, "autogroup:self"))
	internet := slices.Contains(g.Dst, "autogroup:internet")
	kind := one(d, "grant kind", "ip", "ip", "ip", "app", "both")
	if internet || kind != "app" {
		g.IP = some(d, "ip", 2, "*", "443", "tcp:443", "tcp:22", "80-443", "udp:*", "icmp:*", "icmpv6:*", "sctp:80", "gre:*", "47", "47:*", "tcp:80-443")
	}
	if !internet && kind != "ip" {
		g.App = map[string][]any{}
		for _, name := range some(d, "app", 2, "h.example/cap/x", "h.example/cap/y", "tailscale.com/cap/drive", "tailscale.com/cap/relay") {
			g.App[name] = one(d, "values", []any{}, []any{1.0}, []any{"r", map[string]any{"k": true}})
		}
	}
	g.SrcPosture = d.posture()
	return g
}

// posture draws one that a rule asks for, mostly none.
func (d *drawer) posture() []string {
	if !d.chance("posture", 10) {
		return nil
	}
	d.p.Postures = map[string][]string{"posture:p": {"node:os == 'linux'"}}
	return []string{"posture:p"}
}

func (d *drawer) acl() acl {
	a := acl{Action: "accept", Proto: one(d, "proto", "", "", "", "tcp", "udp", "icmp", "1", "gre", "47", "sctp", "6")}
	self := false
	for _, alias := range d.destinations(false) {
		if d.chance("zero", 5) {
			alias = one(d, "zero dst", "0.0.0.0/0", "::/0")
		}
		self = self || alias == "autogroup:self"
		ports := one(d, "ports", "*", "443", "22,80-443", "*", "80")
		if protos, err := parseProto(a.Proto); err == nil && len(protos) == 1 && !hasPorts(protos[0]) {
			ports = "*"
		}
		a.Dst = append(a.Dst, d.bracketed(alias)+":"+ports)
	}
	a.SrcPosture = d.posture()
	a.Src = d.sources(self)
	if self && d.chance("own", 30) {
		a.Src = []string{"*"}
	}
	return a
}

// bracketed writes an IPv6 literal in one of its forms.
func (d *drawer) bracketed(alias string) string {
	p, err := parsePrefix(alias)
	if err != nil || p.Addr().Is4() || one(d, "bare", true, false) {
		return alias
	}
	_, length, ok := strings.Cut(alias, "/")
	if ok {
		return "[" + p.Addr().String() + "]/" + length
	}
	return "[" + alias + "]"
}

func (d *drawer) ssh() sshRule {
	r := sshRule{Action: one(d, "action", "accept", "check")}
	r.Dst = some(d, "ssh dst", 2, "tag:a", "tag:b", "autogroup:self", "bob@h.example", "tag:r", "autogroup:tagged")
	switch {
	case slices.Contains(r.Dst, "bob@h.example"):
		r.Src = []string{"bob@h.example"}
	case slices.Contains(r.Dst, "autogroup:self") || r.Action == "check":
		r.Src = some(d, "ssh people src", 2, append(people(), "autogroup:owner")...)
	default:
		r.Src = some(d, "ssh src", 2, slices.Concat(people(), []string{"tag:a", "tag:b", "autogroup:tagged"})...)
	}
	r.Users = d.blanks(some(d, "users", 2, "root", "ada", "autogroup:nonroot", "localpart:*@h.example", "localpart:*@lab.example", "tag:foo"))
	return r
}

func (d *drawer) approvers() *approvers {
	a := &approvers{Routes: map[netip.Prefix][]string{}}
	by := []string{"tag:a", "tag:r", "tag:b", "group:g", "ada@h.example", "bob@h.example"}
	for _, key := range some(d, "keys", 3, "10.0.0.0/8", "10.1.0.0/17", "10.1.0.0/16", "10.1.1.0/24", "fd00:1::/32", "0.0.0.0/0", "::/0") {
		a.Routes[netip.MustParsePrefix(key)] = some(d, "approver", 2, by...)
	}
	if d.chance("exitNode", 50) {
		a.ExitNode = some(d, "exit approver", 2, by...)
	}
	return a
}

// defect breaks the policy in one way, for which all of it is refused.
func (d *drawer) defect() {
	g := grant{Src: []string{"*"}, Dst: []string{"*"}, IP: []string{"*"}}
	switch one(d, "defect", "src tag", "dst tag", "self src", "danger", "zero", "neither", "via", "app", "port", "ssh", "ssh to another", "ssh check of a tag", "role app") {
	case "src tag":
		g.Src = []string{"tag:nope"}
	case "dst tag":
		g.Dst = []string{"tag:nope"}
	case "self src":
		g.Dst = []string{"tag:a", "autogroup:self"}
	case "danger":
		g.Dst = []string{"autogroup:danger-all"}
	case "zero":
		g.Dst = []string{"0.0.0.0/0"}
	case "neither":
		g.IP = nil
	case "via":
		g.Via = []string{"ada@h.example"}
	case "app":
		g.App = map[string][]any{"tailscale.com/cap/drive-sharer": {}}
	case "port":
		g.IP = []string{"tcp:0"}
	case "role app":
		g.Dst, g.App = []string{"autogroup:admin"}, map[string][]any{"h.example/cap/x": {}}
	case "ssh to another":
		d.p.SSH = append(d.p.SSH, sshRule{Action: "accept", Src: []string{"ada@h.example"}, Dst: []string{"tag:a", "bob@h.example"}, Users: []string{"root"}})
	case "ssh check of a tag":
		d.p.SSH = append(d.p.SSH, sshRule{Action: "check", Src: []string{"ada@h.example", "tag:a"}, Dst: []string{"tag:b"}, Users: []string{"root"}})
	case "ssh":
		d.p.SSH = append(d.p.SSH, sshRule{Action: "accept", Src: []string{"ada@h.example"}, Dst: []string{"h1"}, Users: []string{"root"}})
	}
	d.p.Grants = append(d.p.Grants, g)
}
