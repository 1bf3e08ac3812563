package server

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// answering is a UDP socket, perhaps on all addresses of its machine, whose
// WriteTo sends from the address that the last datagram of ReadFrom was sent to.
// One goroutine uses it.
type answering struct {
	net.PacketConn
	udp   *net.UDPConn // nil: not known to be one
	asked []byte       // control messages of the last datagram, to be given back
	room  [128]byte
}

func newAnswering(conn net.PacketConn) *answering {
	a := &answering{PacketConn: conn}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return a
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return a
	}
	// A socket of IPv6 tells the addresses of both families by the second.
	raw.Control(func(fd uintptr) {
		four := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		if six := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); four == nil || six == nil {
			a.udp = udp
		}
	})
	return a
}

func (a *answering) ReadFrom(b []byte) (int, net.Addr, error) {
	if a.udp == nil {
		return a.PacketConn.ReadFrom(b)
	}
	n, oobn, _, from, err := a.udp.ReadMsgUDPAddrPort(b, a.room[:])
	if err != nil {
		return n, nil, err
	}
	a.asked = answerFrom(a.room[:oobn])
	return n, net.UDPAddrFromAddrPort(from), nil
}

func (a *answering) WriteTo(b []byte, to net.Addr) (int, error) {
	at, ok := to.(*net.UDPAddr)
	if a.udp == nil || !ok {
		return a.PacketConn.WriteTo(b, to)
	}
	n, _, err := a.udp.WriteMsgUDPAddrPort(b, a.asked, at.AddrPort())
	return n, err
}

// answerFrom makes of the control messages with which a datagram came those that
// send from where it was sent to; a broadcast is not answered, which is no source.
// The interface is left to routing, unless the address means something on its link alone.
func answerFrom(oob []byte) []byte {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range list {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(m.Data[8:12])})
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := &unix.Inet6Pktinfo{Addr: [16]byte(m.Data[:16])}
			if netip.AddrFrom16(info.Addr).IsLinkLocalUnicast() {
				info.Ifindex = binary.NativeEndian.Uint32(m.Data[16:20])
			}
			return unix.PktInfo6(info)
		}
	}
	return nil
}
