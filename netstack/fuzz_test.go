package netstack

import (
	"bytes"
	"testing"
)

// The parsers are private: what they give out is only of use here.

func FuzzSOCKSRequest(f *testing.F) {
	f.Add([]byte{5, 1, 0, 1, 100, 64, 0, 2, 0, 104})
	f.Add([]byte("\x05\x01\x00\x03\x09pacs.mesh\x00\x68"))
	f.Add(append(append([]byte{5, 3, 0, 4}, make([]byte, 16)...), 1, 187))
	f.Add([]byte{5, 1, 0, 3, 0, 0, 80})
	f.Add([]byte{5, 2, 0, 9, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		_, to, err := readRequest(r)
		if used := len(b) - r.Len(); used > maxRequest {
			t.Fatalf("read %d bytes, more than any request has", used)
		}
		if err != nil {
			return
		}
		if to.addr.IsValid() == (to.name != "") {
			t.Fatalf("%+v is both address and name, or neither", to)
		}
		if to.name != "" && !plainName(to.name) {
			t.Fatalf("name %q", to.name)
		}
		if to.addr.Is4In6() || to.addr.Zone() != "" {
			t.Fatalf("address %s is not in its plain form", to.addr)
		}
	})
}

func FuzzSOCKSDatagram(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 100, 64, 0, 2, 0, 161, 'x'})
	f.Add([]byte{0, 0, 1, 1, 100, 64, 0, 2, 0, 161, 'x'})
	f.Add([]byte("\x00\x00\x00\x03\x04pump\x00\xa1x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		to, payload, err := parseDatagram(b)
		if err != nil {
			return
		}
		if len(payload) >= len(b) || !bytes.HasSuffix(b, payload) {
			t.Fatalf("payload %x is not the end of %x", payload, b)
		}
		if to.addr.IsValid() == (to.name != "") {
			t.Fatalf("%+v is both address and name, or neither", to)
		}
	})
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte{5, 1, 0})
	f.Add([]byte{5, 2, 2, 0})
	f.Add([]byte{4, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		open, err := readGreeting(bytes.NewReader(b))
		if open && (err != nil || !bytes.Contains(b[2:2+int(b[1])], []byte{noAuth})) {
			t.Fatalf("%x was accepted: %v", b, err)
		}
	})
}

func FuzzRefusal(f *testing.F) {
	inner4 := append([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 100, 64, 0, 1, 100, 64, 0, 2}, make([]byte, 20)...)
	f.Add(append([]byte{0x45, 0, 0, 68, 0, 0, 0, 0, 64, 1, 0, 0, 100, 64, 0, 2, 100, 64, 0, 1, 3, 13, 0, 0, 0, 0, 0, 0}, inner4...))
	six := make([]byte, 40+8+40+8)
	six[0], six[6], six[40], six[41], six[48], six[54] = 0x60, 58, 1, 1, 0x60, 17
	f.Add(six)
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		fl, why := parseRefusal(b)
		intact(b)
		if !bytes.Equal(b, was) {
			t.Fatal("the packet was changed")
		}
		if why != nil && (!fl.local.Addr().IsValid() || fl.local.Addr().BitLen() != fl.remote.Addr().BitLen()) {
			t.Fatalf("a refusal of no flow: %+v", fl)
		}
	})
}
