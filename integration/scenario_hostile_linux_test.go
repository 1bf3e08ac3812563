package integration

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/integration/lab"
)

// hostile is what a local network tells the machines on it.
type hostile struct {
	name string
	// tell makes the ward believe it; seen is in the ward's tables from then on.
	tell func(t *testing.T, s *scene, mesh []netip.Prefix)
	seen string
}

// hostiles make the machine called isp the way to the mesh, or to a peer.
func hostiles() []hostile {
	return []hostile{
		{"DHCP gives routes to the mesh (option 121)", func(t *testing.T, s *scene, mesh []netip.Prefix) {
			s.Host("ward").MustRun("sh", "-c", `ip route add 100.64.0.0/11 via 10.77.0.2 proto dhcp && ip route add 100.96.0.0/11 via 10.77.0.2 proto dhcp &&
				ip route add 0.0.0.0/1 via 10.77.0.2 proto dhcp && ip route add 128.0.0.0/1 via 10.77.0.2 proto dhcp`)
			for _, a := range append(s.at("ehr", 0), s.at("ward", 0)[0]) {
				via := map[bool]string{true: "10.77.0.2", false: "fd77::2"}[a.Addr().Is4()]
				s.Host("ward").MustRun("ip", "route", "add", a.Addr().String(), "via", via, "metric", "1", "proto", "dhcp")
			}
		}, "100.96.0.0/11 via 10.77.0.2"},
		{"a router advertises the mesh's network", advertise, "proto ra"},
		{"a neighbour takes the peer's address (ARP, ND)", func(t *testing.T, s *scene, _ []netip.Prefix) {
			mac := strings.TrimSpace(s.Host("isp").MustRun("cat", "/sys/class/net/eth0/address"))
			for _, a := range []netip.Addr{s.Host("ehr").Addr4(), s.Host("ehr").Addr6(), s.Host("hub").Addr4()} {
				s.Host("ward").MustRun("ip", "neigh", "replace", a.String(), "lladdr", mac, "dev", "eth0", "nud", "permanent")
			}
		}, "PERMANENT"},
	}
}

// advertise sends a router advertisement (RFC 4861, 4191): a default route of
// high preference, the mesh's network behind it, and its first /64 on this link,
// for the machine to give itself an address there.
func advertise(t *testing.T, s *scene, mesh []netip.Prefix) {
	six := mesh[1].Addr().AsSlice()
	b := []byte{134, 0, 0, 0, 64, 0x08, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}
	b = append(b, 24, 3, 48, 0x08)
	b = append(binary.BigEndian.AppendUint32(b, 1800), six...)
	b = append(b, 3, 4, 64, 0xc0)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 1800), 1800)
	b = append(binary.BigEndian.AppendUint32(b, 0), six...)
	s.Host("ward").MustRun("sh", "-c", "cd /proc/sys/net/ipv6/conf/eth0 && echo 2 >accept_ra && echo 64 >accept_ra_rt_info_max_plen && echo 1 >autoconf")
	err := s.Host("isp").Do(func() error {
		conn, err := net.ListenPacket("ip6:ipv6-icmp", "::") // the kernel sums it up
		if err != nil {
			return err
		}
		defer conn.Close()
		raw, err := conn.(*net.IPConn).SyscallConn()
		if err != nil {
			return err
		}
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255) })
		if err != nil {
			return err
		}
		_, err = conn.WriteTo(b, &net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: "eth0"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A34: whatever the local network tells a machine, by DHCP, by router
// advertisements or by lies of who a neighbour is, what is meant for the tunnel
// stays in it, streams go on, and who sits on the way reads nothing.
func TestHostileNetworkGetsNothingInClear_A34(t *testing.T) {
	top := office()
	i := slices.IndexFunc(top.Machines, func(m lab.Machine) bool { return m.Name == "isp" })
	top.Machines[i].Forward = true // a man in the middle carries on what it took
	s := raiseOn(t, top, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	at, streams := s.talk(t)
	mesh := []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.PrefixFrom(at[1].Addr(), 48).Masked()}
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			captures := []*lab.Capture{s.Host("ward").Capture("eth0", leaks(mesh)), s.Host("isp").Capture("eth0", leaks(mesh))}
			h.tell(t, s, mesh)
			lab.Eventually(t, patience, "the machine believes it", func() (bool, string) {
				out := s.Host("ward").MustRun("sh", "-c", "ip route; ip -6 route; ip neigh; ip -6 neigh")
				return strings.Contains(out, h.seen), out
			})
			for i, d := range streams {
				t.Logf("%s: goes on %s later", family(at[i].Addr()), d.goesOn(t, "the stream goes on").Round(time.Millisecond))
			}
			time.Sleep(quiet) // programs go on sending, and the daemon may hear of it late
			for _, c := range captures {
				if packets, err := c.Stop(); err != nil || len(packets) > 0 {
					t.Errorf("%d packets in clear on %s (%v), the first % x", len(packets), c.Where(), err, packets[:min(1, len(packets))])
				}
			}
		})
	}
	if out := s.Host("ward").MustRun("sh", "-c", "ip -6 route show proto ra; ip -6 addr show dev eth0"); !strings.Contains(out, mesh[1].String()) {
		t.Errorf("the advertisement was not believed: %s", out)
	}
	s.seesLeaks(t, mesh)
}
