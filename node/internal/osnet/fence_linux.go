package osnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The fence is made of routing rules around ours. It keeps what a gateway's
// kernel forwards to what the gateway is for:
//
//   - Nothing enters the mesh under this node's own address unless this machine
//     sent it. A device behind could else speak as its gateway. IPv4 needs no rule:
//     the kernel takes an own address from outside for a Martian (RFC 1812,
//     section 5.3.7), and has no such check for IPv6.
//   - An interface that forwards because EnableForwarding made it so leads into
//     the mesh and nowhere else: two networks that a gateway is in are not joined
//     by it. Where forwarding was on already, the machine is a router on purpose.
type fence struct {
	four []string // interfaces that forward IPv4 for us alone
	six  bool     // the machine forwards IPv6 for us alone
}

// fenceProtocol says whose rules these are (RTPROT values of 192 and above are
// not given out).
const fenceProtocol = 0xc5

// Actions of a rule (FR_ACT_ in linux/fib_rules.h).
const (
	actionNothing = 3
	actionDrop    = unix.RTN_BLACKHOLE
)

// fenceRules lists the rules of a family, by where they stand around ours.
func (n *Network) fenceRules(family int) []*netlink.Rule {
	var list []*netlink.Rule
	add := func(offset int, change func(*netlink.Rule)) {
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table, r.Protocol = family, n.cfg.Priority+offset, int(n.cfg.Table), fenceProtocol
		change(r)
		list = append(list, r)
	}
	if family == unix.AF_INET {
		for _, name := range n.fence.four {
			add(1, func(r *netlink.Rule) { r.IifName, r.Type = name, actionDrop })
		}
		return list
	}
	for _, a := range n.want.all() { // also what the TUN lacks while nobody is tied
		if a.Is6() {
			own := ipNet(netip.PrefixFrom(a, a.BitLen()))
			add(-2, func(r *netlink.Rule) { r.Src, r.IifName, r.Goto = own, "lo", n.cfg.Priority })
			add(-1, func(r *netlink.Rule) { r.Src, r.Type = own, actionDrop })
		}
	}
	if n.fence.six {
		add(4, func(r *netlink.Rule) { r.Type = actionNothing })
		for _, name := range []string{"lo", n.cfg.Name} {
			add(1, func(r *netlink.Rule) { r.IifName, r.Goto = name, n.cfg.Priority+4 })
		}
		add(3, func(r *netlink.Rule) { r.Type = actionDrop })
	}
	return list
}

// setFence makes the fence what it should be: first what lets pass and what is
// missing, then away with what is too much.
func (n *Network) setFence() error {
	var errs []error
	for _, family := range n.families() {
		have, err := n.fenceThere(family)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		want := n.fenceRules(family)
		for _, r := range want {
			if !slices.ContainsFunc(have, func(h netlink.Rule) bool { return sameRule(&h, r) }) {
				errs = append(errs, wrapFence("add", n.nl.RuleAdd(r)))
			}
		}
		for _, h := range have {
			if !slices.ContainsFunc(want, func(r *netlink.Rule) bool { return sameRule(&h, r) }) {
				errs = append(errs, wrapFence("remove", n.dropFence(family, h)))
			}
		}
	}
	return errors.Join(errs...)
}

func (n *Network) dropFence(family int, r netlink.Rule) error {
	r.Family = family
	if err := n.nl.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

func (n *Network) fenceThere(family int) (ours []netlink.Rule, err error) {
	list, err := n.nl.RuleList(family)
	if err != nil {
		return nil, wrapFence("list", err)
	}
	for _, r := range list {
		if r.Protocol == fenceProtocol && r.Table == int(n.cfg.Table) {
			ours = append(ours, r)
		}
	}
	return ours, nil
}

// adoptFence takes over what a killed daemon fenced: that its interfaces did not
// forward before is known from there alone.
func (n *Network) adoptFence() error {
	four, err := n.fenceThere(unix.AF_INET)
	if err != nil {
		return err
	}
	for _, r := range four {
		n.fence.four = appendNew(n.fence.four, r.IifName)
	}
	if !n.six {
		return nil
	}
	six, err := n.fenceThere(unix.AF_INET6)
	n.fence.six = slices.ContainsFunc(six, func(r netlink.Rule) bool { return r.Priority == n.cfg.Priority+3 })
	return err
}

func (n *Network) removeFence() error {
	n.fence = fence{}
	return n.setFence()
}

func sameRule(a, b *netlink.Rule) bool {
	src := func(r *netlink.Rule) string {
		if r.Src == nil {
			return ""
		}
		return r.Src.String()
	}
	return a.Priority == b.Priority && a.IifName == b.IifName && src(a) == src(b)
}

func wrapFence(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("osnet: %s a rule that fences the gateway in: %w%s", doing, err, hint(err))
}
