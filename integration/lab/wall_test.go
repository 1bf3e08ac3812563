//go:build linux

package lab_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

func sitesNamed(t *testing.T, names ...string) []lab.Site {
	t.Helper()
	var sites []lab.Site
	for _, name := range names {
		s, ok := lab.FindSite(name)
		if !ok {
			t.Fatalf("no site is called %s", name)
		}
		sites = append(sites, s)
	}
	return sites
}

// reaches tells whether a word to an address is answered, of a few tries.
func reaches(t *testing.T, from *lab.Host, network string, to netip.AddrPort, ought bool) bool {
	t.Helper()
	// A first packet is lost where an address is not known to be free yet, and TCP
	// sends its next one after a second.
	return tries(t, from, network, to) || ought && tries(t, from, network, to)
}

func tries(t *testing.T, from *lab.Host, network string, to netip.AddrPort) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn, err := from.Dial(ctx, network, to)
	if err != nil {
		return false
	}
	defer conn.Close()
	buf := make([]byte, 10)
	for range 3 {
		io.WriteString(conn, "word")
		conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil {
			return string(buf[:n]) == "word"
		}
	}
	return false
}

// Each wall lets out what it says, and nobody in; each site has the families
// that it says.
func TestWallsLetOutWhatTheySay(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	sites := sitesNamed(t, "public", "outbound", "home", "no-udp", "tcp-443", "proxy", "ipv6-only", "dual-stack", "double")
	l := lab.Up(t, lab.Internet(sites...))
	hub := l.Host(lab.HubName)
	for _, port := range []uint16{443, 80} {
		for _, a := range []netip.Addr{hub.Addr4(), hub.Addr6()} {
			hub.ServeEcho(netip.AddrPortFrom(a, port))
			hub.EchoUDP(netip.AddrPortFrom(a, port))
		}
	}
	const all = "tcp 443, tcp 80, udp 443"
	for name, want := range map[string][2]string{
		"public": {all, ""}, "outbound": {all, ""}, "home": {all, ""}, "double": {all, ""}, "no-udp": {"tcp 443, tcp 80", ""}, "tcp-443": {"tcp 443", ""},
		"proxy": {"", ""}, "ipv6-only": {"", all}, "dual-stack": {all, all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, a := range []netip.Addr{hub.Addr4(), hub.Addr6()} {
				var got []string
				for _, what := range strings.Split(all, ", ") {
					var network string
					var port uint16
					fmt.Sscan(what, &network, &port)
					if reaches(t, l.Host(name), network, netip.AddrPortFrom(a, port), strings.Contains(want[i], what)) {
						got = append(got, what)
					}
				}
				if strings.Join(got, ", ") != want[i] {
					t.Errorf("gets out to %s by %q, want %q", a, got, want[i])
				}
			}
		})
	}
	t.Run("in", func(t *testing.T) {
		t.Parallel()
		for name, want := range map[string]bool{"outbound": false, "dual-stack": false, "ipv6-only": false, "public": true} {
			inner := l.Host(name).Addr6
			if s, _ := lab.FindSite(name); !s.IPv6 {
				inner = l.Host(name).Addr4
			}
			at := netip.AddrPortFrom(inner(), 9)
			l.Host(name).ServeEcho(at)
			if reaches(t, hub, "tcp", at, want) != want {
				t.Errorf("%s lets strangers in: want %v", name, want)
			}
		}
	})
}

// A proxy asks who one is, finds the lab's names, and goes to no other port. A
// machine that needs it is told of it, and of the coordinator's name.
func TestProxyIsTheOneWayOut(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	sites := sitesNamed(t, "proxy", "home")
	l := lab.Up(t, lab.Internet(sites...))
	l.ServeProxies(sites...)
	hub, node, router := l.Host(lab.HubName), l.Host("proxy"), l.Host("proxy-r")
	hub.ServeEcho(netip.AddrPortFrom(hub.Addr4(), 443))
	hub.ServeEcho(netip.AddrPortFrom(hub.Addr4(), 80))
	if out := node.MustRun("sh", "-c", "echo $HTTPS_PROXY; cat /etc/hosts"); !strings.Contains(out, "http://ward:blue%20door%407@192.168.1.1:3128") || !strings.Contains(out, lab.CoordinatorName) {
		t.Errorf("a machine behind a proxy is told %q", out)
	}
	if out := l.Host("home").MustRun("sh", "-c", "echo $HTTPS_PROXY; getent hosts "+lab.CoordinatorName); !strings.HasPrefix(out, "\n2001:db8::2") {
		t.Errorf("a machine without is told %q", out)
	}
	for _, c := range []struct {
		account, to string
		want        int
	}{
		{"ward:blue door@7", lab.CoordinatorName + ":443", http.StatusOK},
		{"ward:blue door@7", hub.Addr4().String() + ":443", http.StatusOK},
		{"ward:blue door@7", "nobody.lab:443", http.StatusBadGateway},
		{"ward:blue door@7", hub.Addr4().String() + ":80", http.StatusForbidden},
		{"ward:wrong", lab.CoordinatorName + ":443", http.StatusProxyAuthRequired},
	} {
		conn, err := node.Dial(t.Context(), "tcp", netip.AddrPortFrom(router.Addr4(), 3128))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n", c.to, c.to, base64.StdEncoding.EncodeToString([]byte(c.account)))
		buf := make([]byte, 1000)
		n, _ := conn.Read(buf)
		if !strings.HasPrefix(string(buf[:n]), fmt.Sprintf("HTTP/1.1 %d ", c.want)) {
			t.Errorf("%s to %s: %q, want %d", c.account, c.to, buf[:n], c.want)
		}
		if c.want != http.StatusOK {
			continue
		}
		io.WriteString(conn, "through")
		if n, err := io.ReadFull(conn, buf[:7]); string(buf[:n]) != "through" {
			t.Errorf("through the proxy: %q, %v", buf[:n], err)
		}
	}
}
