package osnet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// endConnections has programs hear at once that a TCP connection from an address that
// the machine has no more, or another account, is over. Nothing of it could leave, and TCP would try for a
// quarter of an hour. Not every kernel can, and it is a nicety: no error is told.
func endConnections(gone []netip.Addr) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if !slices.ContainsFunc(gone, func(a netip.Addr) bool { return a.Is4() == (family == unix.AF_INET) }) {
			continue
		}
		sockets, err := netlink.SocketDiagTCP(family)
		if err != nil {
			continue
		}
		for _, s := range sockets {
			if a, ok := netip.AddrFromSlice(s.ID.Source); ok && slices.Contains(gone, a.Unmap()) {
				endConnection(s)
			}
		}
	}
}

// endConnection asks for the end of one: struct inet_diag_req_v2 of linux/inet_diag.h.
func endConnection(s *netlink.Socket) {
	const anyState = 0xfff
	q := []byte{s.Family, unix.IPPROTO_TCP, 0, 0}
	q = binary.NativeEndian.AppendUint32(q, anyState)
	q = binary.BigEndian.AppendUint16(q, s.ID.SourcePort)
	q = binary.BigEndian.AppendUint16(q, s.ID.DestinationPort)
	q = append(append(q, fourWords(s.ID.Source)...), fourWords(s.ID.Destination)...)
	for _, n := range []uint32{s.ID.Interface, s.ID.Cookie[0], s.ID.Cookie[1]} {
		q = binary.NativeEndian.AppendUint32(q, n)
	}
	req := nl.NewNetlinkRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK)
	req.AddRawData(q)
	_, _ = req.Execute(unix.NETLINK_INET_DIAG, 0)
}

// fourWords is an address in a place that has room for one of IPv6.
func fourWords(ip net.IP) []byte {
	a, _ := netip.AddrFromSlice(ip)
	return append(a.Unmap().AsSlice(), make([]byte, 16-a.Unmap().BitLen()/8)...)
}
