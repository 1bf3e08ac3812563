package osnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Seats stand on two legs. A rule for its uid leads an account to a routing table of
// its own, whose routes name its addresses as the source: so its programs speak with
// them without knowing. That is a convenience, which any program can do without by
// choosing its address; the wall is what holds others to theirs (see tie). Without it
// there are no seats.

const (
	seatProtocol = 0xc6 // says whose these rules are, beside fenceProtocol
	seatOffset   = -3   // from our rule's priority: before it, and before the fence
)

// seated are the seats that this machine can keep apart.
func (n *Network) seated() []Seat {
	if n.wall.trouble.Load() != nil {
		return nil
	}
	return n.want.Seats
}

// Untied says why seats that the last Apply wanted are not there; nil if they are. The
// rest of the network is not to wait for them.
func (n *Network) Untied() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.want.Seats) == len(n.seated()) {
		return nil
	}
	return fmt.Errorf("osnet: this machine cannot tell its people apart, so none of them has an address: %w", n.Unwalled())
}

// present are the addresses that the TUN has as long as the wall is as it is.
func (n *Network) present() []netip.Addr {
	w := Want{Addresses: n.want.Addresses, Seats: n.seated()}
	return w.all()
}

// seatTable numbers the table of a slot, from 0. Its upper byte is none of the
// defaults' of any mesh, the rest is this mesh's.
func (n *Network) seatTable(slot int) int { return (slot+1)<<24 | int(n.cfg.Table)&0xff_ff_ff }

func (n *Network) isSeatTable(table int) bool {
	return table>>24 >= 1 && table>>24 <= MaxSeats && table&0xff_ff_ff == int(n.cfg.Table)&0xff_ff_ff && table != int(n.cfg.Table)
}

// place gives each seat a slot, which it keeps.
func (n *Network) place(seats []Seat) {
	kept := make(map[uint32]int)
	var taken [MaxSeats + 1]bool
	for _, s := range seats {
		if slot, ok := n.slots[s.UID]; ok {
			kept[s.UID], taken[slot] = slot, true
		}
	}
	for _, s := range seats {
		if _, ok := kept[s.UID]; ok {
			continue
		}
		slot := slices.Index(taken[:], false)
		kept[s.UID], taken[slot] = slot, true
	}
	n.slots = kept
}

// setSeats makes rules and tables of seats what they should be: a table stands before
// a rule leads to it, and goes after it.
func (n *Network) setSeats(link netlink.Link) error {
	seats := n.seated()
	n.place(seats)
	var errs []error
	for _, s := range seats {
		errs = append(errs, n.setTable(n.seatTable(n.slots[s.UID]), n.wantedAt(s, link), s.Addresses))
	}
	for _, family := range n.families() {
		errs = append(errs, n.setSeatRules(family))
	}
	return errors.Join(errs...)
}

// wantedAt lists what a seat's table holds. What finds nothing there goes on to the
// machine's own, which refuses.
func (n *Network) wantedAt(s Seat, link netlink.Link) (list []entry) {
	for _, e := range n.wanted(link) {
		if e.kind != unix.RTN_UNREACHABLE && source(e.prefix.Addr().Is4(), s.Addresses).IsValid() {
			list = append(list, e)
		}
	}
	return list
}

func (n *Network) setSeatRules(family int) error {
	have, err := n.seatRulesThere(family)
	if err != nil {
		return err
	}
	want := n.seatRules(family)
	var errs []error
	for _, r := range want {
		if !slices.ContainsFunc(have, func(h netlink.Rule) bool { return sameSeat(&h, r) }) {
			errs = append(errs, wrapSeat("add", n.nl.RuleAdd(r)))
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(want, func(r *netlink.Rule) bool { return sameSeat(&h, r) }) {
			errs = append(errs, wrapSeat("remove", n.dropFence(family, h)))
			if !slices.ContainsFunc(want, func(r *netlink.Rule) bool { return h.Table == r.Table }) {
				errs = append(errs, n.setTable(h.Table, nil, nil))
			}
		}
	}
	return errors.Join(errs...)
}

// seatRules lists the rules of the seats that have an address of the family.
func (n *Network) seatRules(family int) (list []*netlink.Rule) {
	for _, s := range n.seated() {
		if !source(family == unix.AF_INET, s.Addresses).IsValid() {
			continue
		}
		r := netlink.NewRule()
		r.Family, r.Priority, r.Protocol = family, n.cfg.Priority+seatOffset, seatProtocol
		r.Table, r.UIDRange = n.seatTable(n.slots[s.UID]), netlink.NewRuleUIDRange(s.UID, s.UID)
		list = append(list, r)
	}
	return list
}

func (n *Network) seatRulesThere(family int) (ours []netlink.Rule, err error) {
	list, err := n.nl.RuleList(family)
	if err != nil {
		return nil, wrapSeat("list", err)
	}
	for _, r := range list {
		if r.Protocol == seatProtocol && n.isSeatTable(r.Table) {
			ours = append(ours, r)
		}
	}
	return ours, nil
}

func sameSeat(a, b *netlink.Rule) bool {
	return a.Table == b.Table && a.Priority == b.Priority && a.UIDRange != nil && *a.UIDRange == *b.UIDRange
}

// inspectSeats looks for rules and routes of seats that somebody took away.
func (n *Network) inspectSeats(link netlink.Link, wrong map[Event]bool) error {
	for _, family := range n.families() {
		have, err := n.seatRulesThere(family)
		if err != nil {
			return err
		}
		for _, r := range n.seatRules(family) {
			if !slices.ContainsFunc(have, func(h netlink.Rule) bool { return sameSeat(&h, r) }) {
				wrong[RuleLost] = true
			}
		}
	}
	for _, s := range n.seated() {
		if lost, err := n.lost(n.seatTable(n.slots[s.UID]), n.wantedAt(s, link), s.Addresses); err != nil || lost {
			wrong[RouteLost] = true
			return err
		}
	}
	return nil
}

func wrapSeat(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("osnet: %s a routing rule of an account: %w%s", doing, err, hint(err))
}
