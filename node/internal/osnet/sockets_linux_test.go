package osnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// The kernel tells which connections there are, whose ports listen, and nothing else.
func TestSocketsAreFound(t *testing.T) {
	s, err := osnet.OpenSockets()
	must(t, err)
	for _, x := range []struct{ listen, dial string }{{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"::", "127.0.0.1"}} {
		l, err := net.Listen("tcp", net.JoinHostPort(x.listen, "0"))
		must(t, err)
		defer l.Close()
		client, err := net.Dial("tcp", net.JoinHostPort(x.dial, fmt.Sprint(l.Addr().(*net.TCPAddr).Port)))
		must(t, err)
		defer client.Close()
		server, err := l.Accept()
		must(t, err)
		defer server.Close()
		here, there := netip.MustParseAddrPort(client.LocalAddr().String()), netip.MustParseAddrPort(client.RemoteAddr().String())
		port := func(a netip.AddrPort, n uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), n) }
		for _, x := range []struct {
			own, peer netip.AddrPort
			want      string
		}{
			{here, there, "connected"},
			{there, here, "connected"},
			{there, port(here, 0), "listens"},
			{there, port(here, here.Port()^1), "listens"},
			{here, port(there, 0), "nothing"},
			{here, port(there, there.Port()^1), "nothing"},
		} {
			connected, listens, err := s.Find(x.own, x.peer)
			got := map[string]string{"false false": "nothing", "true false": "connected", "false true": "listens"}[fmt.Sprint(connected, listens)]
			if err != nil || got != x.want {
				t.Errorf("what is at %s for %s: %s (%v), want %s", x.own, x.peer, got, err, x.want)
			}
		}
		if n := testing.AllocsPerRun(100, func() { _, _, _ = s.Find(here, there) }); n != 0 {
			t.Errorf("a question takes %v allocations", n)
		}
	}
	must(t, s.Close())
	if connected, listens, err := s.Find(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); err == nil || connected || listens {
		t.Errorf("after Close: %v, %v, %v", connected, listens, err)
	}
}

func BenchmarkSockets(b *testing.B) {
	s, err := osnet.OpenSockets()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Find(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); err != nil {
			b.Fatal(err)
		}
	}
}
