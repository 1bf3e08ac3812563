package packet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

const (
	fin, syn, rst, ack = 1, 2, 4, 0x10
)

// sound checks both checksums of an answer with the plain sum.
func sound(t *testing.T, b []byte) {
	t.Helper()
	header, addresses := 40, []byte(nil)
	if b[0]>>4 == 4 {
		header = 20
		if packettest.Sum(b[:20]) != 0xffff {
			t.Errorf("IPv4 header checksum of % x", b)
		}
		if b[9] != 1 {
			addresses = append(append([]byte(nil), b[12:20]...), 0, b[9], 0, byte(len(b)-20))
		}
	} else {
		addresses = append(append([]byte(nil), b[8:40]...), 0, 0, byte((len(b)-40)>>8), byte(len(b)-40), 0, 0, 0, b[6])
	}
	if packettest.Sum(append(addresses, b[header:]...)) != 0xffff {
		t.Errorf("transport checksum of % x", b)
	}
}

// RFC 9293, section 3.10.7.1: "If the ACK bit is off, sequence number zero is
// used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. If the ACK bit is on,
// <SEQ=SEG.ACK><CTL=RST>."
func TestResetSequence(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    byte
		payload  int
		seq, ack uint32
		want     byte
	}{
		{"SYN", syn, 0, 0, 1001, rst | ack},
		{"SYN with data", syn, 5, 0, 1006, rst | ack},
		{"SYN and FIN", syn | fin, 0, 0, 1002, rst | ack},
		{"ACK", ack, 9, 7777, 0, rst},
		{"SYN and ACK", syn | ack, 0, 7777, 0, rst},
	} {
		for _, pair := range [][2]string{{a4, b4}, {a6, b6}} {
			var p packet.Packet
			p.Parse(packettest.IP(pair[0], pair[1], 6, packettest.TCP(40000, 443, c.flags, 1000, 7777, c.payload)))
			b, ok := packet.AppendReset([]byte("kept"), &p)
			if !ok || !bytes.HasPrefix(b, []byte("kept")) {
				t.Fatalf("%s: no reset, or not appended", c.name)
			}
			b = b[4:]
			sound(t, b)
			s := b[len(b)-20:]
			if binary.BigEndian.Uint16(s) != 443 || binary.BigEndian.Uint16(s[2:]) != 40000 {
				t.Errorf("%s: ports % x", c.name, s[:4])
			}
			if binary.BigEndian.Uint32(s[4:]) != c.seq || binary.BigEndian.Uint32(s[8:]) != c.ack || s[13] != c.want {
				t.Errorf("%s: seq %x ack %x flags %x", c.name, s[4:8], s[8:12], s[13])
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	for _, c := range []struct {
		src, dst   string
		why        packet.Unreachable
		kind, code byte
		most       int
	}{
		{a4, b4, packet.Prohibited, 3, 13, 576},
		{a4, b4, packet.NoHost, 3, 1, 576},
		{a6, b6, packet.Prohibited, 1, 1, 1280},
		{a6, b6, packet.NoHost, 1, 0, 1280},
	} {
		for _, size := range []int{0, 3, 3000} {
			var p packet.Packet
			original := packettest.IP(c.src, c.dst, 17, packettest.UDP(5000, 53, size))
			p.Parse(original)
			b, ok := packet.AppendUnreachable(nil, &p, c.why)
			if !ok {
				t.Fatalf("%s: no answer", c.src)
			}
			sound(t, b)
			header := 20
			if c.src == a6 {
				header = 40
			}
			if b[header] != c.kind || b[header+1] != c.code || len(b) != min(c.most, header+8+len(original)) {
				t.Errorf("type %d code %d, %d bytes", b[header], b[header+1], len(b))
			}
			if !bytes.HasPrefix(original, b[header+8:]) {
				t.Error("does not quote the refused packet")
			}
			var q packet.Packet
			q.Parse(b)
			if q.Quoted != p.Flow {
				t.Errorf("quotes %+v, not %+v", q.Quoted, p.Flow)
			}
		}
	}
}

func TestNeverAnswered(t *testing.T) {
	udp := packettest.UDP(1, 2, 40)
	for name, b := range map[string][]byte{
		"error":           packettest.IP(a4, b4, 1, packettest.ICMPError(3, 1, packettest.IP(b4, a4, 17, udp))),
		"redirect":        packettest.IP(a4, b4, 1, packettest.ICMP(5, 0, 0, 20)),
		"unknown error 6": packettest.IP(a6, b6, 58, packettest.ICMP(100, 0, 0, 20)),
		"redirect 6":      packettest.IP(a6, b6, 58, packettest.ICMP(137, 0, 0, 32)),
		"later fragment":  packettest.Cut(packettest.IP(a4, b4, 17, udp), 1, 24)[1],
		"reset":           packettest.IP(a4, b4, 6, packettest.TCP(1, 2, rst|ack, 3, 4, 0)),
		"multicast":       packettest.IP(a4, "224.0.0.251", 17, udp),
		"multicast 6":     packettest.IP(a6, "ff02::fb", 17, udp),
		"from multicast":  packettest.IP("224.0.0.1", b4, 17, udp),
		"broadcast":       packettest.IP(a4, "255.255.255.255", 17, udp),
		"unspecified":     packettest.IP("0.0.0.0", b4, 17, udp),
		"unspecified 6":   packettest.IP("::", b6, 17, udp),
		"loopback 6":      packettest.IP("::1", b6, 17, udp),
		"loopback":        packettest.IP("127.0.0.1", b4, 17, udp),
		"nothing":         nil,
	} {
		var p packet.Packet
		p.Parse(b)
		if got, ok := packet.AppendReset(nil, &p); ok {
			t.Errorf("%s: reset % x", name, got)
		}
		if got, ok := packet.AppendUnreachable(nil, &p, packet.Prohibited); ok {
			t.Errorf("%s: unreachable % x", name, got)
		}
	}
	var p packet.Packet
	p.Parse(packettest.IP(a4, b4, 17, udp))
	if _, ok := packet.AppendReset(nil, &p); ok {
		t.Error("UDP answered by a reset")
	}
}
