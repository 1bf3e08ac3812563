package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// flow is what a question wants besides its ends: the first packet of such a flow.
type flow struct {
	proto acl.Protocol
	port  uint16 // 0 where the protocol has none
	ping  bool   // the echo request of its family
}

// flowTo gives the flow to a destination. The ICMP of the other family is nothing that a
// stack would answer, and so no ping: it is a protocol as any that has no ports.
func flowTo(dst netip.Addr, proto acl.Protocol, port uint16) flow {
	f := flow{proto: proto, ping: proto == acl.ICMP && dst.Is4() || proto == acl.ICMPv6 && dst.Is6()}
	if proto.HasPorts() {
		f.port = port
	}
	return f
}

// String says it in words: "tcp 443", "ping".
func (f flow) String() string {
	switch {
	case f.ping:
		return "ping"
	case !f.proto.HasPorts():
		return protocolText(f.proto)
	}
	return fmt.Sprintf("%s %d", protocolText(f.proto), f.port)
}

// openedBy tells whether services let the flow through. An echo request passes wherever
// anything is open.
func (f flow) openedBy(open []acl.Service) bool { return f.ping && len(open) > 0 || f.namedBy(open) }

// namedBy tells whether services have the flow among them, as those must that a rule
// forbids: an echo request by its protocol.
func (f flow) namedBy(open []acl.Service) bool {
	return slices.ContainsFunc(open, func(s acl.Service) bool {
		return s.Protocol == f.proto && s.First <= f.port && f.port <= s.Last
	})
}

func opensProtocol(open []acl.Service, proto acl.Protocol) bool {
	return slices.ContainsFunc(open, func(s acl.Service) bool { return s.Protocol == proto })
}
