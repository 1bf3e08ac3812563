package osnet_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// letterFrom opens a socket that sends datagrams from an address; it is closed with the
// test, by whomever.
func letterFrom(t *testing.T, from netip.Addr) (*net.UDPConn, error) {
	c, err := dial("udp", from, from.Is4())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn), nil
}

// A socket is of the account that opened it, whoever has it now: by a child that became
// another account, by a message from one program to another, or since root gave the file
// away. Nobody becomes somebody by what they are handed; who hands theirs on lends their
// seat, until it ends.
func TestSocketIsOfWhoOpenedIt_A41(t *testing.T) {
	if !rooted(t) {
		return
	}
	w := newWard(t)
	unban(t) // the wall alone
	for _, from := range []netip.Addr{anas4, anas6} {
		var anas, bens *net.UDPConn
		w.as(t, ana, func() (err error) { anas, err = letterFrom(t, from); return err })
		w.as(t, ben, func() (err error) { bens, err = letterFrom(t, from); return err })
		raw, err := bens.SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) { err = unix.Fchown(int(fd), ana, ana) }))
		must(t, err)
		w.as(t, ana, func() error {
			if _, err := io.WriteString(bens, "I am ana, by ben's"); !errors.Is(err, syscall.EPERM) {
				t.Errorf("ben's socket that ana was handed sends from %s: %v, want that it is not permitted", from, err)
			}
			return nil
		})
		w.as(t, ben, func() error { _, err := io.WriteString(anas, "lent"); return err })
		if got := w.heard(t); got.words != "lent" || got.from != from {
			t.Errorf("ana's socket that ben was handed is heard as %+v", got)
		}
	}
	w.silent(t, "by a socket that was handed on")
}
