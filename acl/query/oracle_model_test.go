package query_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// question is a line of POLICY-QUERIES.
type question struct {
	V       int      `json:"v"`
	ID      string   `json:"id"`
	Policy  string   `json:"policy"`
	Tailnet *tailnet `json:"tailnet,omitempty"`
	Mesh    *mesh    `json:"mesh,omitempty"`
	Users   []person `json:"users"`
	Nodes   []device `json:"nodes"`
	Ask     ask      `json:"ask"`
}

type tailnet struct {
	Domains []string `json:"domains"`
}

type mesh struct {
	IPv4 oneOrMany `json:"ipv4,omitempty"`
	IPv6 oneOrMany `json:"ipv6,omitempty"`
}

// oneOrMany is a string or a list of strings.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		*o = make([]string, 1)
		return json.Unmarshal(text, &(*o)[0])
	}
	return json.Unmarshal(text, (*[]string)(o))
}

type person struct {
	Name  string `json:"name"`
	Login string `json:"login"`
	Role  string `json:"role,omitempty"`
}

type device struct {
	Name       string         `json:"name"`
	User       string         `json:"user,omitempty"`
	Tags       []string       `json:"tags,omitempty"`
	IPv4       string         `json:"ipv4,omitempty"`
	IPv6       string         `json:"ipv6,omitempty"`
	Advertised []netip.Prefix `json:"advertised,omitempty"`
	Approved   []netip.Prefix `json:"approved,omitempty"`
	Primary    []netip.Prefix `json:"primary,omitempty"`
}

type ask struct {
	Reach   *askReach `json:"reach,omitempty"`
	Peers   []string  `json:"peers,omitempty"`
	Routes  []string  `json:"routes,omitempty"`
	Caps    []string  `json:"caps,omitempty"`
	SSH     *askSSH   `json:"ssh,omitempty"`
	Attrs   []string  `json:"attrs,omitempty"`
	Approve []string  `json:"approve,omitempty"`
}

type askReach struct {
	Src    []point  `json:"src"`
	Dst    []point  `json:"dst"`
	Probes [][2]int `json:"probes"`
}

type point struct {
	IP   netip.Addr `json:"ip"`
	Node string     `json:"node"`
	Kind string     `json:"kind"`
}

type askSSH struct {
	Nodes  []string `json:"nodes"`
	Logins []string `json:"logins"`
}

// world is a question with its policy, as the oracle looks at them.
type world struct {
	question
	policy policyFile
	claims map[netip.Addr]int // how many nodes claim an address
}

func newWorld(q question, p policyFile) *world {
	q.Nodes = slices.Clone(q.Nodes)
	w := &world{question: q, policy: p, claims: map[netip.Addr]int{}}
	for i := range q.Nodes {
		q.Nodes[i].Tags = strings.Fields(strings.ToLower(strings.Join(q.Nodes[i].Tags, " ")))
		for _, a := range q.Nodes[i].written() {
			w.claims[a]++
		}
		for _, prefixes := range [][]netip.Prefix{q.Nodes[i].Advertised, q.Nodes[i].Approved, q.Nodes[i].Primary} {
			for k, p := range prefixes {
				prefixes[k] = p.Masked()
			}
		}
	}
	return w
}

func (w *world) node(name string) *device {
	for i := range w.Nodes {
		if w.Nodes[i].Name == name {
			return &w.Nodes[i]
		}
	}
	return nil
}

func (d *device) written() []netip.Addr {
	var addrs []netip.Addr
	for _, text := range []string{d.IPv4, d.IPv6} {
		if text != "" {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
	}
	return addrs
}

// addrs are the addresses of a node that no other claims.
func (w *world) addrs(d *device) space {
	var own []netip.Addr
	for _, a := range d.written() {
		if w.claims[a] == 1 {
			own = append(own, a)
		}
	}
	return spaceOfAddrs(own)
}

// carried are the approved routes of a node that it advertises, if it says which.
func (d *device) carried() []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(d.Approved), func(p netip.Prefix) bool { return len(d.Advertised) > 0 && !slices.Contains(d.Advertised, p) })
}

// subnets are the routes that a node carries but for the default ones.
func (d *device) subnets() []netip.Prefix {
	return slices.DeleteFunc(d.carried(), func(p netip.Prefix) bool { return p.Bits() == 0 })
}

// exits are the default routes that a node carries.
func (d *device) exits() []netip.Prefix {
	return slices.DeleteFunc(d.carried(), func(p netip.Prefix) bool { return p.Bits() != 0 })
}

// identity is every address that a node may send from in the sense of peers.
func (w *world) identity(d *device) space {
	return slices.Concat(w.addrs(d), spaceOfPrefixes(d.subnets()))
}

func (d *device) tagged() bool { return len(d.Tags) > 0 }

// person says whether two nodes are untagged ones of one user.
func samePerson(a, b *device) bool {
	return !a.tagged() && !b.tagged() && a.User != "" && a.User == b.User
}

// meshSpace is the range that the mesh gives addresses of.
func (w *world) meshSpace() space {
	s4 := spaceOf("100.64.0.0/10").minus(spaceOf("100.115.92.0/23"))
	s6 := spaceOf("fd7a:115c:a1e0::/48")
	if own := w.ranges4(); len(own) > 0 {
		s4 = spaceOf(own...)
	}
	if own := w.ranges6(); len(own) > 0 {
		s6 = spaceOf(own...)
	}
	return slices.Concat(s4, s6)
}

// ranges4 and ranges6 give the ranges that a question names, if it does.
func (w *world) ranges4() oneOrMany {
	if w.Mesh == nil {
		return nil
	}
	return w.Mesh.IPv4
}

func (w *world) ranges6() oneOrMany {
	if w.Mesh == nil {
		return nil
	}
	return w.Mesh.IPv6
}

func trim(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, strings.TrimSpace(s))
	}
	return out
}
