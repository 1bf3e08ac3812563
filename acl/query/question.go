package query

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// question is one line of input. Keys that it does not name are for the asker's
// own notes.
type question struct {
	V       int             `json:"v"`
	ID      json.RawMessage `json:"id"`
	Policy  string          `json:"policy"`
	Tailnet struct {
		Domains []string `json:"domains"`
	} `json:"tailnet"`
	Mesh struct {
		IPv4 prefixes `json:"ipv4"`
		IPv6 prefixes `json:"ipv6"`
	} `json:"mesh"`
	Users []user `json:"users"`
	Nodes []node `json:"nodes"`
	Ask   ask    `json:"ask"`
}

type user struct {
	Name   string   `json:"name"`
	Login  string   `json:"login"`
	Role   string   `json:"role"`
	Groups []string `json:"groups"` // as a policy names them: "scim:Nurses"
}

type node struct {
	Name       string         `json:"name"`
	User       string         `json:"user"`
	Tags       []string       `json:"tags"`
	IPv4       netip.Addr     `json:"ipv4"`
	IPv6       netip.Addr     `json:"ipv6"`
	Advertised []netip.Prefix `json:"advertised"`
	Approved   []netip.Prefix `json:"approved"`
	Primary    []netip.Prefix `json:"primary"`
}

// carried gives the routes of a node that count: approved ones that it advertises, as a
// coordinator has it. One of which the question gives no advertised route advertises all
// that is approved.
func (n *node) carried() []netip.Prefix {
	if len(n.Advertised) == 0 {
		return n.Approved
	}
	var all []netip.Prefix
	for _, p := range n.Approved {
		if slices.ContainsFunc(n.Advertised, func(a netip.Prefix) bool { return a.Masked() == p.Masked() }) {
			all = append(all, p)
		}
	}
	return all
}

// ask is what is wanted; nil is not asked.
type ask struct {
	Reach   *reach   `json:"reach"`
	Peers   []string `json:"peers"`
	Routes  []string `json:"routes"`
	Caps    []string `json:"caps"`
	Approve []string `json:"approve"`
	Attrs   []string `json:"attrs"`
	SSH     *struct {
		Nodes  []string `json:"nodes"`
		Logins []string `json:"logins"`
	} `json:"ssh"`
}

type reach struct {
	Src    []point `json:"src"`
	Dst    []point `json:"dst"`
	Probes []probe `json:"probes"`
}

// probe is what is asked of two addresses, written as [protocol, port].
type probe struct {
	Protocol acl.Protocol
	Port     uint16
}

func (p *probe) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&p.Protocol, &p.Port})
}

// protocol gives a probe's protocol between addresses of one family: 1 stands for the
// echo request of either.
func (p *probe) protocol(to netip.Addr) acl.Protocol {
	if p.Protocol == acl.ICMP && to.Is6() {
		return acl.ICMPv6
	}
	return p.Protocol
}

// point is an address; of a destination, with the node at which a packet for it
// arrives.
type point struct {
	IP   netip.Addr `json:"ip"`
	Node string     `json:"node"`
}

// prefixes is one prefix, or a list of them.
type prefixes []netip.Prefix

func (p *prefixes) UnmarshalJSON(text []byte) error {
	var one netip.Prefix
	if err := json.Unmarshal(text, &one); err == nil {
		*p = prefixes{one}
		return nil
	}
	return json.Unmarshal(text, (*[]netip.Prefix)(p))
}

// ranges gives the prefixes that nodes have their addresses from: what * means
// as a source. Without a word they are those of the dialect, of which a part
// is left to a phone system's own use.
func (q *question) ranges() ([]netip.Prefix, error) {
	four, six := []netip.Prefix(q.Mesh.IPv4), []netip.Prefix(q.Mesh.IPv6)
	if four == nil {
		four = compile.Less(netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("100.115.92.0/23"))
	}
	if six == nil {
		six = []netip.Prefix{netip.MustParsePrefix("fd7a:115c:a1e0::/48")}
	}
	for _, p := range append(four[:len(four):len(four)], six...) {
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%s is no range of a mesh", p)
		}
	}
	return append(four, six...), nil
}
