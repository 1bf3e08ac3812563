package node_test

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/node"
)

// FuzzParseForward takes a flag. What is taken reads the same when it is
// written out, and Validate, which sees it next, lets nothing pass that has no
// port.
func FuzzParseForward(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		got, err := node.ParseForward(text)
		if err != nil {
			if got != (node.Forward{}) {
				t.Fatalf("%+v with error %v", got, err)
			}
			return
		}
		if again, err := node.ParseForward(got.Listen + "=" + got.Target); err != nil || again != got {
			t.Fatalf("%q reads as %+v, and that as %+v, %v", text, got, again, err)
		}
		c := node.Config{StateDir: "x", Userspace: true, Forwards: []node.Forward{got}}
		if c.Validate() == nil {
			hasPort(t, got.Listen, 0)
			hasPort(t, got.Target, 1)
		}
	})
}

// FuzzParseExpose is the same for the other direction.
func FuzzParseExpose(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		got, err := node.ParseExpose(text)
		if err != nil {
			if got != (node.Expose{}) {
				t.Fatalf("%+v with error %v", got, err)
			}
			return
		}
		if got.Port == 0 {
			t.Fatalf("%q exposes port 0", text)
		}
		if again, err := node.ParseExpose(fmt.Sprintf("%d=%s", got.Port, got.Target)); err != nil || again != got {
			t.Fatalf("%q reads as %+v, and that as %+v, %v", text, got, again, err)
		}
		c := node.Config{StateDir: "x", Userspace: true, Exposes: []node.Expose{got}}
		if c.Validate() == nil {
			hasPort(t, got.Target, 1)
		}
		c.Exposes = append(c.Exposes, got)
		if c.Validate() == nil {
			t.Fatalf("port %d is exposed twice", got.Port)
		}
	})
}

func hasPort(t *testing.T, address string, least int) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("%q passes: %v", address, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < least || n > 65535 {
		t.Fatalf("%q passes with port %q", address, port)
	}
}

// FuzzConfig takes the rest of a daemon's flags. Nothing passes that would open
// a door without saying so, carry others' traffic to this machine itself, or
// send everything through a node.
func FuzzConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, dir, name, socks, advertise string, mtu int, userspace bool) {
		c := node.Config{StateDir: dir, Interface: name, MTU: mtu, Userspace: userspace, SOCKS5: socks}
		if advertise != "" {
			p, err := netip.ParsePrefix(advertise)
			if err != nil {
				return // the command refuses what does not parse
			}
			c.Advertise = []netip.Prefix{p}
		}
		if c.Validate() != nil {
			return
		}
		if dir == "" || len(name) > 15 || strings.ContainsAny(name, "/ \t\n") || mtu != 0 && (mtu < 1280 || mtu > 9000) {
			t.Fatalf("%+v passes", c)
		}
		if !userspace && socks != "" || userspace && len(c.Advertise) > 0 {
			t.Fatalf("%+v passes", c)
		}
		if socks != "" {
			hasPort(t, socks, 0)
		}
		for _, p := range c.Advertise {
			if a := p.Addr(); p != p.Masked() || p.Bits() == 0 || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.Is4In6() {
				t.Fatalf("prefix %s passes", p)
			}
		}
	})
}
