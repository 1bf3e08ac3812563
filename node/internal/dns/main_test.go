package dns_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// hospitalMap is a map with this node, "ward", and one peer, "ehr".
func hospitalMap(peers ...wire.PeerRecord) wire.Map {
	m := wire.Map{Revision: 7, Peers: map[string]wire.PeerRecord{}}
	m.Self = wire.SelfRecord{ID: "n-0", Name: "ward", Domain: "mesh.hospital.example",
		Addresses: []netip.Addr{addr("100.64.0.1"), addr("fd00:1::1")},
		Ranges:    []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd00:1::/48")}}
	peers = append(peers, wire.PeerRecord{ID: "n-1", Name: "ehr", Addresses: []netip.Addr{addr("100.64.0.2"), addr("fd00:1::2")},
		Routes: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}})
	for i, p := range peers {
		m.Peers[fmt.Sprint(i)] = p
	}
	return m
}

// responder answers by the hospital's map alone.
func responder(routes ...dns.Route) *dns.Responder {
	r := dns.NewResponder(routes)
	r.Learn(dns.ZoneOf(hospitalMap()), nil, nil, false)
	return r
}

func query(name string, qtype uint16) *miekg.Msg {
	return new(miekg.Msg).SetQuestion(miekg.Fqdn(name), qtype)
}

func packed(t testing.TB, m *miekg.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ask gives the answer to a question over UDP.
func ask(t testing.TB, r *dns.Responder, q *miekg.Msg) *miekg.Msg {
	t.Helper()
	b := r.Handle(t.Context(), packed(t, q), false)
	if b == nil {
		t.Fatalf("no answer to %v", q.Question)
	}
	m := new(miekg.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("the answer to %v: %v", q.Question, err)
	}
	if m.Id != q.Id || !m.Response {
		t.Fatalf("the answer to %v is none: %v", q.Question, m)
	}
	return m
}

// told is an answer in one line: its code, then the data of its records.
func told(m *miekg.Msg) string {
	out := []string{miekg.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(out, " ")
}
