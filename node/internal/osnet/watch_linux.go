package osnet

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch calls tell with every event: once when it begins to hold, and again when
// it has been repaired and was lost anew. It compares the machine with the last
// Apply and Open, so our own changes are no events. tell may call Open and Apply.
// Watch blocks until ctx ends, and then returns nil.
func (n *Network) Watch(ctx context.Context, tell func(Event)) error {
	sockets, err := n.follows()
	if err != nil {
		return err
	}
	told := make(map[Event]uint64) // and in which round
	first, last := true, ""
	return follow(ctx, func() error {
		found, round, err := n.inspect()
		if err != nil {
			return err
		}
		for _, e := range []Event{TunnelGone, TunnelDown, AddressLost, RouteLost, RuleLost, WallLost} {
			at, before := told[e]
			switch {
			case !found[e]:
				delete(told, e)
			case !before || at != round:
				// What is lost after a repair was lost anew, also if nobody saw it
				// whole in between: somebody who takes one thing after the other is
				// slower than we are.
				told[e] = round
				tell(e)
			}
		}
		now, err := underlay([]string{n.cfg.Name})
		if err != nil {
			return err
		}
		if !first && now != last {
			tell(UnderlayChanged)
		}
		first, last = false, now
		return nil
	}, sockets...)
}

// follows opens what tells of changes. Where there is no nftables, there is no
// news of it.
func (n *Network) follows() ([]*nl.NetlinkSocket, error) {
	routes, err := followRoutes()
	if err != nil {
		return nil, err
	}
	rules, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err == nil {
		return []*nl.NetlinkSocket{routes, rules}, nil
	}
	if n.wall.trouble.Load() == nil {
		routes.Close()
		return nil, fmt.Errorf("osnet: follow changes of nftables: %w", err)
	}
	return []*nl.NetlinkSocket{routes}, nil
}

// inspect says what is wrong now, and in which round.
func (n *Network) inspect() (wrong map[Event]bool, round uint64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wrong, err = n.wrong()
	return wrong, n.round, err
}

func (n *Network) wrong() (map[Event]bool, error) {
	wrong := map[Event]bool{WallLost: !n.wall.stands(planOf(n.cfg, n.want))}
	for _, family := range n.families() {
		there, err := n.hasRule(family)
		if err != nil {
			return nil, err
		}
		lost, err := n.banLost(family)
		if err != nil {
			return nil, err
		}
		wrong[RuleLost] = wrong[RuleLost] || !there || lost
	}
	link, err := n.link()
	if err != nil {
		return nil, err
	}
	wrong[TunnelGone] = n.index != 0 && link == nil
	if link != nil {
		if err := n.inspectLink(link, wrong); err != nil {
			return nil, err
		}
	}
	// A TUN that is gone or down has no routes, of course: said once is enough.
	if wrong[TunnelDown] {
		return wrong, nil
	}
	if wrong[RouteLost], err = n.lost(int(n.cfg.Table), n.wanted(link), n.sources()); err != nil {
		return nil, err
	}
	return wrong, n.inspectSeats(link, wrong)
}

func (n *Network) inspectLink(link netlink.Link, wrong map[Event]bool) error {
	wrong[TunnelDown] = link.Attrs().RawFlags&unix.IFF_UP == 0
	have, err := n.addresses(link)
	if err != nil {
		return err
	}
	for _, a := range n.present() {
		if is, there := have[a]; n.serves(a.Is4()) && (!there || !samePurpose(&is, n.address(a))) {
			wrong[AddressLost] = !wrong[TunnelDown]
		}
	}
	return nil
}
