package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
)

// smuggled names packets that a node must not let pass between two addresses
// where clinic opens TCP/443 and UDP/5000 and no more (A26): each pretends to
// be something that is open, or hides what it is.
func smuggled(src, dst netip.Addr) map[string][]lab.IP {
	from, open := netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, 443)
	syn := lab.TCP(from, open, lab.SYN, 1, 0, nil)
	datagram := lab.UDP(from, netip.AddrPortFrom(dst, 5000), bytes.Repeat([]byte("smuggled"), 8))
	wrapped := func(protocol uint8, payload []byte) lab.IP {
		return lab.IP{Src: src, Dst: dst, Protocol: protocol, Payload: payload}
	}
	inner := uint8(4) // IPv4 in IP
	if src.Is6() {
		inner = 41
	}
	cut := func(p lab.IP, id uint32, size int) []lab.IP { p.ID = id; return p.Fragments(size) }
	later := datagram
	later.ID, later.Fragment, later.Offset = 9, true, 64
	at8 := datagram
	at8.ID, at8.Fragment, at8.Offset, at8.More = 10, true, 8, true
	packets := map[string][]lab.IP{
		"UDP to the TCP port":               {lab.UDP(from, open, []byte("smuggled"))},
		"TCP to the UDP port":               {lab.TCP(from, netip.AddrPortFrom(dst, 5000), lab.SYN, 1, 0, nil)},
		"SCTP to the open port":             {wrapped(132, syn.Payload)},
		"GRE around an open packet":         {wrapped(47, append([]byte{0, 0, 8, 0}, syn.Bytes()...))},
		"IP around an open packet":          {wrapped(inner, syn.Bytes())},
		"an unknown protocol":               {wrapped(200, syn.Payload)},
		"UDP-Lite to the open port":         {wrapped(136, datagram.Payload)},
		"a SYN without its end":             {wrapped(6, syn.Payload[:12])},
		"a tiny first fragment":             cut(syn, 7, 8),
		"a later fragment alone":            {later},
		"a fragment that overlaps a header": {at8},
		"an ICMP error about nothing":       {aboutNothing(src, dst, datagram)},
		"the ICMP of the other family":      {wrapped(otherICMP(src), lab.Echo(src, dst, 1, 1, nil).Payload)},
	}
	if src.Is6() {
		for name, list := range hidden6(src, dst, syn, datagram) {
			packets[name] = list
		}
	}
	return packets
}

func otherICMP(a netip.Addr) uint8 {
	if a.Is4() {
		return 58
	}
	return 1
}

// aboutNothing is a "packet too big" or "fragmentation needed" that quotes a
// packet which the receiver never sent.
func aboutNothing(src, dst netip.Addr, quoted lab.IP) lab.IP {
	quoted.Src, quoted.Dst = dst, src
	binary.BigEndian.PutUint16(quoted.Payload, 6789) // a flow that nobody has
	p := lab.Echo(src, dst, 0, 0, quoted.Bytes())
	p.Payload[0], p.Payload[1] = 3, 4
	if src.Is6() {
		p.Payload[0], p.Payload[1] = 2, 0
	}
	copy(p.Payload[4:8], []byte{0, 0, 2, 0x40})
	return p
}

// hidden6 puts what is not open behind IPv6 extension headers.
func hidden6(src, dst netip.Addr, syn, datagram lab.IP) map[string][]lab.IP {
	pad := lab.Extension{Number: 60, Body: []byte{1, 4, 0, 0, 0, 0}}
	routing := lab.Extension{Number: 43, Body: append([]byte{0, 1, 0, 0, 0, 0}, dst.AsSlice()...)}
	with := func(p lab.IP, e ...lab.Extension) lab.IP { p.Extensions = e; return p }
	closed := lab.UDP(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, 443), []byte("smuggled"))
	long := make([]lab.Extension, 40)
	for i := range long {
		long[i] = pad
	}
	nested := with(syn, pad)
	nested.Protocol = 44 // a fragment header that is none
	return map[string][]lab.IP{
		"UDP behind options":             {with(closed, pad)},
		"a source route":                 {with(syn, routing)},
		"forty extension headers":        {with(syn, long...)},
		"a fragment header that is none": {nested},
		"no next header":                 {{Src: src, Dst: dst, Protocol: 59, Payload: []byte("smuggled")}},
		"AH around an open packet":       {with(syn, lab.Extension{Number: 51, Body: bytes.Repeat([]byte{1}, 22)})},
	}
}

// sentinel is a packet that clinic opens. It follows what must not arrive, on
// the same ordered way: when it is there, nothing else will come.
func sentinel(src, dst netip.Addr, n int) lab.IP {
	return lab.UDP(netip.AddrPortFrom(src, 4999), netip.AddrPortFrom(dst, 5000), []byte(sentinelText(n)))
}

func sentinelText(n int) string { return fmt.Sprintf("sentinel-%d.", n) }

// strangers are addresses that no node may speak from or to (A25, A27): this
// host's and this link's, groups, the rest of the world, and IPv4 in disguise.
func strangers(like netip.Addr) (out []netip.Addr) {
	for _, text := range []string{
		"127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.9", "10.20.0.9",
		"::1", "::", "fe80::1", "ff02::1", "2001:db8::9", "::ffff:100.64.0.2", "64:ff9b::6440:2", "2002:6440:2::1", "fd20::9",
	} {
		if a := netip.MustParseAddr(text); a.Is4() == like.Is4() {
			out = append(out, a)
		}
	}
	return out
}

// apps gives how programs of a machine send packets as they like.
func (s *scene) apps(name string) func(...lab.IP) {
	return func(packets ...lab.IP) { s.Host(name).Inject(tun, netip.Addr{}, packets...) }
}

// arrivals sends packets and after them a sentinel, and counts those that came
// out of the tunnel at a machine before the sentinel did.
func (s *scene) arrivals(t *testing.T, send func(...lab.IP), at, name string, packets []lab.IP, end lab.IP, n, want int) {
	t.Helper()
	mark := []byte(sentinelText(n))
	seen := s.Host(at).Capture(tun, nil)
	send(append(packets, end)...)
	var all [][]byte
	lab.Eventually(t, patience, name+": the sentinel arrives", func() (bool, string) {
		all = seen.Packets()
		return slices.ContainsFunc(all, func(p []byte) bool { return bytes.Contains(p, mark) && sourceOf(p) == end.Src }), "it does not"
	})
	if _, err := seen.Stop(); err != nil {
		t.Error(err)
	}
	sent := func(p []byte) bool {
		return slices.ContainsFunc(packets, func(q lab.IP) bool { return q.Src == sourceOf(p) && q.Dst == destinationOf(p) })
	}
	got := 0
	for _, p := range all {
		if !bytes.Contains(p, mark) && sent(p) {
			got++
		}
	}
	if got != want {
		t.Errorf("%s: %d packets crossed, want %d: % x", name, got, want, all)
	}
}

// sourceOf reads a packet's outer source.
func sourceOf(packet []byte) netip.Addr {
	at, size := 12, 4
	if packet[0]>>4 == 6 {
		at, size = 8, 16
	}
	if len(packet) < at+size {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(packet[at : at+size])
	return a
}

// destinationOf reads its outer destination.
func destinationOf(packet []byte) netip.Addr {
	at, size := 16, 4
	if packet[0]>>4 == 6 {
		at, size = 24, 16
	}
	a, _ := netip.AddrFromSlice(packet[at : at+size])
	return a
}
