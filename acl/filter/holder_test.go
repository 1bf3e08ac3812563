package filter_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Who has an address is a peer's question: this node, nobody and addresses that
// no policy can open have no id. Whoever remembers the answer sees by the version
// when to ask again.
func TestHolder(t *testing.T) {
	f := newFilter(t, filter.Options{})
	holders := func(c *filter.Config, want map[string]string) (version uint32) {
		t.Helper()
		if c != nil {
			f.Load(compile(t, *c))
		}
		b := f.Begin(filter.At(noon()))
		defer b.End()
		for at, id := range want {
			if got := b.Holder(packet.AddrFrom(netip.MustParseAddr(at))); got != id {
				t.Errorf("%s is of %q, want %q", at, got, id)
			}
		}
		return b.Version()
	}
	party := func(id string, prefixes ...string) (p filter.Party) {
		p.ID = id
		for _, text := range prefixes {
			p.Prefixes = append(p.Prefixes, acl.PrefixClass{Prefix: netip.MustParsePrefix(text), Class: 1})
		}
		return p
	}
	none := holders(nil, map[string]string{"100.64.0.2": ""})
	c := &filter.Config{
		Revision: 1, Self: party("", "100.64.0.1/32"), Mesh: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")},
		Peers: []filter.Party{party("n-b", "100.64.0.2/32", "10.0.0.0/8", "0.0.0.0/0"), party("n-c", "10.1.0.0/16")},
	}
	first := holders(c, map[string]string{
		"100.64.0.2": "n-b", "10.2.0.1": "n-b", "10.1.0.1": "n-c", "203.0.113.7": "n-b",
		"100.64.0.1": "", "100.64.0.3": "", "127.0.0.1": "", "2001:db8::1": "",
	})
	c.Revision, c.Peers[0].ID = 2, "n-d"
	second := holders(c, map[string]string{"100.64.0.2": "n-d"})
	if none == 0 || first == none || second == first {
		t.Errorf("the versions are %d, %d and %d", none, first, second)
	}
}

func TestEachOfManyHostsIsFoundAndNobodyElse(t *testing.T) {
	var c filter.Config
	at := func(i int) []netip.Addr {
		return []netip.Addr{
			netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}),
			netip.AddrFrom16([16]byte{0xfd, 6: byte(i >> 8), 7: byte(i), 15: 1}),
		}
	}
	for i := 0; i < 10_000; i += 2 {
		p := filter.Party{ID: fmt.Sprint(i)}
		for _, a := range at(i) {
			p.Prefixes = append(p.Prefixes, acl.PrefixClass{Prefix: netip.PrefixFrom(a, a.BitLen()), Class: 1})
		}
		c.Peers = append(c.Peers, p)
	}
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	b := f.Begin(filter.At(noon()))
	defer b.End()
	for i := range 10_000 {
		for _, a := range at(i) {
			want := ""
			if i%2 == 0 {
				want = fmt.Sprint(i)
			}
			if got := b.Holder(packet.AddrFrom(a)); got != want {
				t.Fatalf("%s is of %q, want %q", a, got, want)
			}
		}
	}
}
