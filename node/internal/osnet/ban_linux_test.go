package osnet_test

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// unowned sends a datagram from an IPv6 address that the machine need not have.
func unowned(from netip.Addr, words string) error {
	const freebind = 78 // IPV6_FREEBIND of linux/in6.h
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, freebind, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: from.As16()}); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte(words), 0, &unix.SockaddrInet6{Port: 5000, Addr: peer6.As16()})
}

// unban takes the bans away, so that the wall stands alone.
func unban(t *testing.T) {
	t.Helper()
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := netlink.RuleList(family)
		must(t, err)
		for _, r := range list {
			if r.Protocol == 0xc7 {
				r.Family = family
				must(t, netlink.RuleDel(&r))
			}
		}
	}
}

// Somebody who empties nftables makes nobody anybody, neither before the wall is mended
// nor where it cannot be; and people's own packets pass all the while.
func TestWithoutWallNobodyIsAnybody(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	nobodyElse := func(when string) {
		t.Helper()
		for _, uid := range []int{1, ben, visiting} {
			w.as(t, uid, func() error {
				if err := says("udp", anas4, true, "I am ana"); err == nil {
					t.Errorf("%s: account %d sends from %s", when, uid, anas4)
				}
				if err := unowned(anas6, "I am ana"); !errors.Is(err, syscall.EACCES) {
					t.Errorf("%s: account %d sends from %s: %v", when, uid, anas6, err)
				}
				return nil
			})
		}
		w.silent(t, when)
	}
	nft(t, "delete table inet mesh-cordon0")
	nobodyElse("before it is mended")
	words := strings.Repeat("x", 60_000)
	for _, is4 := range []bool{true, false} {
		w.asleep.Lock()
		w.as(t, ana, func() error { // and closes the socket before the peer reads
			c, err := dial("tcp", netip.Addr{}, is4)
			if err != nil {
				return err
			}
			_, err = io.WriteString(c, words)
			return errors.Join(err, c.Close())
		})
		w.asleep.Unlock()
		if got := w.heard(t); got.words != words || got.from != anas4 && got.from != anas6 {
			t.Errorf("%d bytes of ana's came from %s", len(got.words), got.from)
		}
	}
	w.as(t, 0, func() error { return says("udp", anas4, true, "the kernel's") }) // for sockets that are closed
	if got := w.heard(t); got.from != anas4 {
		t.Errorf("what root sends comes as %+v", got)
	}
	stop := ownTable(t, "mesh-cordon0")
	defer stop()
	must(t, w.Reapply())
	if w.Untied() == nil {
		t.Error("the wall stands")
	}
	nobodyElse("where it cannot be mended")
}
