package portmap

import (
	"context"
	"net"
	"net/netip"
	"net/url"
)

// What tests count by.
const (
	Lifetime   = lifetime
	MinBackoff = minBackoff
	MaxBackoff = maxBackoff
	MaxSSDP    = maxSSDP
	MaxBody    = maxBody
)

// ServePorts moves the protocols' fixed ports to where a test listens.
func (c *Client) ServePorts(gateway, ssdp uint16) {
	c.sockets.gateway, c.sockets.ssdpPort = gateway, ssdp
}

// ServeSockets puts a made-up network in the place of this machine's. The
// protocols have their ports.
func (c *Client) ServeSockets(
	dial func(ctx context.Context, network string, local netip.Addr, to netip.AddrPort) (net.Conn, error),
	listen func(ctx context.Context, local netip.Addr) (net.PacketConn, error),
) {
	c.sockets.dial, c.sockets.listen = dial, listen
}

// ParsePCP gives what a PCP answer says of a mapping.
func ParsePCP(b []byte) (opcode byte, result byte, internal uint16, external netip.AddrPort, err error) {
	a, err := parsePCP(b)
	return a.opcode, byte(a.result), a.internal, netip.AddrPortFrom(a.external, a.externalPort), err
}

// ParseNATPMP gives what a NAT-PMP answer says of an address or a mapping.
func ParseNATPMP(b []byte) (opcode byte, external netip.Addr, internal, port uint16, err error) {
	a, err := parseNATPMP(b)
	return a.opcode, a.external, a.internal, a.externalPort, err
}

// ParseSSDP gives where an SSDP answer that came from an address leads.
func ParseSSDP(b []byte, from, gateway netip.Addr) (*url.URL, bool) {
	return location(b, from, gateway)
}
