package query

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// firsts are meshes in which whoever has no device has a first one: a test is about
// identities, which have rights, and are open to others, before their device has joined.
type firsts struct {
	*question
	mesh  *compile.Mesh
	known map[string]*compile.Mesh // by the keys of who joined
}

// judge judges one expectation of a test again, where both its ends have devices. Of
// nobody at all, as of an empty group, it says what it said.
func (f *firsts) judge(r compile.TestResult) compile.TestResult {
	t := r.Test
	t.Accept, t.Deny = nil, []policy.Target{r.Target}
	if r.Accept {
		t.Accept, t.Deny = t.Deny, nil
	}
	return f.of(t.Src, r.Target.Dst).ResultsOf(t)[0]
}

// failing says why a test of ssh rules fails; empty: it does not. Nobody is let in to an
// address, or from one, that no node has: ssh rules are about nodes.
func (f *firsts) failing(t policy.SSHTest) string {
	ends := slices.Concat(t.Dst, []policy.Selector{t.Src})
	m := f.of(ends...)
	if failures := m.FailuresOf(t); len(failures) > 0 {
		return failures[0].String()
	}
	nobody := func(s policy.Selector) bool { return s.Kind == policy.Net && !m.HasDevices(s) }
	if i := slices.IndexFunc(ends, nobody); i >= 0 && len(t.Accept)+len(t.Check) > 0 {
		return fmt.Sprintf("%s: no node has %s, so nobody is let in", t.Pos, ends[i])
	}
	return ""
}

// of gives the mesh in which all that some selectors name have devices.
func (f *firsts) of(all ...policy.Selector) *compile.Mesh {
	var joining []compile.Node
	key := ""
	for _, s := range all {
		if n, ok := f.identity(f.mesh.Policy(), s); ok && !f.mesh.HasDevices(s) {
			n.ID = fmt.Sprint("first ", len(joining))
			n.Addrs = f.unclaimed(joining)
			joining, key = append(joining, n), key+s.Key()+"\n"
		}
	}
	if len(joining) == 0 {
		return f.mesh
	}
	with := f.known[key]
	if with == nil {
		with = f.mesh.With(f.mesh.Policy())
		for _, n := range joining {
			with.Put(n)
		}
		f.known[key] = with
	}
	return with
}

// identity gives a node of somebody whom a test names by a login, a group or a tag.
// Nobody is in an empty group.
func (q *question) identity(pol *policy.Policy, s policy.Selector) (n compile.Node, ok bool) {
	n = compile.Node{Name: s.Name}
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
			n.User, n.UserName, n.Roles = u.Login, u.Name, []string{u.Role}
		}
	}
	return n, true
}

// unclaimed gives the last addresses of the mesh's ranges that no node has, one of
// each family.
func (q *question) unclaimed(joining []compile.Node) []netip.Addr {
	ranges, err := q.ranges()
	if err != nil {
		return nil // the mesh has them already, so they are some
	}
	var all []netip.Addr
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		for _, r := range slices.Backward(ranges) {
			if a := q.last(r, joining); is(a) {
				all = append(all, a)
				break
			}
		}
	}
	return all
}

// last gives the last address of a range that no node has; the zero one if there is
// none.
func (q *question) last(r netip.Prefix, joining []compile.Node) netip.Addr {
	a := netipx.PrefixLastIP(r)
	claims := func(n node) bool { return n.IPv4 == a || n.IPv6 == a }
	has := func(n compile.Node) bool { return slices.Contains(n.Addrs, a) }
	for r.Contains(a) && (slices.ContainsFunc(q.Nodes, claims) || slices.ContainsFunc(joining, has)) {
		a = a.Prev()
	}
	if !r.Contains(a) {
		return netip.Addr{}
	}
	return a
}
