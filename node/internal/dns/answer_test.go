package dns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/dns"
)

const domain = "mesh.hospital.example"

// What the map names is answered, and the rest of the mesh's domain and ranges
// does not exist; nobody else is asked, and nothing else is answered.
func TestAnswersAreTheMaps(t *testing.T) {
	r := responder()
	for _, tt := range []struct {
		name  string
		qtype uint16
		want  string
		soa   string // of the zone that says so
	}{
		{"ehr." + domain, miekg.TypeA, "NOERROR 100.64.0.2", ""},
		{"ehr." + domain, miekg.TypeAAAA, "NOERROR fd00:1::2", ""},
		{"EHR.Mesh.Hospital.EXAMPLE", miekg.TypeA, "NOERROR 100.64.0.2", ""},
		{"ward." + domain, miekg.TypeA, "NOERROR 100.64.0.1", ""},
		{"ehr." + domain, miekg.TypeANY, "NOERROR 100.64.0.2 fd00:1::2", ""},
		{"ehr." + domain, miekg.TypeMX, "NOERROR", domain},
		{"pump." + domain, miekg.TypeA, "NXDOMAIN", domain},
		{"n-1." + domain, miekg.TypeA, "NXDOMAIN", domain},
		{"a.ehr." + domain, miekg.TypeA, "NXDOMAIN", domain},
		{"ehr.ward." + domain, miekg.TypeA, "NXDOMAIN", domain},
		{domain, miekg.TypeA, "NOERROR", domain},
		{domain, miekg.TypeSOA, "NOERROR ward." + domain + ". hostmaster." + domain + ". 7 3600 600 86400 5", ""},

		{"2.0.64.100.in-addr.arpa", miekg.TypePTR, "NOERROR ehr." + domain + ".", ""},
		{"2.0.64.100.IN-ADDR.ARPA", miekg.TypePTR, "NOERROR ehr." + domain + ".", ""},
		{"2.0.64.100.in-addr.arpa", miekg.TypeA, "NOERROR", "64.100.in-addr.arpa"},
		{"3.0.64.100.in-addr.arpa", miekg.TypePTR, "NXDOMAIN", "64.100.in-addr.arpa"},
		{"0.64.100.in-addr.arpa", miekg.TypePTR, "NOERROR", "64.100.in-addr.arpa"}, // something is below
		{"1.64.100.in-addr.arpa", miekg.TypePTR, "NXDOMAIN", "64.100.in-addr.arpa"},
		{"127.100.in-addr.arpa", miekg.TypePTR, "NOERROR", "127.100.in-addr.arpa"}, // the zone itself
		{"1.2.0.64.100.in-addr.arpa", miekg.TypePTR, "NXDOMAIN", "64.100.in-addr.arpa"},
		{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", miekg.TypePTR, "NOERROR ehr." + domain + ".", ""},
		{"3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", miekg.TypePTR, "NXDOMAIN", "0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"},
		{"0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", miekg.TypePTR, "REFUSED", ""}, // fd00:0100:...: somebody else's
		{"0.1.0.0.0.0.0.d.f.ip6.arpa", miekg.TypePTR, "REFUSED", ""},

		{"100.in-addr.arpa", miekg.TypePTR, "REFUSED", ""}, // wider than the range
		{"2.0.128.100.in-addr.arpa", miekg.TypePTR, "REFUSED", ""},
		{"02.0.64.100.in-addr.arpa", miekg.TypePTR, "REFUSED", ""},
		{"5.0.9.10.in-addr.arpa", miekg.TypePTR, "REFUSED", ""}, // behind a gateway: not the mesh's
		{"xin-addr.arpa", miekg.TypePTR, "REFUSED", ""},
		{"hospital.example", miekg.TypeA, "REFUSED", ""},
		{"xmesh.hospital.example", miekg.TypeA, "REFUSED", ""},
		{"example.com", miekg.TypeA, "REFUSED", ""},
		{"ehr", miekg.TypeA, "REFUSED", ""},
		{".", miekg.TypeNS, "REFUSED", ""},
	} {
		m := ask(t, r, query(tt.name, tt.qtype))
		if got := told(m); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.name, miekg.TypeToString[tt.qtype], got, tt.want)
		}
		soa := ""
		for _, rr := range m.Ns {
			if s, ok := rr.(*miekg.SOA); ok && s.Minttl == 5 && s.Hdr.Ttl == 5 {
				soa = strings.TrimSuffix(s.Hdr.Name, ".")
			}
		}
		if soa != tt.soa {
			t.Errorf("%s %s: the SOA of %q, want of %q", tt.name, miekg.TypeToString[tt.qtype], soa, tt.soa)
		}
		if ours := !strings.HasPrefix(tt.want, "REFUSED"); m.Authoritative != ours {
			t.Errorf("%s: authoritative %t, want %t", tt.name, m.Authoritative, ours)
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != miekg.TypeSOA && rr.Header().Ttl != 60 || rr.Header().Name != m.Question[0].Name {
				t.Errorf("%s is answered by %v", tt.name, rr)
			}
		}
	}
}

