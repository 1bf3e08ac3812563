package packet_test

import (
	"testing"

	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

func TestPayload(t *testing.T) {
	for name, tt := range map[string]struct {
		raw  []byte
		want int
	}{
		"TCP":              {packettest.IP("10.0.0.1", "10.0.0.2", 6, packettest.TCP(1, 2, 16, 1, 1, 7)), 7},
		"TCP with options": {synWith("10.0.0.1", "10.0.0.2", 2, 1, 1, 1, 1), 0},
		"TCP in IPv6":      {packettest.IP("fd00::1", "fd00::2", 6, packettest.TCP(1, 2, 16, 1, 1, 7)), 7},
		"UDP":              {packettest.IP("10.0.0.1", "10.0.0.2", 17, packettest.UDP(1, 2, 9)), 9},
		"UDP with padding": {append(packettest.IP("10.0.0.1", "10.0.0.2", 17, packettest.UDP(1, 2, 9)), 0, 0, 0), 9},
		"SCTP":             {packettest.IP("10.0.0.1", "10.0.0.2", 132, packettest.SCTP(1, 2, 9)), 0},
		"ICMP":             {packettest.IP("10.0.0.1", "10.0.0.2", 1, packettest.ICMP(8, 0, 1, 9)), 0},
		"nothing":          {nil, 0},
	} {
		var p packet.Packet
		p.Parse(tt.raw)
		if got := p.Payload(); got != tt.want {
			t.Errorf("%s: %d bytes, want %d", name, got, tt.want)
		}
	}
	cut := packettest.Cut(packettest.IP("10.0.0.1", "10.0.0.2", 17, packettest.UDP(1, 2, 200)), 1, 64)
	for i := range cut {
		var p packet.Packet
		if p.Parse(cut[i]); p.Payload() != 0 {
			t.Errorf("fragment %d has %d bytes", i, p.Payload())
		}
	}
}
