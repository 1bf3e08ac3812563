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
// Of a group all have: what one of them may, the others need not.
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
		if !f.mesh.HasDevices(s) {
			joining, key = append(joining, f.identities(f.mesh.Policy(), s)...), key+s.Key()+"\n"
		}
	}
	if len(joining) == 0 {
		return f.mesh
	}
	with := f.known[key]
	if with == nil {
		with = f.mesh.With(f.mesh.Policy())
		free := f.unclaimed()
		for i, n := range joining {
			n.ID, n.Addrs = fmt.Sprint("first ", i), free.next()
			with.Put(n)
		}
		f.known[key] = with
	}
	return with
}

// identities gives a node of each whom a test names by a login, a group or a tag: none
// for an empty group.
func (q *question) identities(pol *policy.Policy, s policy.Selector) (all []compile.Node) {
	switch s.Kind {
	case policy.Tag:
		return []compile.Node{{Name: s.Name, Tags: []string{s.Name}}}
	case policy.User:
		return []compile.Node{q.person(s.Name)}
	case policy.Group:
		members, _ := pol.Group(s.Name)
		for _, login := range members {
			if strings.Contains(login, "@") { // else it is a group elsewhere, whose people nobody knows
				all = append(all, q.person(login))
			}
		}
	}
	return all
}

// person gives a node of somebody, whom the question may know more of.
func (q *question) person(login string) compile.Node {
	n := compile.Node{Name: login, User: login}
	if name, short := strings.CutSuffix(login, "@"); short {
		n.UserName = name
	}
	for _, u := range q.Users {
		if u.Login == login || u.Name+"@" == login {
			n.User, n.UserName, n.Roles = u.Login, u.Name, []string{u.Role}
		}
	}
	return n
}

// unclaimed are the addresses of the mesh's ranges that no node has, from the last of
// each range on.
type unclaimed struct {
	ranges  []netip.Prefix
	last    []netip.Addr // of each range; what is behind it is given away
	claimed map[netip.Addr]bool
}

func (q *question) unclaimed() *unclaimed {
	free := &unclaimed{claimed: make(map[netip.Addr]bool)}
	free.ranges, _ = q.ranges() // the mesh has them already, so they are some
	for _, r := range free.ranges {
		free.last = append(free.last, netipx.PrefixLastIP(r))
	}
	for _, n := range q.Nodes {
		free.claimed[n.IPv4], free.claimed[n.IPv6] = true, true
	}
	return free
}

// next gives one more address of each family that has some left.
func (u *unclaimed) next() []netip.Addr {
	var all []netip.Addr
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		if a := u.take(is); a.IsValid() {
			all = append(all, a)
		}
	}
	return all
}

// take gives one more address of a family; the zero one if there is none.
func (u *unclaimed) take(is func(netip.Addr) bool) netip.Addr {
	for i, r := range slices.Backward(u.ranges) {
		for is(u.last[i]) && r.Contains(u.last[i]) {
			a := u.last[i]
			u.last[i] = a.Prev()
			if !u.claimed[a] {
				return a
			}
		}
	}
	return netip.Addr{}
}