// A node that leaves the map, and one that is renamed, is not found any more at once.
func TestAnswersFollowTheMap(t *testing.T) {
	r := dns.NewResponder(nil)
	if got := told(ask(t, r, query("ehr."+domain, miekg.TypeA))); got != "REFUSED" {
		t.Error("without a map:", got)
	}
	m := hospitalMap(wire.PeerRecord{Name: "lab", Addresses: []netip.Addr{addr("100.64.0.3")}})
	r.Learn(dns.ZoneOf(m), nil, nil, false)
	if got := told(ask(t, r, query("lab."+domain, miekg.TypeA))); got != "NOERROR 100.64.0.3" {
		t.Error("a peer:", got)
	}
	r.Learn(dns.ZoneOf(hospitalMap()), nil, nil, false)
	for _, q := range []*miekg.Msg{query("lab."+domain, miekg.TypeA), query("3.0.64.100.in-addr.arpa", miekg.TypePTR)} {
		if got := told(ask(t, r, q)); got != "NXDOMAIN" {
			t.Errorf("%v after it left: %s", q.Question, got)
		}
	}
	m.Self.Domain = ""
	r.Learn(dns.ZoneOf(m), nil, nil, false)
	for _, name := range []string{"ehr", "ehr." + domain} {
		if got := told(ask(t, r, query(name, miekg.TypeA))); got != "REFUSED" {
			t.Errorf("%s in a mesh without a domain: %s", name, got)
		}
	}
}

// The zones of a range are exactly its addresses, also where it ends between
// two labels.
func TestReverseZonesAreTheRange(t *testing.T) {
	for text, want := range map[string][]string{
		"10.0.0.0/8":    {"10.in-addr.arpa."},
		"10.20.0.0/15":  {"20.10.in-addr.arpa.", "21.10.in-addr.arpa."},
		"192.0.2.4/30":  {"4.2.0.192.in-addr.arpa.", "5.2.0.192.in-addr.arpa.", "6.2.0.192.in-addr.arpa.", "7.2.0.192.in-addr.arpa."},
		"fd00:1::/48":   {"0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa."},
		"fd00:ab::/30":  nil,
		"fc00::/7":      {"c.f.ip6.arpa.", "d.f.ip6.arpa."},
		"0.0.0.0/0":     {"in-addr.arpa."},
		"100.64.0.0/10": nil,
	} {
		p := netip.MustParsePrefix(text).Masked()
		got := dns.ReverseZones(p)
		if want != nil && !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	got := dns.ReverseZones(netip.MustParsePrefix("100.64.0.0/10"))
	if len(got) != 64 || got[0] != "64.100.in-addr.arpa." || got[63] != "127.100.in-addr.arpa." {
		t.Errorf("100.64.0.0/10: %v", got)
	}
}

// An answer that does not fit is cut to what the asker takes, and says so; over
// TCP it is whole.
func TestAnswerFitsTheAsker(t *testing.T) {
	var many []netip.Addr
	for i := range 200 {
		many = append(many, addr(fmt.Sprintf("100.64.%d.9", i)))
	}
	r := dns.NewResponder(nil)
	r.Learn(dns.ZoneOf(hospitalMap(wire.PeerRecord{Name: "many", Addresses: many})), nil, nil, false)
	for _, tt := range []struct {
		edns, limit int
		tcp         bool
	}{{0, 512, false}, {100, 512, false}, {900, 900, false}, {4096, 1232, false}, {0, 65535, true}} {
		q := query("many."+domain, miekg.TypeA)
		if tt.edns != 0 {
			q.SetEdns0(uint16(tt.edns), false)
		}
		b := r.Handle(t.Context(), packed(t, q), tt.tcp)
		m := new(miekg.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		if len(b) > tt.limit || m.Truncated == tt.tcp || tt.tcp && len(m.Answer) != 200 || len(m.Answer) < tt.limit/20 && !tt.tcp {
			t.Errorf("EDNS0 %d, TCP %t: %d bytes, %d records, truncated %t", tt.edns, tt.tcp, len(b), len(m.Answer), m.Truncated)
		}
		if (m.IsEdns0() != nil) != (tt.edns != 0) {
			t.Errorf("EDNS0 %d is answered by %v", tt.edns, m.IsEdns0())
		}
	}
}

func TestParseRoute(t *testing.T) {
	for text, want := range map[string]string{
		"hospital.example=10.0.0.53":              "{hospital.example [10.0.0.53:53]}",
		"Hospital.Example.=10.0.0.53,[fd00::1]:5": "{hospital.example [10.0.0.53:53 [fd00::1]:5]}",
		"10.in-addr.arpa=fd00::1":                 "{10.in-addr.arpa [[fd00::1]:53]}",
		"_tcp.x=127.0.0.1:5353":                   "{_tcp.x [127.0.0.1:5353]}",
	} {
		if got, err := dns.ParseRoute(text); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "=10.0.0.1", ".=10.0.0.1", "a=", "a=b", "a=10.0.0.1,", "a b=10.0.0.1", "a=0.0.0.0", "a=224.0.0.1",
		"a=10.0.0.1:0", "a..b=10.0.0.1", "ä=10.0.0.1", "a=::ffff:1.2.3.4", "a=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5", strings.Repeat("a", 64) + "=10.0.0.1"} {
		if got, err := dns.ParseRoute(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	if err := dns.CheckRoutes([]dns.Route{{Domain: "a"}, {Domain: "b"}, {Domain: "a"}}); err == nil {
		t.Error("a domain may have two routes")
	}
}
