package adminapi

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxEnds is for how many machines a name may stand in a question about one flow. It is
// answered by the goroutine that tells nodes of changes.
const maxEnds = 50

// end is a machine, an address or somebody's seat.
type end struct {
	name  string
	addrs []netip.Addr
}

// endsOf gives what the name of one end of a flow stands for: a node or an address; of a
// login, a group or a tag each machine, and where the person sits else.
func endsOf(state *registry.State, mesh *compile.Mesh, text string) ([]end, error) {
	at, err := addresses(state, text)
	if err == nil {
		return []end{{text, at}}, nil
	}
	s, known := selector(mesh, text)
	var all []end
	switch {
	case s.Kind == policy.User:
		all = append(machinesOf(mesh, s), seatsOf(state, text)...)
		if _, isPerson := state.UserByLogin(text); isPerson && len(all) == 0 {
			return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%s has no machine, and sits at none", text))
		}
	case !known:
	case s.Kind == policy.Net && s.Prefix.IsSingleIP():
		return []end{{text, []netip.Addr{s.Prefix.Addr()}}}, nil
	case s.Kind != policy.Net && s.Kind != policy.Set:
		if all = machinesOf(mesh, s); len(all) == 0 {
			return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no machine of %s has joined", text))
		}
	}
	switch {
	case len(all) == 0 && s.Kind == policy.User:
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%w; no machine of this login has joined%s", registry.NoNode(text), meant(text, reachable(state, mesh))))
	case len(all) == 0:
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%w%s", registry.NoNode(text), meant(text, reachable(state, mesh))))
	case len(all) > maxEnds:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s stands for %d machines, and one question takes %d: name one of them, or see `cordonctl policy reach`", text, len(all), maxEnds))
	}
	return all, nil
}

func machinesOf(mesh *compile.Mesh, s policy.Selector) (all []end) {
	pick := mesh.PickSelector(s)
	for n := range mesh.Nodes() {
		if slices.ContainsFunc(n.Addrs, func(a netip.Addr) bool { return pick(n, netip.PrefixFrom(a, a.BitLen())) }) {
			all = append(all, end{n.Name, n.Addrs})
		}
	}
	slices.SortFunc(all, func(a, b end) int { return strings.Compare(a.name, b.name) })
	return all
}

// seatsOf gives where a person sits at machines that are not theirs.
func seatsOf(state *registry.State, login string) (all []end) {
	u, ok := state.UserByLogin(login)
	if !ok {
		return nil
	}
	for s := range state.Sessions() {
		n, known := state.Node(s.Node)
		if !known || s.User != u.ID || n.Owner() == login {
			continue
		}
		one := end{"their seat at " + n.Name, s.Addresses}
		if s.Seat == "" {
			one.addrs = n.Addresses
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b end) int { return strings.Compare(a.name, b.name) })
	return all
}

// flows are those that a question is about.
type flows struct {
	src, dst []end
	protocol acl.Protocol
	port     uint16
}

// explain explains one flow: one that is allowed, if any is. Of several it says first
// which ends may and which may not.
func (f *flows) explain(m *compile.Mesh, who, whom string) *admin.ExplainPolicyResponse {
	var may, not []string
	var shown *admin.ExplainPolicyResponse
	label := ""
	for _, s := range f.src {
		for _, d := range f.dst {
			allowed, possible := f.allowed(m, s, d)
			name := f.name(s, d)
			switch {
			case !possible:
				continue
			case allowed:
				may = append(may, name)
			default:
				not = append(not, name)
			}
			if shown == nil || allowed && !shown.Allow {
				shown, label = derivation(m, s.addrs, d.addrs, f.protocol, f.port), name
			}
		}
	}
	if len(may)+len(not) > 1 {
		shown.Reason = fmt.Sprintf("%s. %s: %s", verdicts(may, not, who, whom), label, shown.Reason)
	}
	return shown
}

func (f *flows) allowed(m *compile.Mesh, s, d end) (allowed, possible bool) {
	for _, from := range s.addrs {
		for _, to := range d.addrs {
			if from.Is4() == to.Is4() {
				possible = true
				allowed = allowed || m.Allowed(from, to, f.protocol, f.port)
			}
		}
	}
	return allowed, possible
}

// name names what differs between the flows.
func (f *flows) name(s, d end) string {
	switch {
	case len(f.dst) == 1:
		return s.name
	case len(f.src) == 1:
		return d.name
	}
	return s.name + " to " + d.name
}

func verdicts(may, not []string, who, whom string) string {
	flow := who + " to " + whom
	switch {
	case len(not) == 0:
		return fmt.Sprintf("allowed, %s, for all of %s", flow, strings.Join(may, ", "))
	case len(may) == 0:
		return fmt.Sprintf("denied, %s, for all of %s", flow, strings.Join(not, ", "))
	}
	return fmt.Sprintf("allowed, %s, for %s; denied for %s", flow, strings.Join(may, ", "), strings.Join(not, ", "))
}
