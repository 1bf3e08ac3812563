package query_test

import (
	"net/netip"
	"slices"
	"strings"
)

// part is one destination of one rule: of its packets, or of its capabilities.
type part struct {
	src      []string
	dst      string
	services []service // of a part that opens packets; else of an app
	app      map[string][]any
	via      []string
	acl      bool
	behind   bool // for what stands behind subnet routers alone
}

func (q part) opens() bool { return q.services != nil }

func (q part) self() bool { return q.dst == "autogroup:self" }

// parts takes the rules of a policy that was checked apart. No device of a question has a
// posture, so what asks for one is a rule for what is no device alone. That can use no
// capability.
func (w *world) parts() []part {
	var all []part
	for _, g := range w.policy.Grants {
		var services []service
		for _, text := range g.IP {
			s, _ := parseIP(text)
			services = append(services, s...)
		}
		src := w.spelled(trim(g.Src))
		for _, dst := range w.spelled(trim(g.Dst)) {
			if len(g.IP) > 0 {
				all = append(all, part{src: src, dst: dst, services: services, via: trim(g.Via), behind: w.postured(g.SrcPosture)})
			}
			if len(g.App) > 0 && !w.postured(g.SrcPosture) {
				all = append(all, part{src: src, dst: dst, app: g.App, via: trim(g.Via)})
			}
		}
	}
	for _, a := range w.policy.ACLs {
		protos, _ := parseProto(a.Proto)
		for _, text := range a.Dst {
			alias, ports, _ := splitDst(text)
			services, _ := parseServices(protos, ports)
			for _, dst := range w.spelled([]string{alias}) {
				all = append(all, part{src: w.spelled(trim(a.Src)), dst: dst, services: services, acl: true, behind: w.postured(a.SrcPosture)})
			}
		}
	}
	for _, q := range all {
		if list, ok := w.policy.IPSets[q.dst]; ok && q.opens() && w.onInternet(list) {
			q.dst = beyondExits + q.dst
			all = append(all, q)
		}
	}
	return all
}

// beyondExits marks the public addresses of an ipset that is built on
// autogroup:internet, which lead through exit nodes.
const beyondExits = "internet "

// outward says whether a part opens public addresses at exit nodes, and nothing else.
func (q part) outward() bool {
	return q.dst == "autogroup:internet" || strings.HasPrefix(q.dst, beyondExits)
}

// onInternet says whether an ipset adds autogroup:internet, itself or by another set.
func (w *world) onInternet(list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		what, removes := strings.CutPrefix(strings.TrimSpace(entry), "remove ")
		what = strings.TrimSpace(strings.TrimPrefix(what, "add "))
		return !removes && (what == "autogroup:internet" || w.onInternet(w.policy.IPSets[what]))
	})
}

// postured says whether a rule asks for a posture, its own or the default.
func (w *world) postured(own []string) bool { return len(own)+len(w.policy.EachPosture) > 0 }

// admits is the addresses that a part admits where it lands: of a part to
// autogroup:self those of the same person.
func (w *world) admits(q part, at *device) space {
	var s space
	for _, alias := range q.src {
		if !q.self() {
			s = slices.Concat(s, w.source(alias))
			continue
		}
		if alias == "*" {
			alias = "autogroup:member"
		}
		for i := range w.Nodes {
			from := &w.Nodes[i]
			if _, yes := w.selects(alias, from); yes && samePerson(from, at) {
				s = slices.Concat(s, w.addrs(from))
			}
		}
	}
	if q.behind {
		s = s.minus(w.machines())
	}
	return s
}

// machines is the addresses of devices, and those that one may join with: of the mesh's
// range, but for what subnet routers carry inside it.
func (w *world) machines() space {
	s := w.meshSpace()
	for i := range w.Nodes {
		for _, route := range w.Nodes[i].subnets() {
			if all := spaceOfPrefixes([]netip.Prefix{route}); len(all.minus(w.meshSpace())) == 0 {
				s = s.minus(all)
			}
		}
	}
	for i := range w.Nodes {
		s = slices.Concat(s, spaceOfAddrs(w.Nodes[i].written()))
	}
	return s
}

// reaches is the addresses that a part opens where it lands.
func (w *world) reaches(q part, at *device) space {
	if !q.self() {
		return w.destination(q.dst)
	}
	var s space
	for i := range w.Nodes {
		if samePerson(&w.Nodes[i], at) {
			s = slices.Concat(s, w.addrs(&w.Nodes[i]))
		}
	}
	return s
}

// lands says whether a part is a rule of a node.
func (w *world) lands(q part, at *device) bool {
	if len(q.via) > 0 {
		return hasAny(at.Tags, q.via) && w.routesInto(q, at)
	}
	switch {
	case q.self():
		return !at.tagged() && at.User != ""
	case q.outward():
		return len(at.exits()) > 0
	case !q.opens():
		return w.reaches(q, at).overlaps(w.addrs(at))
	case q.dst == "*":
		return true
	}
	return w.reaches(q, at).overlaps(w.identity(at))
}

// routesInto says whether a node routes something that a part with via opens.
func (w *world) routesInto(q part, at *device) bool {
	if q.outward() {
		return len(at.exits()) > 0
	}
	return w.reaches(q, at).overlaps(spaceOfPrefixes(at.subnets()))
}

func hasAny(have, want []string) bool {
	for _, s := range want {
		if slices.Contains(have, s) {
			return true
		}
	}
	return false
}

// answersFor says whether an address is a node's own or one that it routes.
// Nobody answers for another node's address, nor for one that two claim.
func (w *world) answersFor(at *device, a netip.Addr) bool {
	if w.addrs(at).has(a) {
		return true
	}
	if w.claims[a] > 0 {
		return false
	}
	if spaceOfPrefixes(at.subnets()).has(a) {
		return true
	}
	return w.beyond(at, a)
}

// beyond says whether an address is reached through an exit node alone.
func (w *world) beyond(at *device, a netip.Addr) bool {
	routed := slices.Concat(w.addrs(at), spaceOfPrefixes(at.subnets()))
	return spaceOfPrefixes(at.exits()).has(a) && !routed.has(a) && !w.meshSpace().has(a)
}
