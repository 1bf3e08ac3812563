package osnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Priorities of the chains. What comes in is judged before connection tracking
// and before anybody's rules; what goes out after address translation and other
// programs' marks, when it is settled where it leaves.
const (
	early = -310 // "raw - 10"
	late  = 300
)

// plan is a whole table: as it should be, or as the kernel tells it.
type plan struct {
	table  *nftables.Table
	chains []*nftables.Chain
	rules  []*nftables.Rule
	sets   []*nftables.Set
	// elements are those of sets, by name.
	elements map[string][]nftables.SetElement
}

// neverMeshed is not the mesh's even if a route to everywhere covers it: it
// stays on one link, or goes to all who are there (RFC 3927, RFC 4291, RFC 5771).
func neverMeshed() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
		netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	}
}

// planOf draws the wall. The commonest packets are let go first: those of the
// TUN, then our own sealed ones.
func planOf(c Config, w Want) plan {
	p := plan{table: wallTable(c.Name), elements: make(map[string][]nftables.SetElement)}
	for i, is4 := range []bool{true, false} {
		family := []string{"4", "6"}[i]
		p.addSet("own"+family, is4, singles(is4, w.all()))
		p.addSpans("mesh"+family, is4, spansOf(is4, w.Guards, nil))
		p.addSpans("tunnel"+family, is4, spansOf(is4, slices.Concat(w.Guards, w.Routes), slices.Concat(w.Direct, neverMeshed())))
		if w.Shared {
			p.addSitting(family, is4, w.Seats)
		}
	}
	p.entrance(c.Name)
	p.exits(c.Name, c.Mark, w.Shared)
	return p
}

// entrance judges what comes in, from wherever.
func (p *plan) entrance(tun string) {
	in := p.hook("prerouting", nftables.ChainHookPrerouting, early)
	foreign := p.chain("foreign")
	p.rule(in, "by the tunnel", from(tun), accept())
	p.rule(in, "of this machine itself", from("lo"), accept())
	p.rule(in, "to this node past the tunnel", to("own4"), count(), drop())
	p.rule(in, "to this node past the tunnel, IPv6", to("own6"), count(), drop())
	p.rule(in, "as if from the mesh", by("mesh4"), jump(foreign))
	p.rule(in, "as if from the mesh, IPv6", by("mesh6"), jump(foreign))
	// A provider's routers may have addresses of 100.64.0.0/10 (RFC 6598), and
	// without their "too big" large packets of any program vanish (RFC 1191). An
	// error gives its sender no right, whatever its source.
	p.rule(foreign, "unreachable or too big", control(unix.IPPROTO_ICMP, 3, 3), accept())
	p.rule(foreign, "time exceeded, bad parameter", control(unix.IPPROTO_ICMP, 11, 12), accept())
	p.rule(foreign, "errors of ICMPv6", control(unix.IPPROTO_ICMPV6, 1, 4), accept())
	p.rule(foreign, "from the mesh past the tunnel", count(), drop())
}

// exits judge what leaves this machine, sent or forwarded.
func (p *plan) exits(tun string, mark uint32, shared bool) {
	out := p.hook("output", nftables.ChainHookOutput, late)
	refused := p.chain("refused")
	if shared {
		p.tie(out, tun)
	}
	p.rule(out, "into the tunnel", towards(tun), accept())
	p.rule(out, "sealed by this node", marked(mark), accept())
	p.rule(out, "to this machine itself", towards("lo"), accept())
	p.rule(out, "for the mesh", to("tunnel4"), jump(refused))
	p.rule(out, "for the mesh, IPv6", to("tunnel6"), jump(refused))
	// A network behind a peer may be the one that this machine is in. Its routing
	// leads into the tunnel, but not what the kernel says to the link: broadcasts,
	// and the questions and answers by which neighbours are found (RFC 4861).
	p.rule(refused, "broadcast", broadcast(), accept())
	p.rule(refused, "neighbour discovery", control(unix.IPPROTO_ICMPV6, 133, 137), accept())
	p.rule(refused, "to the mesh past the tunnel", count(), prohibit())
	fwd := p.hook("forward", nftables.ChainHookForward, late)
	p.rule(fwd, "into the tunnel", towards(tun), accept())
	p.rule(fwd, "to the mesh past the tunnel", to("tunnel4"), count(), drop())
	p.rule(fwd, "to the mesh past the tunnel, IPv6", to("tunnel6"), count(), drop())
}

func wallTable(name string) *nftables.Table {
	return &nftables.Table{Name: "mesh-" + name, Family: nftables.TableFamilyINet}
}

func (p *plan) hook(name string, at *nftables.ChainHook, priority int) *nftables.Chain {
	c, policy := p.chain(name), nftables.ChainPolicyAccept
	c.Type, c.Hooknum, c.Priority, c.Policy = nftables.ChainTypeFilter, at, nftables.ChainPriorityRef(nftables.ChainPriority(priority)), &policy
	return c
}

func (p *plan) chain(name string) *nftables.Chain {
	c := &nftables.Chain{Name: name, Table: p.table}
	p.chains = append(p.chains, c)
	return c
}

