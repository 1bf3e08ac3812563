package packet_test

import (
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// The nudge is what a receiving stack would check: addresses, ports, ACK alone,
// and checksums that add up to nothing.
func TestNudge(t *testing.T) {
	for _, pair := range [][2]string{{"100.64.0.2", "100.64.0.1"}, {"fd00::2", "fd00::1"}} {
		of := new(packet.Packet)
		of.Parse(packettest.IP(pair[0], pair[1], 6, packettest.TCP(443, 5000, 16, 1, 1, 0)))
		got, ok := packet.AppendNudge([]byte("head"), &of.Flow)
		if !ok || string(got[:4]) != "head" {
			t.Fatalf("%v: no nudge", pair)
		}
		raw := got[4:]
		p := new(packet.Packet)
		if p.Parse(raw); p.Flow != of.Flow || p.Flags != packet.ACK {
			t.Errorf("%v: got %+v with flags %v, want the flow with ACK alone", pair, p.Flow, p.Flags)
		}
		if n := transportSum(t, pair, raw); n != 0xffff {
			t.Errorf("%v: TCP checksum adds up to %#x", pair, n)
		}
		if p.Src.Is4() && ones(raw[:20], 0) != 0xffff {
			t.Errorf("%v: IPv4 header checksum adds up to %#x", pair, ones(raw[:20], 0))
		}
	}
}

func TestNudgeRefusesWhatIsNoConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"UDP":       packettest.IP("100.64.0.2", "100.64.0.1", 17, packettest.UDP(1, 2, 8)),
		"multicast": packettest.IP("100.64.0.2", "224.0.0.1", 6, packettest.TCP(1, 2, 16, 1, 1, 0)),
	} {
		of := new(packet.Packet)
		of.Parse(b)
		if out, ok := packet.AppendNudge(nil, &of.Flow); ok || len(out) != 0 {
			t.Errorf("%s: nudged", name)
		}
	}
	if _, ok := packet.AppendNudge(nil, &packet.Flow{Proto: acl.TCP, Shape: packet.Ports}); ok {
		t.Error("an empty flow was nudged")
	}
}

// transportSum is the Internet checksum over pseudo-header and segment, written
// as RFC 1071 puts it.
func transportSum(t *testing.T, pair [2]string, raw []byte) uint32 {
	t.Helper()
	header := 40
	if netip.MustParseAddr(pair[0]).Is4() {
		header = 20
	}
	segment := raw[header:]
	n := uint32(6 + len(segment))
	for _, a := range pair {
		n = ones(netip.MustParseAddr(a).AsSlice(), n)
	}
	return ones(segment, n)
}

func ones(b []byte, n uint32) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		n += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return n
}
