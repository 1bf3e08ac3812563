package query

import (
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// first judges a test whose source has no device as if a first one had joined: it
// runs from the perspective of an identity, and who has no device here yet has
// rights all the same. It keeps the meshes with such a device.
func (q *question) first(m *compile.Mesh, joined map[string]*compile.Mesh, t policy.Test) []compile.TestResult {
	n, ok := q.identity(m.Policy(), t.Src)
	if !ok {
		return nil
	}
	with := joined[t.Src.Key()]
	if with == nil {
		with = m.With(m.Policy())
		with.Put(n)
		joined[t.Src.Key()] = with
	}
	return with.ResultsOf(t)
}

// identity gives a node of somebody whom a test names by a login, a group or a tag.
// Nobody is in an empty group.
func (q *question) identity(pol *policy.Policy, s policy.Selector) (n compile.Node, ok bool) {
	n = compile.Node{ID: "first", Name: s.Name, Addrs: q.unclaimed()}
	login := s.Name
	switch s.Kind {
	case policy.Tag:
		n.Tags = []string{s.Name}
		return n, true
	case policy.Group:
		members, _ := pol.Group(s.Name)
		at := slices.IndexFunc(members, func(member string) bool { return strings.Contains(member, "@") })
		if at < 0 {
			return n, false
		}
		login = members[at]
	case policy.User:
	default:
		return n, false
	}
	n.User = login
	if name, short := strings.CutSuffix(login, "@"); short {
		n.UserName = name
	}
	for _, u := range q.Users {
		if u.Login == login || u.Name+"@" == login {
			n.User, n.UserName, n.Role = u.Login, u.Name, u.Role
		}
	}
	return n, true
}

// unclaimed gives the last addresses of the mesh's ranges that no node has, one of
// each family.
func (q *question) unclaimed() []netip.Addr {
	ranges, err := q.ranges()
	if err != nil {
		return nil // the mesh has them already, so they are some
	}
	var all []netip.Addr
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		for _, r := range slices.Backward(ranges) {
			if a := q.last(r); is(a) {
				all = append(all, a)
				break
			}
		}
	}
	return all
}

// last gives the last address of a range that no node has; the zero one if there is
// none.
func (q *question) last(r netip.Prefix) netip.Addr {
	a := netipx.PrefixLastIP(r)
	for slices.ContainsFunc(q.Nodes, func(n node) bool { return n.IPv4 == a || n.IPv6 == a }) {
		a = a.Prev()
	}
	if !r.Contains(a) {
		return netip.Addr{}
	}
	return a
}
