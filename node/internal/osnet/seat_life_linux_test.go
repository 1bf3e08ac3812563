package osnet_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// seatRules lists the rules of seats, with their families.
func seatRules(t *testing.T) (rules []netlink.Rule) {
	t.Helper()
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := netlink.RuleList(family)
		must(t, err)
		for _, r := range list {
			if r.Protocol == 0xc6 {
				r.Family = family
				rules = append(rules, r)
			}
		}
	}
	return rules
}

// A killed daemon leaves rules and tables of seats, which the next one takes away
// before anybody has a seat again; what it ends with, it ends without. Another mesh of
// the machine has its own.
func TestSeatsEndWithTheirDaemon(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	killed, other := newNetwork(t, osnet.Config{}), newNetwork(t, osnet.Config{Name: "other0"})
	dev := open(t, killed)
	open(t, other)
	w := shared()
	w.Direct = []netip.Prefix{netip.MustParsePrefix("10.20.30.0/24")}
	must(t, killed.Apply(w))
	must(t, other.Apply(osnet.Want{Seats: []osnet.Seat{{UID: ana, Addresses: []netip.Addr{noPeer4}}}}))
	if got := seatRules(t); len(got) != 5 {
		t.Fatalf("%d rules: %v", len(got), got)
	}
	tables := make(map[int]bool)
	for _, r := range seatRules(t) {
		if r.Table&0xffffff == int(killed.Config().Table)&0xffffff {
			tables[r.Table] = true
		}
	}
	wantGone := func(when string) {
		t.Helper()
		if got := seatRules(t); len(got) != 1 {
			t.Errorf("%s: %d rules: %v", when, len(got), got)
		}
		for table := range tables {
			if got := table4(t, table); len(got) != 0 {
				t.Errorf("%s: table %d holds %v", when, table, got)
			}
		}
	}
	dev.Close()
	next := newNetwork(t, osnet.Config{})
	wantGone("after a kill")
	open(t, next)
	must(t, next.Apply(w))
	if got := seatRules(t); len(got) != 5 {
		t.Errorf("the next one has %d rules: %v", len(got), got)
	}
	must(t, next.Close())
	wantGone("after the end")
	must(t, other.Close())
	if got := seatRules(t); len(got) != 0 {
		t.Errorf("the other mesh left %v", got)
	}
}

// A seat that comes or goes moves no other to another table, in which its programs
// would speak with nobody's address meanwhile.
func TestSeatsKeepTheirTables(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	w := shared()
	must(t, n.Apply(w))
	tableOf := func(uid uint32) int {
		for _, r := range seatRules(t) {
			if r.UIDRange.Start == uid {
				return r.Table
			}
		}
		return 0
	}
	if _, six := fenced(t); six != 6 {
		t.Errorf("%d rules fence three addresses in, want 6", six)
	}
	bens := tableOf(ben)
	w.Seats = append([]osnet.Seat{{UID: visiting, Addresses: []netip.Addr{noPeer4}}}, w.Seats[1])
	must(t, n.Apply(w))
	if now := tableOf(ben); now != bens || tableOf(ana) != 0 || tableOf(visiting) == 0 {
		t.Errorf("ben was led to table %d, now to %d: %v", bens, now, seatRules(t))
	}
	w.Seats = nil
	for i := range osnet.MaxSeats + 1 {
		a := netip.AddrFrom4([4]byte{100, 64, 8, byte(i)})
		w.Seats = append(w.Seats, osnet.Seat{UID: uint32(2000 + i), Addresses: []netip.Addr{a}})
	}
	if err := n.Apply(w); err == nil || len(seatRules(t)) != osnet.MaxSeats {
		t.Errorf("%d have a seat: %v", len(seatRules(t)), err)
	}
}

