package query_test

import (
	"net/netip"

	"pgregory.net/rapid"
)

// drawQuestion is a random mesh, policy and all kinds of questions.
func drawQuestion(t *rapid.T) question {
	d := &drawer{t: t}
	d.q.V, d.q.ID = 1, "drawn"
	d.mesh()
	d.policy()
	d.ask()
	d.q.Policy = string(mustJSON(d.p))
	d.shout()
	return d.q
}

// render writes a question as a line of POLICY-QUERIES.
func render(q question) []byte { return mustJSON(q) }

func (d *drawer) ask() {
	var names []string
	for _, n := range d.q.Nodes {
		names = append(names, n.Name)
	}
	d.q.Ask = ask{Reach: d.askReach(), Peers: names, Caps: names, Attrs: []string{"x", "y", "z"}, Approve: names,
		SSH: &askSSH{Nodes: names, Logins: []string{"root", "ada", "eve", "tag:foo"}}}
	d.q.Ask.Routes = names
}

func (d *drawer) askReach() *askReach {
	a := &askReach{Probes: [][2]int{{protoTCP, 443}, {protoTCP, 22}, {protoUDP, 443}, {protoICMP, 0}, {protoICMPv6, 0}, {protoGRE, 0}, {protoSCTP, 80}}}
	for range 10 {
		a.Src = append(a.Src, d.point(false))
		a.Dst = append(a.Dst, d.point(true))
	}
	return a
}

// point draws an address, and as destination a node that it arrives at:
// mostly one that has to do with it.
func (d *drawer) point(dst bool) point {
	n := &d.q.Nodes[d.below("at", len(d.q.Nodes))]
	kinds := []string{"node", "node", "node", "route", "route", "outside", "literal", "unassigned"}
	if dst {
		kinds = []string{"node", "node", "node", "node", "route", "route", "route", "exit", "exit", "literal", "unassigned"}
	}
	kind := one(d, "kind", kinds...)
	p := point{Kind: kind, Node: n.Name}
	switch kind {
	case "node":
		p.IP = n.written()[d.below("own", 5)/2%len(n.written())]
	case "route":
		p.IP, p.Node = d.inRoute(n)
	case "exit":
		p.IP, p.Node = one(d, "beyond", addrs("8.8.8.8", "8.8.8.8", "2001:4860::1", "203.0.113.7", "172.16.0.1", "192.168.7.7", "169.254.7.7", "fd00:2::1")...), d.exitNode(n)
	case "outside":
		p.IP = one(d, "outside", addrs("192.168.7.7", "8.8.8.8", "2001:db8::1", "100.115.92.7", "172.16.0.1")...)
	case "literal":
		p.IP = one(d, "literal", addrs("10.1.1.1", "10.1.2.9", "10.9.9.9", "fd00:1:1::5", "fd00:1::5", "203.0.113.7", "100.64.0.2", "fd7a:115c:a1e0::2")...)
	case "unassigned":
		p.IP = one(d, "unassigned", addrs("100.64.9.9", "100.64.0.6", "100.64.0.77", "fd7a:115c:a1e0::7", "fd7a:115c:a1e0:1::1")...)
	}
	if dst && d.chance("elsewhere", 10) {
		p.Node = one(d, "elsewhere", d.q.Nodes[0].Name, d.q.Nodes[2].Name, "nobody")
	}
	if !dst && kind != "node" && kind != "route" {
		p.Node = ""
	}
	return p
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// inRoute draws an address inside some subnet route of the mesh, and its
// router: the node itself if it is one.
func (d *drawer) inRoute(n *device) (netip.Addr, string) {
	routers := []*device{}
	for i := range d.q.Nodes {
		if len(d.q.Nodes[i].subnets()) > 0 {
			routers = append(routers, &d.q.Nodes[i])
		}
	}
	if len(routers) == 0 {
		return netip.MustParseAddr("10.1.1.1"), n.Name
	}
	r := one(d, "router", routers...)
	p := one(d, "of", r.subnets()...)
	if p.IsSingleIP() {
		return p.Addr(), r.Name
	}
	return one(d, "inside", p.Addr().Next(), spanOf(p).hi.Prev(), spanOf(p).hi), r.Name
}

func (d *drawer) exitNode(n *device) string {
	names := []string{n.Name}
	for _, other := range d.q.Nodes {
		if len(other.exits()) > 0 {
			names = append(names, other.Name, other.Name)
		}
	}
	return one(d, "exit node", names...)
}