// rule adds a rule to a chain. Its comment is for who reads `nft list table`, and
// what we know it by.
func (p *plan) rule(c *nftables.Chain, comment string, parts ...[]expr.Any) {
	p.rules = append(p.rules, &nftables.Rule{
		Table: p.table, Chain: c, Exprs: slices.Concat(parts...),
		UserData: userdata.AppendString(nil, userdata.TypeComment, comment),
	})
}

func (p *plan) addSet(name string, is4 bool, elements []nftables.SetElement) *nftables.Set {
	s := &nftables.Set{Table: p.table, Name: name, ID: uint32(len(p.sets) + 1), KeyType: nftables.TypeIP6Addr}
	if is4 {
		s.KeyType = nftables.TypeIPAddr
	}
	p.sets = append(p.sets, s)
	p.elements[name] = elements
	return s
}

// addSpans adds a set of spans. The kernel wants the first address of each, and
// the first one after it; what ends with the last address there is has no end.
func (p *plan) addSpans(name string, is4 bool, spans []span) {
	var elements []nftables.SetElement
	for _, s := range spans {
		elements = append(elements, nftables.SetElement{Key: s.from.AsSlice()})
		if end := s.to.Next(); end.IsValid() {
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	p.addSet(name, is4, elements).Interval = true
}

func singles(is4 bool, addrs []netip.Addr) (elements []nftables.SetElement) {
	for _, a := range addrs {
		if a.Is4() == is4 {
			elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
		}
	}
	return elements
}

// String is the plan in a form that compares: what the kernel tells of a table
// that was made from a plan is written the same.
func (p plan) String() string {
	var b strings.Builder
	for _, c := range p.chains {
		fmt.Fprintf(&b, "chain %s", c.Name)
		if c.Hooknum != nil && c.Priority != nil && c.Policy != nil {
			fmt.Fprintf(&b, " at %d, %d, policy %d", *c.Hooknum, *c.Priority, *c.Policy)
		}
		fmt.Fprintln(&b)
		for _, r := range p.rules {
			if r.Chain.Name == c.Name {
				fmt.Fprintf(&b, "\t%s\n", commentOf(r))
			}
		}
	}
	for _, s := range p.sets {
		list := slices.SortedFunc(slices.Values(p.elements[s.Name]), func(a, b nftables.SetElement) int { return slices.Compare(a.Key, b.Key) })
		fmt.Fprintf(&b, "set %s", s.Name)
		for _, e := range list {
			fmt.Fprintf(&b, " %x:%v", e.Key, e.IntervalEnd)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func commentOf(r *nftables.Rule) string {
	text, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	return text
}

// adopt goes on with the counters of the table that p takes the place of.
func (p *plan) adopt(before plan) {
	for _, r := range p.rules {
		i := slices.IndexFunc(before.rules, func(old *nftables.Rule) bool {
			return old.Chain.Name == r.Chain.Name && commentOf(old) == commentOf(r)
		})
		if i >= 0 {
			if was, is := counterOf(before.rules[i]), counterOf(r); was != nil && is != nil {
				*is = *was
			}
		}
	}
}

func counterOf(r *nftables.Rule) *expr.Counter {
	for _, e := range r.Exprs {
		if c, ok := e.(*expr.Counter); ok {
			return c
		}
	}
	return nil
}

// What follows are the words of a rule.

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() []expr.Any   { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }
func count() []expr.Any  { return []expr.Any{&expr.Counter{}} }

func jump(to *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: to.Name}}
}

// prohibit tells the sender: code 13 of RFC 1812, section 5.2.7.1, or code 1 of
// RFC 4443, section 3.1.
func prohibit() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}

func from(link string) []expr.Any    { return linkIs(expr.MetaKeyIIFNAME, link) }
func towards(link string) []expr.Any { return linkIs(expr.MetaKeyOIFNAME, link) }

func linkIs(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, equals(padded)}
}

func marked(mark uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, equals(binary.NativeEndian.AppendUint32(nil, mark))}
}

func equals(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// by and to compare a packet's source or destination with a set, whose name ends
// with its family.
func by(set string) []expr.Any { return addressIn(set, 12, 8) }
func to(set string) []expr.Any { return addressIn(set, 16, 24) }

func addressIn(set string, at4, at6 uint32) []expr.Any {
	family, at, size := byte(unix.NFPROTO_IPV6), at6, uint32(16)
	if strings.HasSuffix(set, "4") {
		family, at, size = unix.NFPROTO_IPV4, at4, 4
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equals([]byte{family}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: size},
		&expr.Lookup{SourceRegister: 1, SetName: set},
	}
}

// control matches ICMP or ICMPv6 messages of the types from first to last.
func control(protocol, first, last byte) []expr.Any {
	parts := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equals([]byte{protocol}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 1},
	}
	if first == last {
		return append(parts, equals([]byte{first}))
	}
	return append(parts, &expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{first}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{last}})
}

func broadcast() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		equals(binary.NativeEndian.AppendUint32(nil, unix.RTN_BROADCAST)),
	}
}
