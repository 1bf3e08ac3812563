package netstack_test

import (
	"net"
	"net/netip"
	"testing"
)

// A stack knows its connections, from either end, and its ports that listen.
func TestSocketsAreFound(t *testing.T) {
	for _, to := range []netip.Addr{b4, b6} {
		l := newLink(t, 0)
		ln := listen(t, l.b, netip.AddrPortFrom(to, 104))
		served := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
			}
			served <- c
		}()
		client, err := l.a.DialContext(withPatience(t), "tcp", join(to, 104))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		defer (<-served).Close()
		here, there := netip.MustParseAddrPort(client.LocalAddr().String()), netip.AddrPortFrom(to, 104)
		stranger := netip.AddrPortFrom(here.Addr(), here.Port()^1)
		for name, ok := range map[string]bool{
			"the end that dialled":   is(true, false)(l.a.Find(here, there)),
			"the end that accepted":  is(true, false)(l.b.Find(there, here)),
			"a listener":             is(false, true)(l.b.Find(there, stranger)),
			"nothing, for others":    is(false, false)(l.a.Find(here, netip.AddrPortFrom(to, 105))),
			"nothing, at other ends": is(false, false)(l.a.Find(stranger, there)),
		} {
			if !ok {
				t.Errorf("%s: %s is not found as that", to, name)
			}
		}
	}
}

// is tells whether what was found is what was to be found.
func is(connected, listens bool) func(bool, bool) bool {
	return func(c, l bool) bool { return c == connected && l == listens }
}