// Whoever takes away what makes a seat is noticed, and it is put back.
func TestSeatsAreMended(t *testing.T) {
	if !rooted(t) {
		return
	}
	ns := namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(shared()))
	link, err := netlink.LinkByName("cordon0")
	must(t, err)
	state := func() string {
		var routes []string // in any order: a rule that was put back comes last
		for _, r := range seatRules(t) {
			list, err := netlink.RouteListFiltered(r.Family, &netlink.Route{Table: r.Table}, netlink.RT_FILTER_TABLE)
			must(t, err)
			for _, l := range list {
				routes = append(routes, r.String()+" "+l.String())
			}
		}
		slices.Sort(routes)
		return nft(t, "list", "ruleset") + strings.Join(append(routes, addresses(t, link)...), "\n")
	}
	bans := func() (n int) {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			list, err := netlink.RuleList(family)
			must(t, err)
			for _, r := range list {
				if r.Protocol == 0xc7 {
					n++
				}
			}
		}
		return n
	}
	whole := state()
	ch, looking := make(events, 10), make(chan struct{})
	inside(t, ns, func(ctx context.Context) error {
		close(looking)
		return n.Watch(ctx, func(e osnet.Event) {
			if err := n.Reapply(); err != nil {
				t.Error(err)
			}
			ch <- e
		})
	})
	<-looking
	rules := seatRules(t)
	routes, err := netlink.RouteListFiltered(unix.AF_INET6, &netlink.Route{Table: rules[3].Table}, netlink.RT_FILTER_TABLE)
	must(t, err)
	for _, c := range []struct {
		what string
		do   func() error
		told osnet.Event
	}{
		{"an IPv4 rule", func() error { return netlink.RuleDel(&rules[0]) }, osnet.RuleLost},
		{"an IPv6 rule", func() error { return netlink.RuleDel(&rules[3]) }, osnet.RuleLost},
		{"a ban", func() error {
			list, err := netlink.RuleList(unix.AF_INET6)
			must(t, err)
			ban := list[slices.IndexFunc(list, func(r netlink.Rule) bool { return r.Protocol == 0xc7 })]
			ban.Family = unix.AF_INET6
			return netlink.RuleDel(&ban)
		}, osnet.RuleLost},
		{"a route", func() error { return netlink.RouteDel(&routes[0]) }, osnet.RouteLost},
		{"an address", func() error { return netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(host(anas4))}) }, osnet.AddressLost},
		{"the tie", func() error { nft(t, "flush chain inet mesh-cordon0 tied"); return nil }, osnet.WallLost},
		{"who sits there", func() error {
			nft(t, "delete element inet mesh-cordon0 sitting6 { "+anas6.String()+" . 1000 }")
			return nil
		}, osnet.WallLost},
	} {
		must(t, c.do())
		ch.expect(t, c.what, c.told)
		if now := state(); now != whole || bans() != 8 {
			t.Errorf("without %s it was mended to:\n%s\nwant:\n%s\nand 8 bans, not %d", c.what, now, whole, bans())
		}
	}
	must(t, n.Apply(mesh()))
	if bans() != 0 {
		t.Errorf("without seats %d bans are left", bans())
	}
}

// Where nftables refuses, nobody has a seat, those neither who have one already; all
// else goes on, and when it no longer refuses they sit again.
func TestWithoutWallNobodyHasASeat(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	stop := ownTable(t, "mesh-cordon0")
	n := newNetwork(t, osnet.Config{})
	dev := open(t, n)
	must(t, n.Apply(shared()))
	wantUntied := func(when string) {
		t.Helper()
		if err := n.Untied(); err == nil || !strings.Contains(err.Error(), "cannot tell its people apart") {
			t.Errorf("%s: Untied = %v", when, err)
		}
	}
	wantUntied("without the wall")
	dev.Close() // and the machine goes on with another TUN
	open(t, n)
	must(t, n.Reapply())
	wantUntied("in another TUN")
	link, err := netlink.LinkByName("cordon0")
	must(t, err)
	if got := addresses(t, link); len(seatRules(t)) != 0 || !slices.Equal(got, []string{"100.64.0.1/32", "fd00:c0de::1/128"}) {
		t.Errorf("addresses %v, rules %v", got, seatRules(t))
	}
	if _, six := fenced(t); six != 6 {
		t.Errorf("%d rules fence three addresses in, want 6", six)
	}
	wantLeads(t, "without the wall", 0, map[netip.Addr]string{peer4: "cordon0", peer6: "cordon0"})
	stop()
	must(t, n.Reapply())
	must(t, n.Untied())
	if got := addresses(t, link); len(seatRules(t)) != 4 || len(got) != 6 {
		t.Errorf("afterwards: addresses %v, rules %v", got, seatRules(t))
	}
}

// What can be no seat is reported and left out, and the rest is done.
func TestSeatsThatCannotBe(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	for name, s := range map[string]osnet.Seat{
		"root's":                   {UID: 0, Addresses: []netip.Addr{noPeer4}},
		"nobody's":                 {UID: 1<<32 - 1, Addresses: []netip.Addr{noPeer4}},
		"there twice":              {UID: ben, Addresses: []netip.Addr{noPeer4}},
		"at the machine's address": {UID: visiting, Addresses: []netip.Addr{self4}},
		"at another's address":     {UID: visiting, Addresses: []netip.Addr{anas4}},
		"at no address":            {UID: visiting, Addresses: []netip.Addr{netip.IPv4Unspecified()}},
	} {
		w := shared()
		w.Seats = append(w.Seats, s)
		if err := n.Apply(w); err == nil {
			t.Errorf("a seat that is %s was taken", name)
		}
		if got := seatRules(t); len(got) != 4 {
			t.Errorf("with a seat that is %s there are the rules %v", name, got)
		}
	}
}
