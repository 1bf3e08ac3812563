package compile

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// device is what a test's source or destination stands for: a node with its
// addresses, or an address or prefix that the test names.
type device struct {
	label  string
	owner  acl.Owner
	places []devicePlace
}

type devicePlace struct {
	place
	is4 bool
}

// devices are what a selector stands for in a test, by label. Of those that no rule
// tells apart there is the first: a ward's two hundred laptops are one question.
type devices struct {
	each    []device
	unowned []device // likewise, where nobody's own nodes are asked for: it does not matter whose they are
}

// before gives those to ask for a target.
func (d devices) before(to devices, target policy.Target) []device {
	if target.Dst.Kind == policy.Self || slices.ContainsFunc(to.each, func(dst device) bool { return dst.owner != 0 }) {
		return d.each
	}
	return d.unowned
}

// devices gives what a selector stands for.
func (j *judging) devices(s policy.Selector) devices {
	all, ok := j.known[s.Key()]
	if !ok {
		found := j.lookUp(s)
		j.work.spend(8 * len(found))
		all = devices{j.apart(found, true), j.apart(found, false)}
		j.known[s.Key()] = all
	}
	return all
}

func (j *judging) lookUp(s policy.Selector) []device {
	if j.world != nil {
		if all, ok := j.world.lookUp(s, j.work); ok {
			return all
		}
	}
	var all []device
	if s.Kind == policy.Net || s.Kind == policy.Set {
		for _, prefix := range spans(s, j.pol) {
			all = append(all, j.netDevices(s.String(), prefix)...)
		}
		return all
	}
	picks := j.picker(s)
	for _, n := range j.candidates(s) {
		if picks(&n.Node) {
			all = append(all, j.deviceOf(n))
		}
	}
	slices.SortFunc(all, func(a, b device) int { return cmp.Compare(a.label, b.label) })
	return all
}

// candidates gives nodes among which are all that a selector picks.
func (j *judging) candidates(s policy.Selector) []*node {
	if s.Kind == policy.Tag || s.Kind == policy.User && !strings.HasSuffix(s.Name, "@") {
		if j.names == nil {
			j.names = j.named()
		}
		return j.names[s.Name]
	}
	all := make([]*node, 0, len(j.nodes))
	for _, n := range j.nodes {
		all = append(all, n)
	}
	j.work.spend(2 * len(all))
	return all
}

// named gives the nodes by tag and by login.
func (m *Mesh) named() map[string][]*node {
	all := make(map[string][]*node)
	for _, n := range m.nodes {
		for _, tag := range n.Tags {
			all[tag] = append(all[tag], n)
		}
		for login := range n.logins() {
			all[login] = append(all[login], n)
		}
	}
	return all
}

// apart gives the first of those devices that no rule tells apart, nor what is known
// of them.
func (m *Mesh) apart(all []device, owned bool) []device {
	var one []device
	seen, numbers := make(map[string]bool), make(map[*profile]uint64)
	for _, d := range all {
		var key []byte
		if owned {
			key = binary.BigEndian.AppendUint64(key, uint64(d.owner))
		}
		for _, p := range d.places {
			key = m.appendLikeness(key, p, numbers)
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			one = append(one, d)
		}
	}
	return one
}

// appendLikeness appends all that a judgement asks of a place.
func (m *Mesh) appendLikeness(key []byte, p devicePlace, numbers map[*profile]uint64) []byte {
	number := func(n *node) {
		if numbers[n.profile] == 0 {
			numbers[n.profile] = uint64(len(numbers) + 1)
		}
		key = binary.BigEndian.AppendUint64(key, numbers[n.profile])
	}
	var class acl.Class
	if p.class != nil {
		class = p.class.num
	}
	family := byte('6')
	if p.is4 {
		family = '4'
	}
	key = binary.BigEndian.AppendUint64(append(key, '\n', family), uint64(class))
	if p.host != nil {
		number(p.host)
	}
	for _, n := range p.routers {
		number(n)
	}
	return m.appendKnown(key, p.place)
}

// appendKnown appends the facts that hold of a place.
func (m *Mesh) appendKnown(key []byte, p place) []byte {
	now := m.now
	if now.IsZero() {
		now = time.Unix(0, 0) // as for a test that says what a device is like
	}
	for f := range p.facts() {
		if now.Before(f.Until) {
			key = append(append(key, ' '), f.Fact...)
		}
	}
	return key
}

func (m *Mesh) deviceOf(n *node) device {
	d := device{label: n.title(), owner: n.record.owner}
	for _, a := range n.Addrs {
		d.places = append(d.places, devicePlace{m.locate(a), a.Is4()})
	}
	return d
}

// ownDevices gives all nodes of a device's owner.
func (m *Mesh) ownDevices(d device) []device {
	var all []device
	if d.owner == 0 {
		return nil
	}
	for _, n := range m.byOwner[d.owner] {
		all = append(all, m.deviceOf(n))
	}
	return all
}

// netDevices gives an address as one device, and of a prefix one device for each
// part that the policy can tell apart: one begins where the prefix does, and where
// something inside it begins or has ended.
func (j *judging) netDevices(label string, prefix netip.Prefix) []device {
	if prefix.IsSingleIP() {
		p := j.judgedPlace(prefix.Addr())
		return []device{{label: label, owner: p.owner, places: []devicePlace{{p, prefix.Addr().Is4()}}}}
	}
	starts := []netip.Addr{prefix.Addr()}
	for inner := range j.table.Subnets(prefix) {
		starts = append(starts, inner.Addr(), netipx.PrefixLastIP(inner).Next())
	}
	j.work.spend(16 * len(starts))
	slices.SortFunc(starts, netip.Addr.Compare)
	var all []device
	for _, a := range slices.Compact(starts) {
		if !prefix.Contains(a) {
			continue
		}
		p := j.locate(a) // no destination: that is one address
		one := device{label: a.String(), owner: p.owner, places: []devicePlace{{p, a.Is4()}}}
		if len(all) == 0 {
			one.label = label
		}
		all = append(all, one)
	}
	return all
}

// judgedPlace is locate for a test. What nobody has or routes is judged by the
// rules' words alone, as if somebody did: so * is one of those that lead there.
func (m *Mesh) judgedPlace(a netip.Addr) place {
	p := m.locate(a)
	if p.reachable || m.contested(a) || m.book.anyDst == unused {
		return p
	}
	sign := []selector{m.book.anyDst}
	if p.class != nil {
		sign = sortedSet(append(sign, p.class.sign...))
	}
	p.class = m.newClass(signKey(sign), sign)
	return p
}
