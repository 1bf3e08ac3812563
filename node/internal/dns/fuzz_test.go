package dns_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/node/internal/dns"
)

// FuzzHandle: whatever comes, an answer is one, is bounded, and says of the
// mesh's own only what the map does.
func FuzzHandle(f *testing.F) {
	for _, h := range hostile(f) {
		f.Add(h.packet, false)
	}
	for _, name := range []string{"ehr." + domain, "x." + domain, "2.0.64.100.in-addr.arpa", "0.d.f.ip6.arpa", "www.hospital.example"} {
		q := query(name, miekg.TypeANY)
		f.Add(packed(f, q), true)
		f.Add(packed(f, q.SetEdns0(4096, true)), false)
	}
	r := dns.NewResponder([]dns.Route{{Domain: "hospital.example"}}) // nobody is asked
	r.Learn(dns.ZoneOf(hospitalMap()), []string{"coordinator." + domain}, nil, true)
	known := map[netip.Addr]bool{addr("100.64.0.1"): true, addr("100.64.0.2"): true, addr("fd00:1::1"): true, addr("fd00:1::2"): true}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		b := r.Handle(t.Context(), packet, tcp)
		if b == nil {
			return
		}
		if len(b) > 1232 || len(b) < 12 || !bytes.Equal(b[:2], packet[:2]) || b[2]&0x80 == 0 {
			t.Fatalf("%x is answered by %x", packet, b)
		}
		m := new(miekg.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatalf("%x is answered by %x: %v", packet, b, err)
		}
		for _, rr := range m.Answer {
			var a netip.Addr
			switch rr := rr.(type) {
			case *miekg.A:
				a, _ = netip.AddrFromSlice(rr.A)
			case *miekg.AAAA:
				a, _ = netip.AddrFromSlice(rr.AAAA)
			case *miekg.PTR:
				if !strings.HasSuffix(rr.Ptr, "."+domain+".") {
					t.Fatalf("%x is answered by %v", packet, rr)
				}
				continue
			default:
				continue
			}
			if !known[a.Unmap()] {
				t.Fatalf("%x is answered by %v", packet, rr)
			}
		}
	})
}
