//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// PortMaps is by which protocols a router can be asked to let a port in.
type PortMaps uint8

// TakenPort is the UDP port at which a router with [PortMaps] is a tunnel's end of
// its own. Who asks for it is given another one, and a peer that takes the inner
// port for the outer one meets the router.
const TakenPort = 51820

// Kinds of routers. Whoever asks may have a port that leads to itself, and none
// below 1024.
const (
	NoPortMaps PortMaps = iota
	MapsByPCP           // PCP, and NAT-PMP at the same port
	MapsByUPnP          // UPnP IGD
)

// rules are nftables text: the chains that miniupnpd fills, and a door to it in
// the wall. What it maps passes the wall as a flow with dnat.
func (p PortMaps) rules() string {
	if p == NoPortMaps {
		return ""
	}
	return `table inet lab_maps {
		chain opened { }
		chain passed { }
		chain left { }
		chain in { type nat hook prerouting priority -101; jump opened; }
	}
	insert rule inet lab_wall input iifname "eth0" udp dport { 1900, 5351 } accept
	`
}

// config is miniupnpd's.
func (p PortMaps) config(lan netip.Prefix) string {
	yes := map[bool]string{true: "yes", false: "no"}
	return fmt.Sprintf(`ext_ifname=eth1
listening_ip=eth0
ipv6_disable=yes
enable_natpmp=%s
enable_upnp=%s
secure_mode=yes
upnp_table_name=lab_maps
upnp_nat_table_name=lab_maps
upnp_nat_chain=opened
upnp_forward_chain=passed
upnp_nat_postrouting_chain=left
allow 1024-65535 %s 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, yes[p == MapsByPCP], yes[p == MapsByUPnP], lan.Masked())
}

// ServePortMaps starts miniupnpd, which much of what is sold as a home router
// runs, on the routers of the sites that want it.
func (l *Lab) ServePortMaps(sites ...Site) {
	l.t.Helper()
	for _, s := range sites {
		if s.Maps != NoPortMaps {
			l.Host(s.Name + "-r").servePortMaps(s.Maps)
		}
	}
}

func (h *Host) servePortMaps(p PortMaps) {
	t := h.lab.t
	t.Helper()
	program, err := exec.LookPath("miniupnpd")
	if err != nil {
		t.Fatalf("miniupnpd, which `make deps` installs: %v", err)
	}
	dir := h.lab.Dir(h.Name + "-maps")
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte(p.config(netip.MustParsePrefix(h.machine.Links[0].Addresses[0]))), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	h.ListenUDP(netip.AddrPortFrom(h.OuterAddr4(), TakenPort))
	h.Start("miniupnpd", program, "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))
}

// dnat is a rule of miniupnpd's as nft shows it.
var dnat = regexp.MustCompile(`dport (\d+) .*dnat ip to ([0-9.]+:\d+)`)

// OpenedPorts gives what a router with [PortMaps] lets in now: by its outer
// address and port, to whom that leads.
func (h *Host) OpenedPorts() map[netip.AddrPort]netip.AddrPort {
	h.lab.t.Helper()
	opened := map[netip.AddrPort]netip.AddrPort{}
	for _, m := range dnat.FindAllStringSubmatch(h.MustRun("nft", "list", "chain", "inet", "lab_maps", "opened"), -1) {
		outer, err := netip.ParseAddrPort(h.OuterAddr4().String() + ":" + m[1])
		if err != nil {
			h.lab.t.Fatalf("%v", err)
		}
		opened[outer] = netip.MustParseAddrPort(m[2])
	}
	return opened
}
