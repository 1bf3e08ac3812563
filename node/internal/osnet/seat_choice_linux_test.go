package osnet_test

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

// Other programs of the machine translate addresses, as container engines and firewalls
// do. The kernel takes nobody's address for that by itself, also when the machine's came
// last, and when it was somebody's once.
func TestMasqueradeIsNobody(t *testing.T) {
	if !rooted(t) {
		return
	}
	defer func(was netip.Addr) { peer6 = was }(peer6)
	peer6 = netip.MustParseAddr("fd00:c0de::7:9") // nearer to ana than to the machine
	w := newWard(t)
	nft(t, "add table inet translation; add chain inet translation post { type nat hook postrouting priority 100; }; add rule inet translation post oifname cordon0 masquerade")
	heard := func(when string, four, six netip.Addr) {
		t.Helper()
		for _, network := range []string{"tcp", "udp"} {
			for is4, want := range map[bool]netip.Addr{true: four, false: six} {
				w.as(t, visiting, func() error { return says(network, netip.Addr{}, is4, "hello") })
				if got := w.heard(t); got.from != want || got.words != "hello" {
					t.Errorf("%s: by %s a visitor is heard as %+v, want %s", when, network, got, want)
				}
			}
		}
	}
	heard("at first", self4, self6)
	next := shared()
	next.Addresses, next.Seats[0].Addresses = []netip.Addr{bens4, bens6}, []netip.Addr{self4, self6}
	next.Seats = next.Seats[:1]
	must(t, w.Apply(next))
	heard("when the machine's became ana's", bens4, bens6)
	must(t, w.Apply(shared()))
	link, err := netlink.LinkByName("cordon0")
	must(t, err)
	for _, a := range []netip.Addr{self4, self6} {
		must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(host(a))}))
	}
	must(t, w.Reapply())
	heard("when the machine's came last", self4, self6)
}

// Who translates to somebody's address on purpose reaches nobody.
func TestTranslationMakesNobodySomebody(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	nft(t, "add table inet translation; add chain inet translation post { type nat hook postrouting priority 100; }; "+
		"add rule inet translation post oifname cordon0 ip protocol udp udp dport 5000 snat ip to "+anas4.String()+"; "+
		"add rule inet translation post oifname cordon0 meta nfproto ipv6 udp dport 5000 snat ip6 to "+anas6.String())
	for _, is4 := range []bool{true, false} {
		w.as(t, ana, func() error { return says("udp", netip.Addr{}, is4, "ana") })
		if got := w.heard(t); got.words != "ana" || got.from != anas4 && got.from != anas6 {
			t.Errorf("ana is heard as %+v", got)
		}
		for _, uid := range []int{ben, visiting, 0} {
			w.as(t, uid, func() error { _ = says("udp", netip.Addr{}, is4, "I am ana"); return nil })
		}
	}
	nft(t, "delete table inet translation")
	w.silent(t, "translated")
	if got := counted(t, "by another account"); got != 6 {
		t.Errorf("counted %d refused packets, want 6", got)
	}
}
