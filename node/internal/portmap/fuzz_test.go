package portmap_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

// FuzzPCP: what is read of an answer is what stands at the places of RFC 6887,
// and of what is no answer nothing is read.
func FuzzPCP(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		opcode, result, internal, external, err := portmap.ParsePCP(b)
		answer := len(b) >= 24 && len(b) <= 1100 && len(b)%4 == 0 && b[0] == 2 && b[1] >= 0x80
		if answer && b[1] == 0x81 {
			answer = len(b) >= 60 && b[36] == 17
		}
		if answer != (err == nil) {
			t.Fatalf("an answer: %v, and it gave %v", answer, err)
		}
		if !answer {
			return
		}
		if opcode != b[1]&0x7f || result != b[3] {
			t.Errorf("opcode %d, result %d", opcode, result)
		}
		if opcode != 1 {
			return
		}
		addr, _ := netip.AddrFromSlice(b[44:60])
		if internal != binary.BigEndian.Uint16(b[40:]) || external != netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(b[42:])) {
			t.Errorf("internal port %d, external %v", internal, external)
		}
	})
}

// FuzzNATPMP: likewise, by RFC 6886.
func FuzzNATPMP(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		opcode, external, internal, port, err := portmap.ParseNATPMP(b)
		success := len(b) >= 12 && b[0] == 0 && b[1] >= 0x80 && b[2] == 0 && b[3] == 0
		switch {
		case success && b[1] == 0x80 && len(b) == 12:
			if err != nil || opcode != 0 || external != netip.AddrFrom4([4]byte(b[8:])) {
				t.Errorf("opcode %d, external %v: %v", opcode, external, err)
			}
		case success && b[1] == 0x81 && len(b) == 16:
			if err != nil || opcode != 1 || internal != binary.BigEndian.Uint16(b[8:]) || port != binary.BigEndian.Uint16(b[10:]) {
				t.Errorf("opcode %d, ports %d and %d: %v", opcode, internal, port, err)
			}
		case err == nil:
			t.Error("it took what is neither an address nor a mapping")
		}
	})
}

// FuzzSSDP: whatever the gateway answers leads to the gateway, and what anybody
// else answers leads nowhere.
func FuzzSSDP(f *testing.F) {
	gateway := netip.MustParseAddr("192.168.1.1")
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, ok := portmap.ParseSSDP(b, netip.MustParseAddr("192.168.1.2"), gateway); ok {
			t.Errorf("another host led to %v", at)
		}
		at, ok := portmap.ParseSSDP(b, gateway, gateway)
		if !ok {
			return
		}
		if host, err := netip.ParseAddr(at.Hostname()); err != nil || host.Unmap() != gateway || at.Scheme != "http" || at.User != nil || len(b) > portmap.MaxSSDP {
			t.Errorf("%d bytes led to %v", len(b), at)
		}
	})
}

// TestSSDPAnswers shows what leads to the gateway.
func TestSSDPAnswers(t *testing.T) {
	gateway := netip.MustParseAddr("192.168.1.1")
	pad := make([]byte, portmap.MaxSSDP)
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nLocation: http://192.168.1.1:5000/d.xml\r\n\r\n":   "http://192.168.1.1:5000/d.xml",
		"HTTP/1.1 200 OK\r\nLOCATION:http://192.168.1.1/\r\nST: x\r\n\r\n":     "http://192.168.1.1/",
		"HTTP/1.1 200 OK\r\nLOCATION: http://[::ffff:192.168.1.1]:80/\r\n\r\n": "http://[::ffff:192.168.1.1]:80/",
		"HTTP/1.1 404 Not Found\r\nLOCATION: http://192.168.1.1/\r\n\r\n":      "",
		"HTTP/1.1 200 OK\r\n\r\n":                                                        "",
		"HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.2/\r\n\r\n":                       "",
		"HTTP/1.1 200 OK\r\nLOCATION: http://router.lan/\r\n\r\n":                        "",
		"HTTP/1.1 200 OK\r\nLOCATION: https://192.168.1.1/\r\n\r\n":                      "",
		"HTTP/1.1 200 OK\r\nLOCATION: file:///etc/passwd\r\n\r\n":                        "",
		"HTTP/1.1 200 OK\r\nLOCATION: //192.168.1.1/\r\n\r\n":                            "",
		"HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1@192.168.1.2/\r\n\r\n":           "",
		"HTTP/1.1 200 OK\r\nLOCATION: http://admin:admin@192.168.1.1/\r\n\r\n":           "",
		"M-SEARCH * HTTP/1.1\r\nLOCATION: http://192.168.1.1/\r\n\r\n":                   "",
		"NOTIFY * HTTP/1.1\r\nLOCATION: http://192.168.1.1/\r\n\r\n":                     "",
		"HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1/\r\n\r\n" + string(pad):         "",
		"HTTP/1.1 200 OK\r\nX: " + string(pad) + "\r\nLOCATION: http://192.168.1.1/\r\n": "",
	} {
		at, ok := portmap.ParseSSDP([]byte(text), gateway, gateway)
		if ok != (want != "") || ok && at.String() != want {
			t.Errorf("%.80q leads to %v", text, at)
		}
	}
}
