package packet_test

import (
	"testing"

	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
	"pgregory.net/rapid"
)

// view puts what Parse says into the words of the obvious parser.
func view(b []byte) seen {
	var p packet.Packet
	if fault := p.Parse(b); (fault == packet.Sound) != (p.Shape != packet.Invalid) {
		panic("fault and shape disagree: " + fault.String())
	}
	if p.Shape == packet.Invalid {
		return refused
	}
	s := seen{
		shape: p.Shape, src: p.Src.IP(), dst: p.Dst.IP(), proto: int(p.Proto),
		srcPort: int(p.SrcPort), dstPort: int(p.DstPort), icmpType: int(p.Type),
		flags: int(p.Flags), frag: p.Frag, length: p.Len,
	}
	if p.Frag != packet.Whole {
		s.fragProto, s.fragID = int(p.FragProto), int(p.FragID)
	}
	return s
}

func agree(t interface{ Fatalf(string, ...any) }, b []byte) {
	if got, want := view(b), naive(b); got != want {
		t.Fatalf("packet % x\nParse %+v\nnaive %+v", b, got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range samples() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		agree(t, b)
		// Bytes behind the packet, and the packet before, must not matter.
		var p packet.Packet
		p.Parse(packettest.IP("10.0.0.1", "10.0.0.2", 6, packettest.TCP(1, 2, 3, 4, 5, 6)))
		p.Parse(b)
		answered(t, &p)
	})
}

// answered writes both refusals and checks that they are packets themselves,
// that they go back, and that a refusal is never refused in turn.
func answered(t interface{ Fatalf(string, ...any) }, p *packet.Packet) {
	reset, ok := packet.AppendReset(nil, p)
	if ok {
		check(t, p, reset)
	}
	for _, why := range []packet.Unreachable{packet.Prohibited, packet.NoHost} {
		if message, ok := packet.AppendUnreachable(nil, p, why); ok {
			check(t, p, message)
		}
	}
	if message, ok := packet.AppendTooBig(nil, p, 1280); ok {
		check(t, p, message)
	}
	p.ClampMSS(1200)
}

func check(t interface{ Fatalf(string, ...any) }, p *packet.Packet, answer []byte) {
	var q packet.Packet
	if fault := q.Parse(answer); fault != packet.Sound || q.Len != len(answer) {
		t.Fatalf("answer % x: %v", answer, fault)
	}
	if q.Src != p.Dst || q.Dst != p.Src {
		t.Fatalf("answer goes from %v to %v, not from %v to %v", q.Src, q.Dst, p.Dst, p.Src)
	}
	if _, again := packet.AppendReset(nil, &q); again {
		t.Fatalf("a refusal is answered by a reset: % x", answer)
	}
	if _, again := packet.AppendUnreachable(nil, &q, packet.Prohibited); again {
		t.Fatalf("a refusal is answered by ICMP: % x", answer)
	}
}

func TestParseAgreesWithObviousParser(t *testing.T) {
	all := samples()
	for _, b := range all {
		agree(t, b)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := append([]byte(nil), rapid.SampledFrom(all).Draw(t, "packet")...)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			i := rapid.IntRange(0, min(len(b)-1, 64)).Draw(t, "where")
			b[i] = rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 1, 6, 17, 43, 44, 58, 60, 132, 0x20})).Draw(t, "byte")
		}
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")+0]
		agree(t, b)
	})
}

// samples are sound packets of every kind.
func samples() [][]byte {
	const a4, b4, a6, b6 = "100.64.0.1", "100.64.0.2", "fd00::1", "fd00::2"
	var all [][]byte
	for _, pair := range [][2]string{{a4, b4}, {a6, b6}} {
		ip := func(proto byte, b []byte) []byte { return packettest.IP(pair[0], pair[1], proto, b) }
		tcp, udp := ip(6, packettest.TCP(40000, 443, 0x10, 1, 2, 100)), ip(17, packettest.UDP(5000, 53, 64))
		echo, query, answer := byte(1), byte(8), byte(0)
		if pair[0] == a6 {
			echo, query, answer = 58, 128, 129
		}
		all = append(all, tcp, udp,
			ip(6, packettest.TCP(40000, 443, 2, 7, 0, 0)),
			ip(132, packettest.SCTP(9, 10, 16)),
			ip(47, make([]byte, 12)),
			ip(echo, packettest.ICMP(query, 0, 77, 32)),
			ip(echo, packettest.ICMP(answer, 0, 77, 32)),
			ip(echo, packettest.ICMP(13, 0, 77, 12)),
			ip(echo, packettest.ICMP(14, 0, 77, 12)),
			ip(echo, packettest.ICMP(16, 0, 77, 12)),
			ip(echo, packettest.ICMP(5, 0, 77, 12)),
			ip(echo, packettest.ICMPError(3, 1, tcp)),
			ip(echo, packettest.ICMPError(1, 1, udp)))
		all = append(all, packettest.Cut(ip(17, packettest.UDP(1, 2, 200)), 9, 64)...)
		all = append(all, packettest.Cut(ip(6, packettest.TCP(1, 2, 2, 3, 4, 200)), 9, 64)...)
	}
	options := packettest.IP(a4, b4, 6, append([]byte{7, 7, 4, 0, 0, 0, 0, 0}, packettest.TCP(1, 2, 2, 0, 0, 0)...))
	options[0] = 0x47
	extended := packettest.IP(a6, b6, 0, append(append([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 17, 0, 1, 4, 0, 0, 0, 0), packettest.UDP(3, 4, 5)...))
	routing := packettest.IP(a6, b6, 43, append([]byte{6, 0, 4, 0, 0, 0, 0, 0}, packettest.TCP(1, 2, 2, 0, 0, 0)...))
	return append(all, options, extended, routing)
}
