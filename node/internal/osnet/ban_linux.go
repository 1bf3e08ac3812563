package osnet

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bans are routing rules that refuse other accounts the way from a seat's address. They
// stand beneath the wall, which says more: somebody who empties nftables opens nothing
// until it is mended, and where there are no nftables nobody has the address. The kernel
// itself sends as root, also for sockets that are closed, so root is not banned.

const (
	banProtocol = 0xc7
	banOffset   = seatOffset - 1 // before what leads an account to its table
)

// banRules lists the bans of the seats that are wanted, tied or not.
func (n *Network) banRules(family int) (list []*netlink.Rule) {
	for _, s := range n.want.Seats {
		for _, a := range s.Addresses {
			if a.Is4() != (family == unix.AF_INET) {
				continue
			}
			for _, others := range []netlink.RuleUIDRange{{Start: 1, End: s.UID - 1}, {Start: s.UID + 1, End: math.MaxUint32 - 1}} {
				if others.Start > others.End {
					continue
				}
				r := netlink.NewRule()
				r.Family, r.Priority, r.Protocol, r.Table = family, n.cfg.Priority+banOffset, banProtocol, int(n.cfg.Table)
				r.Src, r.IifName, r.UIDRange, r.Type = ipNet(netip.PrefixFrom(a, a.BitLen())), "lo", &others, unix.RTN_PROHIBIT
				list = append(list, r)
			}
		}
	}
	return list
}

// setBans makes the bans what they should be, first what is missing.
func (n *Network) setBans() error {
	var errs []error
	for _, family := range n.families() {
		have, err := n.bansThere(family)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		want := n.banRules(family)
		for _, r := range want {
			if !hasBan(have, r) {
				errs = append(errs, wrapBan("add", n.nl.RuleAdd(r)))
			}
		}
		for _, h := range have {
			if !slices.ContainsFunc(want, func(r *netlink.Rule) bool { return sameBan(&h, r) }) {
				errs = append(errs, wrapBan("remove", n.dropFence(family, h)))
			}
		}
	}
	return errors.Join(errs...)
}

// banLost tells whether somebody took one away.
func (n *Network) banLost(family int) (bool, error) {
	have, err := n.bansThere(family)
	return slices.ContainsFunc(n.banRules(family), func(r *netlink.Rule) bool { return !hasBan(have, r) }), err
}

func (n *Network) bansThere(family int) (ours []netlink.Rule, err error) {
	list, err := n.nl.RuleList(family)
	if err != nil {
		return nil, wrapBan("list", err)
	}
	for _, r := range list {
		if r.Protocol == banProtocol && r.Table == int(n.cfg.Table) {
			ours = append(ours, r)
		}
	}
	return ours, nil
}

func hasBan(have []netlink.Rule, r *netlink.Rule) bool {
	return slices.ContainsFunc(have, func(h netlink.Rule) bool { return sameBan(&h, r) })
}

func sameBan(a, b *netlink.Rule) bool {
	return sameRule(a, b) && a.UIDRange != nil && *a.UIDRange == *b.UIDRange
}

func wrapBan(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("osnet: %s a routing rule that bans others from a seat: %w%s", doing, err, hint(err))
}
