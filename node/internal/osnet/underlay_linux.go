package osnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// settle is how long after news the state is looked at: changes come in showers
// (a cable pulled is a dozen messages).
const settle = 50 * time.Millisecond

// followRoutes opens a socket for the kernel's news of interfaces, addresses,
// routes and rules. It needs no rights.
func followRoutes() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("osnet: follow the kernel's network changes: %w", err)
	}
	return s, nil
}

// follow calls look once, and again after news from any of the sockets, until ctx
// ends; then it returns nil. The kernel's messages only wake it: look reads the
// state itself, so a message lost to a full buffer loses nothing, and a list that
// changed while it was read is read again. The sockets are closed.
func follow(ctx context.Context, look func() error, sockets ...*nl.NetlinkSocket) error {
	news, failed := make(chan struct{}, 1), make(chan error, len(sockets))
	var readers sync.WaitGroup
	defer readers.Wait()
	for _, s := range sockets {
		readers.Go(func() { failed <- receive(s, news) })
		defer s.Close()
	}
	for {
		if err := look(); err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("osnet: follow the kernel's network changes: %w", err)
		case <-news:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
	}
}

// receive tells news of messages until the socket is closed.
func receive(s *nl.NetlinkSocket, news chan<- struct{}) error {
	for {
		_, _, err := s.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) && !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		select {
		case news <- struct{}{}:
		default:
		}
	}
}

// WatchUnderlay calls changed after this machine's addresses or default routes
// have changed, those of the interfaces in skip (our TUNs) aside. It needs no
// rights, blocks until ctx ends, and then returns nil.
func WatchUnderlay(ctx context.Context, skip []string, changed func()) error {
	routes, err := followRoutes()
	if err != nil {
		return err
	}
	first, last := true, ""
	return follow(ctx, func() error {
		now, err := underlay(skip)
		if err != nil {
			return err
		}
		if !first && now != last {
			changed()
		}
		first, last = false, now
		return nil
	}, routes)
}

// underlay writes down what the paths to other nodes depend on.
func underlay(skip []string) (string, error) {
	c, err := ListCandidates(skip)
	if err != nil {
		return "", err
	}
	own, err := Own(skip) // a gateway keeps these out of what is behind it
	if err != nil {
		return "", err
	}
	// The kernel takes an IPv6 address for its own a moment after it was given.
	own = slices.DeleteFunc(own, func(p netip.Prefix) bool { return p.IsSingleIP() && slices.Contains(c.Addresses, p.Addr()) })
	var b strings.Builder
	fmt.Fprintln(&b, c.Addresses, own)
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		err := eachMainRoute(family, func(r netlink.Route) {
			if prefixOf(r.Dst, family).Bits() == 0 && (r.Type == unix.RTN_UNICAST) {
				fmt.Fprintln(&b, family, r.Gw, r.LinkIndex, r.Priority, r.MultiPath)
			}
		})
		if err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func eachMainRoute(family int, do func(netlink.Route)) error {
	filter := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	err := netlink.RouteListFilteredIter(family, filter, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		do(r)
		return true
	})
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("osnet: list the main routing table: %w", err)
	}
	return nil
}

// eachLocalRoute gives the networks that the main table leads to, without
// default routes: they overlap everything and collide with nothing.
func eachLocalRoute(do func(netip.Prefix, string)) error {
	names := make(map[int]string)
	ifs, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("osnet: list this machine's interfaces: %w", err)
	}
	for _, i := range ifs {
		names[i.Index] = i.Name
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		err := eachMainRoute(family, func(r netlink.Route) {
			if p := prefixOf(r.Dst, family); p.Bits() > 0 && r.Type == unix.RTN_UNICAST {
				do(p, names[r.LinkIndex])
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
