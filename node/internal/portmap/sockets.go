package portmap

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

const (
	// gatewayPort is PCP's and NAT-PMP's.
	gatewayPort = 5351
	ssdpPort    = 1900
)

// sockets are how the doors reach a gateway: a seam for tests, which play the
// network.
type sockets struct {
	// dial connects: only what comes from to is read.
	dial func(ctx context.Context, network string, local netip.Addr, to netip.AddrPort) (net.Conn, error)
	// listen opens a UDP socket at any port.
	listen            func(ctx context.Context, local netip.Addr) (net.PacketConn, error)
	gateway, ssdpPort uint16
}

// osSockets are this machine's.
func osSockets(control func(network, address string, c syscall.RawConn) error) sockets {
	return sockets{
		dial: func(ctx context.Context, network string, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
			d := net.Dialer{Control: control}
			if from := netip.AddrPortFrom(local, 0); network == "tcp" {
				d.LocalAddr = net.TCPAddrFromAddrPort(from)
			} else {
				d.LocalAddr = net.UDPAddrFromAddrPort(from)
			}
			return d.DialContext(ctx, network, to.String())
		},
		listen: func(ctx context.Context, local netip.Addr) (net.PacketConn, error) {
			l := net.ListenConfig{Control: control}
			return l.ListenPacket(ctx, "udp", netip.AddrPortFrom(local, 0).String())
		},
		gateway: gatewayPort, ssdpPort: ssdpPort,
	}
}

// doorsOf gives the doors of a network's gateway; none, if it has none.
func doorsOf(n Network, s sockets, secret [32]byte) []door {
	if !n.usable() {
		return nil
	}
	u := udp{gateway: netip.AddrPortFrom(n.Gateway, s.gateway), local: n.Local, dial: s.dial}
	doors := []door{newPCP(n, u, secret)}
	if n.Gateway.Is4() {
		doors = append(doors, newNATPMP(n, u), newUPnP(n, s))
	}
	return doors
}
