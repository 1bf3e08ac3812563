//go:build linux

package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Inject puts packets on a link of the host as they are: past its routing, its
// firewall and every check of their source. On a TUN interface they arrive at
// the program that holds it, as if an application had sent them. On an Ethernet
// link (eth0, ...) they go to the neighbour that has the address next.
func (h *Host) Inject(link string, next netip.Addr, packets ...IP) {
	h.lab.t.Helper()
	err := h.Do(func() error {
		device, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		to := unix.SockaddrLinklayer{Ifindex: device.Index}
		if len(device.HardwareAddr) == 6 {
			mac, err := h.lab.neighbour(next)
			if err != nil {
				return err
			}
			to.Halen = uint8(copy(to.Addr[:], mac))
		}
		return sendRaw(to, packets)
	})
	if err != nil {
		h.lab.t.Fatalf("inject on %s by %s: %v", h.Name, link, err)
	}
}

func sendRaw(to unix.SockaddrLinklayer, packets []IP) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	defer unix.Close(fd)
	for _, p := range packets {
		to.Protocol = networkOrder(unix.ETH_P_IP)
		if p.Dst.Is6() {
			to.Protocol = networkOrder(unix.ETH_P_IPV6)
		}
		if err := unix.Sendto(fd, p.Bytes(), 0, &to); err != nil {
			return fmt.Errorf("send %s > %s: %w", p.Src, p.Dst, err)
		}
	}
	return nil
}

// neighbour finds the hardware address of the link that has the IP address.
func (l *Lab) neighbour(ip netip.Addr) (net.HardwareAddr, error) {
	for i, m := range l.top.Machines {
		for j, link := range m.Links {
			for _, a := range link.Addresses {
				if netip.MustParsePrefix(a).Addr() == ip {
					return hardwareAddr(i, j), nil
				}
			}
		}
	}
	return nil, fmt.Errorf("no machine of the lab has the address %s", ip)
}

// networkOrder turns a number as AF_PACKET wants it: big-endian in memory.
func networkOrder(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}
