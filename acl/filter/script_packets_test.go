package filter_test

import (
	"net/netip"

	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// build makes a packet from words:
//
//	tcp SRC:PORT > DST:PORT [FLAGS]   udp ...   sctp ...
//	echo|reply|stamp|stamped|redirect SRC > DST ID
//	gre SRC > DST
//	error SRC > DST about PACKET
//	first ID PACKET | later ID PACKET   fragments of it
//	junk
func build(words []string) []byte {
	switch words[0] {
	case "junk":
		return []byte{0x45, 0}
	case "first", "later":
		n := map[string]int{"first": 0, "later": 1}[words[0]]
		return packettest.Cut(build(words[2:]), uint32(number(words[1])), 24)[n]
	case "overlap": // a later fragment that begins before the first one's end
		return packettest.Cut(build(words[2:]), uint32(number(words[1])), 8)[1]
	}
	src, srcPort := host(words[1])
	dst, dstPort := host(words[3])
	six := src.Is6()
	pick := func(four, other byte) byte {
		if six {
			return other
		}
		return four
	}
	icmp := func(kind byte) []byte {
		return packettest.With(src, dst, pick(1, 58), packettest.ICMP(kind, 0, number(words[4]), 32))
	}
	switch words[0] {
	case "tcp":
		flags := byte(0x10)
		if len(words) > 4 {
			flags = 0
			for _, c := range words[4] {
				flags |= map[rune]byte{'S': 2, 'A': 0x10, 'F': 1, 'R': 4}[c]
			}
		}
		return packettest.With(src, dst, 6, packettest.TCP(srcPort, dstPort, flags, 1, 1, 40))
	case "udp":
		return packettest.With(src, dst, 17, packettest.UDP(srcPort, dstPort, 40))
	case "sctp":
		return packettest.With(src, dst, 132, packettest.SCTP(srcPort, dstPort, 40))
	case "gre":
		return packettest.With(src, dst, 47, make([]byte, 48))
	case "echo":
		return icmp(pick(8, 128))
	case "reply":
		return icmp(pick(0, 129))
	case "stamp":
		return icmp(13)
	case "stamped":
		return icmp(14)
	case "redirect":
		return icmp(pick(5, 137))
	case "error":
		return packettest.With(src, dst, pick(1, 58), packettest.ICMPError(pick(3, 1), 1, build(words[5:])))
	}
	panic("unknown packet " + words[0])
}

// host reads "address:port", "[address]:port", or an address alone.
func host(s string) (netip.Addr, uint16) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), ap.Port()
	}
	return addr(s), 0
}
