package query_test

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"pgregory.net/rapid"
)

// drawer makes random questions from few names and few prefixes, so that what
// they speak of meets.
type drawer struct {
	t *rapid.T
	q question
	p policyFile
}

// below draws a number from 0 up to n, each about as often, where rapid's own
// ranges and samples prefer the first; 0 is still the simplest.
func (d *drawer) below(label string, n int) int {
	return rapid.Custom(func(t *rapid.T) int {
		v := 0
		for range bits.Len(uint(n)) + 3 {
			v <<= 1
			if rapid.Bool().Draw(t, "bit") {
				v++
			}
		}
		return v % n
	}).Draw(d.t, label)
}

func one[T any](d *drawer, label string, from ...T) T { return from[d.below(label, len(from))] }

// some draws a list of one to most, perhaps with repetitions.
func some[T any](d *drawer, label string, most int, from ...T) []T {
	var list []T
	for range 1 + d.below("length", most) {
		list = append(list, one(d, label, from...))
	}
	return list
}

// chance is true in about percent of the cases, and never in the simplest.
func (d *drawer) chance(label string, percent int) bool { return d.below(label, 100) >= 100-percent }

func logins() []string {
	return []string{"ada@h.example", "bob@h.example", "eve@lab.example", "dan@h.example"}
}

func tags() []string { return []string{"tag:a", "tag:b", "tag:r", "tag:none"} }

func (d *drawer) mesh() {
	for _, login := range logins() {
		name := login[:3]
		d.q.Users = append(d.q.Users, person{Name: name, Login: login, Role: one(d, "role", "member", "owner", "admin", "", "auditor")})
	}
	if d.chance("domains", 30) {
		d.q.Tailnet = &tailnet{Domains: []string{"h.example", "lab.example"}}
	}
	if d.chance("mesh", 20) {
		d.q.Mesh = &mesh{IPv4: oneOrMany{"100.64.0.0/24"}, IPv6: oneOrMany{"fd7a:115c:a1e0::/64", "fd00:9::/32"}}
	}
	for i := range 3 + d.below("nodes", 7) {
		d.node(i)
	}
	if d.chance("twin", 5) && d.q.Nodes[0].IPv6 != "" && d.q.Nodes[1].IPv6 != "" { // else one would have no address, and be nobody
		d.q.Nodes[1].IPv4 = d.q.Nodes[0].IPv4
	}
	for i := range d.q.Nodes {
		for _, p := range d.q.Nodes[i].subnets() {
			d.elect(p)
		}
	}
}

func (d *drawer) node(i int) {
	n := device{Name: fmt.Sprintf("%s%d", one(d, "name", "n", "m", "a"), i)}
	switch one(d, "owner", "user", "tags", "both") {
	case "user":
		n.User = one(d, "login", logins()[:3]...)
	case "tags":
		n.Tags = some(d, "tags", 2, tags()[:3]...)
	case "both": // who made a tagged node is remembered, and counts for nothing
		n.User, n.Tags = one(d, "login", logins()[:3]...), some(d, "tags", 2, tags()[:3]...)
	}
	family := one(d, "family", "both", "both", "both", "both", "four", "six")
	if family != "six" {
		n.IPv4 = fmt.Sprintf("100.64.0.%d", i+1)
	}
	if family != "four" {
		n.IPv6 = fmt.Sprintf("fd7a:115c:a1e0::%x", i+1)
	}
	switch one(d, "routes", "none", "subnets", "exit", "none", "subnets", "both") {
	case "subnets":
		d.route(&n, d.subnetPool())
	case "exit":
		d.route(&n, []string{"0.0.0.0/0", "::/0"})
	case "both":
		d.route(&n, []string{"0.0.0.0/0", "::/0", "10.1.0.0/16", "10.1.1.0/24", "fd00:1::/32"})
	}
	d.q.Nodes = append(d.q.Nodes, n)
}

// subnetPool is what may be routed. A route over the mesh's own addresses is not
// among it: whoever would accept one gave a router a view of nodes that it cannot
// stand in front of.
func (d *drawer) subnetPool() []string {
	return []string{"10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.0/24", "10.0.0.0/8", "10.1.1.1/32", "10.2.0.0/16", "fd00:1::/32", "fd00:1:1::/48", "203.0.113.0/24"}
}

// route gives a node routes: most both advertised and approved, some of them
// one without the other.
func (d *drawer) route(n *device, pool []string) {
	for _, text := range some(d, "prefixes", 3, pool...) {
		p := netip.MustParsePrefix(text)
		if slices.Contains(n.Advertised, p) || slices.Contains(n.Approved, p) {
			continue
		}
		how := one(d, "approval", "both", "both", "both", "advertised", "approved")
		if how != "approved" {
			n.Advertised = append(n.Advertised, p)
		}
		if how != "advertised" {
			n.Approved = append(n.Approved, p)
		}
	}
}

// elect chooses one router of a prefix, or lets it be.
func (d *drawer) elect(p netip.Prefix) {
	var routers []int
	for i, n := range d.q.Nodes {
		if slices.Contains(n.Primary, p) {
			return
		}
		if slices.Contains(n.Approved, p) {
			routers = append(routers, i)
		}
	}
	if i := one(d, "primary", append(routers, -1)...); i >= 0 {
		d.q.Nodes[i].Primary = append(d.q.Nodes[i].Primary, p)
	}
}
