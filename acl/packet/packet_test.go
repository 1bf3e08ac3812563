package packet_test

import (
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

const (
	a4, b4 = "100.64.0.1", "100.64.0.2"
	a6, b6 = "fd00::1", "fd00::2"
)

// put gives b with bytes written over at an offset.
func put(b []byte, at int, bytes ...byte) []byte {
	b = append([]byte(nil), b...)
	copy(b[at:], bytes)
	return b
}

func ext(next byte, rest ...byte) []byte { return append([]byte{next, 0}, rest...) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestFaults(t *testing.T) {
	tcp4 := packettest.IP(a4, b4, 6, packettest.TCP(1, 2, 2, 0, 0, 16))
	tcp6 := packettest.IP(a6, b6, 6, packettest.TCP(1, 2, 2, 0, 0, 16))
	udp4 := packettest.IP(a4, b4, 17, packettest.UDP(1, 2, 8))
	with := func(option ...byte) []byte {
		return put(packettest.IP(a4, b4, 6, join(option, packettest.TCP(1, 2, 2, 0, 0, 0))), 0, 0x46)
	}
	six := func(next byte, parts ...[]byte) []byte { return packettest.IP(a6, b6, next, join(parts...)) }
	syn := packettest.TCP(1, 2, 2, 0, 0, 0)
	pad := ext(60, 1, 4, 0, 0, 0, 0)
	fragment := func(b []byte, flags, offset byte) []byte { return put(b, 6, flags, offset) }

	for _, c := range []struct {
		name string
		b    []byte
		want packet.Fault
	}{
		{"nothing", nil, packet.Truncated},
		{"sound IPv4", tcp4, packet.Sound},
		{"sound IPv6", tcp6, packet.Sound},
		{"IPv5", put(tcp4, 0, 0x55), packet.BadVersion},
		{"half an IPv4 header", tcp4[:19], packet.Truncated},
		{"half an IPv6 header", tcp6[:39], packet.Truncated},
		{"cut IPv4", tcp4[:len(tcp4)-1], packet.Truncated},
		{"cut IPv6", tcp6[:len(tcp6)-1], packet.Truncated},
		{"trailing bytes", append(append([]byte(nil), tcp4...), 1, 2, 3), packet.Sound},
		{"header length 16", put(tcp4, 0, 0x44), packet.BadLength},
		{"total length below header", put(tcp4, 2, 0, 19), packet.BadLength},
		{"options beyond the buffer", put(tcp4[:20], 0, 0x4f, 0, 0, 60), packet.Truncated},
		{"record route", with(7, 3, 4, 0), packet.Sound},
		{"no-ops and end", with(1, 1, 0, 131), packet.Sound},
		{"option of two bytes at the end", with(1, 1, 30, 2), packet.Sound},
		{"loose source route", with(131, 3, 4, 0), packet.SourceRoute},
		{"strict source route", with(1, 137, 3, 4), packet.SourceRoute},
		{"option of no length", with(7, 0, 131, 3), packet.SourceRoute},
		{"TCP header cut", packettest.IP(a4, b4, 6, syn[:19]), packet.Truncated},
		{"TCP offset 4", put(tcp4, 32, 0x40), packet.BadTransport},
		{"TCP offset beyond", put(tcp4, 32, 0xf0), packet.Truncated},
		{"UDP header cut", packettest.IP(a4, b4, 17, make([]byte, 7)), packet.Truncated},
		{"UDP length 7", put(udp4, 24, 0, 7), packet.BadTransport},
		{"UDP length beyond", put(udp4, 24, 0, 17), packet.BadTransport},
		{"UDP length short", put(udp4, 24, 0, 9), packet.Sound},
		{"nothing but an IPv6 header", packettest.IP(a6, b6, 59, nil), packet.Sound},
		{"SCTP header", packettest.IP(a4, b4, 132, packettest.SCTP(1, 2, 0)), packet.Sound},
		{"SCTP header cut", packettest.IP(a4, b4, 132, make([]byte, 11)), packet.Truncated},
		{"ICMP header cut", packettest.IP(a4, b4, 1, []byte{8, 0, 0}), packet.Truncated},
		{"echo without identifier", packettest.IP(a4, b4, 1, []byte{8, 0, 0, 0}), packet.Truncated},
		{"first fragment without TCP flags", fragment(packettest.IP(a4, b4, 6, syn[:8]), 0x20, 0), packet.TinyFragment},
		{"first fragment without TCP options", fragment(packettest.IP(a4, b4, 6, put(join(syn, make([]byte, 4)), 12, 0x70)), 0x20, 0), packet.TinyFragment},
		{"first fragment whole", fragment(packettest.IP(a4, b4, 6, join(syn, make([]byte, 4))), 0x20, 0), packet.Sound},
		{"fragment over TCP flags", fragment(tcp4, 0, 1), packet.Overlap},
		{"fragment over TCP checksum", fragment(tcp4, 0, 2), packet.Overlap},
		{"fragment behind TCP header", fragment(tcp4, 0, 3), packet.Sound},
		{"fragment behind UDP header", fragment(udp4, 0, 1), packet.Sound},
		{"empty fragment", fragment(packettest.IP(a4, b4, 17, nil), 0, 9), packet.BadFragment},
		{"unaligned fragment", fragment(packettest.IP(a4, b4, 17, make([]byte, 12)), 0x20, 9), packet.BadFragment},
		{"ping of death", fragment(packettest.IP(a4, b4, 1, make([]byte, 16)), 0x1f, 0xff), packet.BadFragment},
		{"jumbogram", put(six(0, ext(6, 0xc2, 4, 0, 1, 0, 0)), 4, 0, 0), packet.Jumbo},
		{"hop-by-hop", six(0, ext(6, 1, 4, 0, 0, 0, 0), syn), packet.Sound},
		{"hop-by-hop second", six(60, ext(0, 1, 4, 0, 0, 0, 0), ext(6, 1, 4, 0, 0, 0, 0), syn), packet.BadHeaderOrder},
		{"routing type 0", six(43, ext(6, 0, 0, 0, 0, 0, 0), syn), packet.SourceRoute},
		{"routing with segments left", six(43, ext(6, 4, 1, 0, 0, 0, 0), syn), packet.SourceRoute},
		{"routing done", six(43, ext(6, 4, 0, 0, 0, 0, 0), syn), packet.Sound},
		{"extension beyond", six(60, []byte{6, 9, 0, 0, 0, 0, 0, 0}), packet.Truncated},
		{"eight extensions", six(60, pad, pad, pad, pad, pad, pad, pad, ext(6, 1, 4, 0, 0, 0, 0), syn), packet.Sound},
		{"nine extensions", six(60, pad, pad, pad, pad, pad, pad, pad, pad, ext(6, 1, 4, 0, 0, 0, 0), syn), packet.TooManyHeaders},
		{"fragment in fragment", six(44, ext(44, 0, 1, 0, 0, 0, 1), ext(6, 0, 1, 0, 0, 0, 1), join(syn, make([]byte, 4))), packet.BadHeaderOrder},
		{"header chain over fragments", six(44, ext(60, 0, 1, 0, 0, 0, 1), []byte{6, 4, 0, 0, 0, 0, 0, 0}), packet.TinyFragment},
		{"atomic fragment", six(44, ext(6, 0, 0, 0, 0, 0, 1), syn), packet.Sound},
		{"IPv6 fragment over TCP", six(44, ext(6, 0, 8, 0, 0, 0, 1), make([]byte, 8)), packet.Overlap},
	} {
		var p packet.Packet
		if got := p.Parse(c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if (p.Shape == packet.Invalid) != (c.want != packet.Sound) {
			t.Errorf("%s: shape %d", c.name, p.Shape)
		}
	}
	mapped := put(tcp6, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1)
	for _, at := range []int{8, 24} {
		var p packet.Packet
		if got := p.Parse(put(tcp6, at, mapped[8:24]...)); got != packet.Mapped {
			t.Errorf("mapped address at %d: got %v", at, got)
		}
	}
}

func TestUnparsedIsInvalid(t *testing.T) {
	var p packet.Packet
	if p.Shape != packet.Invalid {
		t.Fatal("a packet that nobody parsed can be judged")
	}
	p.Parse(packettest.IP(a4, b4, 17, packettest.UDP(1, 2, 8)))
	p.Parse([]byte{0x45})
	if p.Shape != packet.Invalid {
		t.Fatal("a packet keeps the shape of the one before")
	}
}

// A port is never what an unknown protocol happens to carry in its first bytes.
func TestNoPortsFromUnknownProtocols(t *testing.T) {
	body := packettest.TCP(40000, 443, 2, 0, 0, 0)
	var p packet.Packet
	for _, b := range [][]byte{
		packettest.IP(a4, b4, 47, body), packettest.IP(a4, b4, 4, body), packettest.IP(a4, b4, 58, body),
		packettest.IP(a6, b6, 1, body), packettest.IP(a6, b6, 50, body), packettest.IP(a6, b6, 59, body),
		packettest.IP(a6, b6, 60, join(ext(135, 1, 4, 0, 0, 0, 0), body)),
		put(packettest.IP(a4, b4, 6, body), 6, 0, 4),
	} {
		p.Parse(packettest.IP(a4, b4, 6, body))
		if fault := p.Parse(b); fault != packet.Sound {
			t.Fatalf("% x: %v", b, fault)
		}
		if p.Shape == packet.Ports || p.SrcPort != 0 || p.DstPort != 0 {
			t.Errorf("% x: shape %d, ports %d and %d", b, p.Shape, p.SrcPort, p.DstPort)
		}
	}
	p.Parse(packettest.IP(a6, b6, 60, join(ext(135, 1, 4, 0, 0, 0, 0), body)))
	if p.Proto != 135 {
		t.Errorf("unknown next header became protocol %d", p.Proto)
	}
}

func TestQuotedFlow(t *testing.T) {
	tcp := packettest.IP(b4, a4, 6, packettest.TCP(443, 40000, 0x10, 1, 2, 9))
	echo := packettest.IP(b6, a6, 58, packettest.ICMP(128, 0, 77, 8))
	gre := packettest.IP(b4, a4, 47, make([]byte, 16))
	failed := packettest.IP(b4, a4, 1, packettest.ICMPError(3, 1, tcp))
	flow := func(src, dst packet.Addr, proto acl.Protocol, shape packet.Shape, sp, dp uint16, kind uint8) packet.Flow {
		return packet.Flow{Src: src, Dst: dst, Proto: proto, Shape: shape, SrcPort: sp, DstPort: dp, Type: kind}
	}
	addr := func(b []byte) (src, dst packet.Addr) {
		var p packet.Packet
		p.Parse(b)
		return p.Src, p.Dst
	}
	x4, y4 := addr(tcp)
	x6, y6 := addr(echo)
	for _, c := range []struct {
		name   string
		six    bool
		quoted []byte
		want   packet.Flow
	}{
		{"TCP", false, tcp, flow(x4, y4, 6, packet.Ports, 443, 40000, 0)},
		{"TCP cut after 8 bytes", false, tcp[:28], flow(x4, y4, 6, packet.Ports, 443, 40000, 0)},
		{"TCP cut after 7 bytes", false, tcp[:27], packet.Flow{}},
		{"echo", true, echo, flow(x6, y6, 58, packet.Query, 77, 77, 128)},
		{"GRE", false, gre, flow(x4, y4, 47, packet.Opaque, 0, 0, 0)},
		{"error", false, failed, packet.Flow{}},
		{"later fragment", false, put(gre, 6, 0, 4), packet.Flow{}},
		{"other family", true, tcp, packet.Flow{}},
		{"nothing", false, nil, packet.Flow{}},
	} {
		outer := packettest.IP(a4, b4, 1, packettest.ICMPError(3, 1, c.quoted))
		if c.six {
			outer = packettest.IP(a6, b6, 58, packettest.ICMPError(1, 1, c.quoted))
		}
		var p packet.Packet
		if fault := p.Parse(outer); fault != packet.Sound || p.Shape != packet.Error {
			t.Fatalf("%s: %v, shape %d", c.name, fault, p.Shape)
		}
		if c.want.Shape == packet.Invalid && p.Quoted.Shape != packet.Invalid || c.want.Shape != packet.Invalid && p.Quoted != c.want {
			t.Errorf("%s: quoted %+v, want %+v", c.name, p.Quoted, c.want)
		}
	}
}

func TestAddrRoundTrip(t *testing.T) {
	for _, s := range []string{"0.0.0.0", "100.64.0.1", "255.255.255.255", "::", "::1", "fd00::1", "ff02::1"} {
		var p packet.Packet
		src := s
		other := map[bool]string{true: "fd00::9", false: "10.0.0.9"}[s[0] == ':' || s[0] == 'f']
		if p.Parse(packettest.IP(src, other, 17, packettest.UDP(1, 2, 0))) != packet.Sound {
			t.Fatal(s)
		}
		if p.Src.String() != s || packet.AddrFrom(p.Src.IP()) != p.Src {
			t.Errorf("%s became %s", s, p.Src)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	var p packet.Packet
	out := make([]byte, 0, 2048)
	for _, b := range samples() {
		n := testing.AllocsPerRun(100, func() {
			p.Parse(b)
			packet.AppendReset(out, &p)
			packet.AppendUnreachable(out, &p, packet.Prohibited)
		})
		if n != 0 {
			t.Errorf("% x: %v allocations", b, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for name, bytes := range map[string][]byte{
		"tcp4": packettest.IP(a4, b4, 6, packettest.TCP(1, 2, 0x10, 3, 4, 1400)),
		"tcp6": packettest.IP(a6, b6, 6, packettest.TCP(1, 2, 0x10, 3, 4, 1400)),
		"icmp": packettest.IP(a4, b4, 1, packettest.ICMPError(3, 1, packettest.IP(b4, a4, 17, packettest.UDP(1, 2, 8)))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var p packet.Packet
			for b.Loop() {
				p.Parse(bytes)
			}
		})
	}
}
