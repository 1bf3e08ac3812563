package compile

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/cordonmesh/cordon/acl/policy"
)

// A test that says what is given is judged in a world that is made up: one node
// for each tag, one device for each tag of assets and for each host that assets
// match, behind gateways with the tags that rules lead through, and one person.
// So it says the same before the first machine has joined and after the last.

// madeUpRanges are those of RFC 2544 and of RFC 5180: no hospital routes them.
func madeUpRanges() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:2::/48")}
}

// world is a mesh for tests.
type world struct {
	*Mesh
	next    uint32
	devices map[string][]policy.Selector // by the tag or the host's name: where they are
}

// madeUp makes the world of a policy, or a part of it when it costs too much.
func (m *Mesh) madeUp(cost *work) *world {
	w := &world{Mesh: New(m.pol, slices.Concat(madeUpRanges(), m.ranges)), devices: make(map[string][]policy.Selector)}
	w.now = m.now
	behind := w.assets(cost)
	routes := make([]netip.Prefix, len(behind))
	for i, d := range behind {
		routes[i] = d.Prefix
	}
	gates := make(map[string]bool)
	for _, a := range m.pol.Assets() {
		gates[a.Behind] = true
	}
	for _, r := range m.pol.Rules() {
		for _, tag := range r.Via {
			gates[tag] = true
		}
	}
	var nodes []Node
	for _, tag := range m.pol.Tags() {
		if w.devices[tag] != nil {
			continue // nothing with it has a daemon
		}
		n := Node{ID: tag, Name: tag, Tags: []string{tag}, Addrs: w.addresses()}
		if gates[tag] {
			n.Devices, n.Routes = behind, routes
			cost.spend(gateSteps * len(behind))
		}
		if cost.over() {
			break
		}
		nodes = append(nodes, n)
	}
	w.Load(nodes)
	return w
}

// addresses gives two that nobody has.
func (w *world) addresses() []netip.Addr {
	w.next++
	four, six := madeUpRanges()[0].Addr().As4(), madeUpRanges()[1].Addr().As16()
	binary.BigEndian.PutUint32(four[:], binary.BigEndian.Uint32(four[:])+w.next)
	binary.BigEndian.PutUint32(six[12:], w.next)
	return []netip.Addr{netip.AddrFrom4(four), netip.AddrFrom16(six)}
}

// assets makes the devices without a daemon: for each tag one, and each host in
// an ipset by which it is earned.
func (w *world) assets(cost *work) []Device {
	tags := make(map[netip.Prefix][]string)
	hosts := new(bart.Lite)
	for host := range w.pol.Hosts() {
		hosts.Insert(host)
	}
	for _, a := range w.pol.Assets() {
		if w.devices[a.Tag] == nil {
			for _, addr := range w.addresses() {
				tags[single(addr)] = []string{a.Tag}
				w.devices[a.Tag] = append(w.devices[a.Tag], policy.Selector{Kind: policy.Net, Name: a.Tag, Prefix: single(addr)})
			}
		}
		set, _ := w.pol.IPSet(a.Match.Set)
		for _, prefix := range set {
			cost.spend(1)
			for host := range hosts.Subnets(prefix) {
				cost.spend(deviceSteps)
				tags[host] = append(tags[host], a.Tag)
			}
		}
		if cost.over() {
			return nil
		}
	}
	var all []Device
	for _, p := range slices.SortedFunc(maps.Keys(tags), comparePrefix) {
		all = append(all, Device{p, tags[p]})
	}
	return all
}

// lookUp gives what a selector stands for in this world, if it is a tag or picks people.
func (w *world) lookUp(s policy.Selector, cost *work) ([]device, bool) {
	if s.Kind == policy.Tag && w.devices[s.Name] != nil {
		d := device{label: s.Name}
		for _, at := range w.devices[s.Name] {
			d.places = append(d.places, devicePlace{w.locate(at.Prefix.Addr()), at.Prefix.Addr().Is4()})
		}
		return []device{d}, true
	}
	if n, known := w.nodes[s.Name]; known && s.Kind == policy.Tag {
		return []device{w.deviceOf(n)}, true
	}
	if person, ok := madeUpPerson(s); ok {
		person.ID, person.Name = "person "+s.Key(), s.Name
		if old, known := w.nodes[person.ID]; known {
			return []device{w.deviceOf(old)}, true
		}
		cost.spend(putSteps)
		person.Addrs = w.addresses()
		w.Put(person)
		return []device{w.deviceOf(w.nodes[person.ID])}, true
	}
	return nil, false
}

// madeUpPerson gives a person whom a selector picks, if it picks people.
func madeUpPerson(s policy.Selector) (Node, bool) {
	n := Node{User: "somebody@made-up.invalid"}
	switch s.Kind {
	case policy.User:
		n.User = s.Name
		if name, found := strings.CutSuffix(s.Name, "@"); found {
			n.User, n.UserName = n.User+"made-up.invalid", name
		}
	case policy.Group:
		n.Groups = []string{s.Name}
	case policy.Domain:
		_, domain, _ := strings.Cut(s.Name, "@")
		n.User = "somebody@" + domain
	case policy.Role:
		n.Roles = []string{strings.TrimPrefix(s.Name, "autogroup:")}
	case policy.Member:
	default:
		return Node{}, false
	}
	return n, true
}
