package packet_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// synWith is a SYN with options, padded as they must be, and a sound checksum.
func synWith(src, dst string, flags byte, options ...byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	t := slices.Concat(packettest.TCP(40000, 443, flags, 1000, 0, 0), options)
	t[12] = byte(len(t)/4) << 4
	b := packettest.IP(src, dst, 6, t)
	header := len(b) - len(t)
	b[header+16], b[header+17] = 0, 0
	from, pseudo := 12, byte(header)
	if header == 40 {
		from = 8
	}
	sum := packettest.Sum(slices.Concat(b[from:pseudo], []byte{0, 6, 0, byte(len(t))}, b[header:]))
	binary.BigEndian.PutUint16(b[header+16:], ^sum)
	return b
}

func TestClampMSS(t *testing.T) {
	mss := func(n uint16) []byte { return []byte{2, 4, byte(n >> 8), byte(n)} }
	for name, c := range map[string]struct {
		flags   byte
		options []byte
		at      int // where the value stands in the options; -1: nothing is lowered
	}{
		"first":           {syn, mss(1460), 2},
		"of an answer":    {syn | ack, mss(1460), 2},
		"behind a window": {syn, slices.Concat([]byte{3, 3, 7, 1}, mss(1460)), 6},
		"at an odd place": {syn, slices.Concat([]byte{1}, mss(1460)), 3},
		"small already":   {syn, mss(1000), -1},
		"no SYN":          {ack, mss(1460), -1},
		"none":            {syn, []byte{1, 1, 1, 0}, -1},
		"behind the end":  {syn, slices.Concat([]byte{0}, mss(1460)), -1},
		"cut short":       {syn, []byte{1, 1, 2, 4}, -1},
		"of a wrong size": {syn, []byte{2, 3, 5, 180}, -1},
		"of no size":      {syn, []byte{5, 0, 2, 4, 5, 180}, -1},
	} {
		for _, pair := range [][2]string{{a4, b4}, {a6, b6}} {
			b := synWith(pair[0], pair[1], c.flags, c.options...)
			before := bytes.Clone(b)
			var p packet.Packet
			if fault := p.Parse(b); fault != packet.Sound {
				t.Fatalf("%s: %v", name, fault)
			}
			if got := p.ClampMSS(1200); got != (c.at >= 0) {
				t.Errorf("%s, %s: lowered is %v", name, pair[0], got)
			}
			if c.at < 0 {
				if !bytes.Equal(b, before) {
					t.Errorf("%s, %s: changed to % x", name, pair[0], b)
				}
				continue
			}
			headers := 20
			if pair[0] == a6 {
				headers = 40
			}
			if got := binary.BigEndian.Uint16(b[headers+20+c.at:]); int(got) != 1200-headers-20 {
				t.Errorf("%s, %s: the largest segment is %d", name, pair[0], got)
			}
			sound(t, b)
			if p.ClampMSS(1200) {
				t.Errorf("%s, %s: lowered twice", name, pair[0])
			}
		}
	}
}

func TestTooBig(t *testing.T) {
	var p packet.Packet
	long := packettest.IP(a4, b4, 17, packettest.UDP(1, 2, 1252))
	long[6] |= 0x40
	p.Parse(long)
	b, ok := packet.AppendTooBig(nil, &p, 1216)
	if !ok || b[20] != 3 || b[21] != 4 || binary.BigEndian.Uint16(b[26:]) != 1216 || !bytes.Equal(b[12:16], long[16:20]) || len(b) != 576 {
		t.Errorf("% x, %v", b, ok)
	}
	sound(t, b)
	long[6] &^= 0x40
	p.Parse(long)
	if b, ok := packet.AppendTooBig(nil, &p, 1216); ok || b != nil {
		t.Error("a packet that may be fragmented was refused")
	}
	p.Parse(packettest.IP(a6, b6, 17, packettest.UDP(1, 2, 1352)))
	b, ok = packet.AppendTooBig(nil, &p, 1280)
	if !ok || b[40] != 2 || b[41] != 0 || binary.BigEndian.Uint32(b[44:]) != 1280 {
		t.Errorf("% x, %v", b, ok)
	}
	sound(t, b)
	if _, ok := packet.AppendTooBig(nil, &p, 1279); ok {
		t.Error("IPv6 was told of less than it permits")
	}
	p.Parse(packettest.IP(a4, b4, 1, packettest.ICMPError(3, 1, long)))
	if _, ok := packet.AppendTooBig(nil, &p, 600); ok {
		t.Error("an error was answered by an error")
	}
}
