package planetest

import (
	"net/netip"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Address is one fixed address of the suite's world.
type Address string

// The addresses of the two nodes, of the mesh where nobody is, and of elsewhere.
const (
	A4      Address = "100.64.0.1"
	A6      Address = "fd5a:c0de::1"
	B4      Address = "100.64.0.2"
	B6      Address = "fd5a:c0de::2"
	Nobody4 Address = "100.64.9.9"
	Nobody6 Address = "fd5a:c0de::99"
	Far4    Address = "203.0.113.7"
	Far6    Address = "2001:db8::7"
)

// IP gives the address as a value.
func (a Address) IP() netip.Addr { return netip.MustParseAddr(string(a)) }

// Host gives the prefix of this address alone.
func (a Address) Host() netip.Prefix { return netip.PrefixFrom(a.IP(), a.IP().BitLen()) }

// Ranges gives the address ranges of the suite's mesh.
func Ranges() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd5a:c0de::/48")}
}

func selfOf(v4, v6 Address, class acl.Class) plane.Self {
	return plane.Self{Prefixes: classed(v4, v6, class)}
}

func peerOf(id string, k key.TunnelPublic, v4, v6 Address, class acl.Class) plane.Peer {
	return plane.Peer{
		ID: id, Name: id[2:], TunnelKey: k,
		Allowed:  []netip.Prefix{v4.Host(), v6.Host()},
		Prefixes: classed(v4, v6, class),
	}
}

func classed(v4, v6 Address, class acl.Class) []acl.PrefixClass {
	return []acl.PrefixClass{{Prefix: v4.Host(), Class: class}, {Prefix: v6.Host(), Class: class}}
}
