//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"time"
)

// Dependence is on what of the destination a NAT's mapping or filtering depends
// (RFC 4787 sections 4.1 and 5).
type Dependence uint8

// Dependences, in the words of RFC 4787.
const (
	EndpointIndependent Dependence = iota
	AddressDependent
	AddressAndPortDependent
)

func (d Dependence) String() string {
	switch d {
	case EndpointIndependent:
		return "endpoint-independent"
	case AddressDependent:
		return "address-dependent"
	}
	return "address- and port-dependent"
}

// NAT is a kind of translation by the kernel: what its nftables rules do to UDP
// in the terms of RFC 4787, which TestKindsOfNATAreWhatTheySay holds each to.
type NAT struct {
	Name               string
	Mapping, Filtering Dependence
	// KeepsPort says that the outer port is the inner one where that is free.
	KeepsPort bool
	// Hairpin lets hosts inside reach each other by their outer addresses.
	Hairpin bool
	// Life is how long a mapping outlives its last packet; 0: as the kernel's
	// default, 30 s, or 120 s once it was answered twice.
	Life time.Duration

	rules func(outside, inside netip.Addr) string
}

// HomeRouter is plain masquerade. The kernel gives a source that has a mapping
// the same one towards everybody (find_appropriate_src), and keeps its port if
// no other flow to the same destination has it: endpoint-independent mapping
// with port preservation and overloading. Only who was sent to gets in, by its
// very port.
func HomeRouter() NAT {
	return NAT{Name: "home router", Filtering: AddressAndPortDependent, KeepsPort: true, rules: masquerade("")}
}

// PortRange is masquerade to a range of ports, none of which Linux gives to
// sockets by itself: as [HomeRouter], with a random outer port for each source.
func PortRange() NAT {
	return NAT{Name: "port range", Filtering: AddressAndPortDependent, rules: masquerade("meta l4proto udp masquerade to :20000-29999")}
}

// Symmetric is masquerade fully-random: a port for each flow. Address- and
// port-dependent mapping and filtering, as many hospital firewalls do.
func Symmetric() NAT {
	return NAT{Name: "symmetric", Mapping: AddressAndPortDependent, Filtering: AddressAndPortDependent,
		rules: masquerade("masquerade fully-random")}
}

// ShortLived is [HomeRouter] that forgets a flow after five seconds.
func ShortLived() NAT {
	n := HomeRouter()
	n.Name, n.Life = "short-lived", 5*time.Second
	return n
}

// FullCone maps as [HomeRouter], remembers each mapping, and lets in anybody at
// its outer port: endpoint-independent filtering. It hairpins.
func FullCone() NAT {
	return NAT{Name: "full cone", KeepsPort: true, Hairpin: true, rules: remembering("", true)}
}

// AddressRestricted is [FullCone] that lets in whom some packet was sent to,
// from whatever port: address-dependent filtering. It does not hairpin.
func AddressRestricted() NAT {
	return NAT{Name: "address restricted", Filtering: AddressDependent, KeepsPort: true,
		rules: remembering("udp dport . ip saddr @spoken", false)}
}

// OneToOne gives the host inside an outer address of its own, for all ports and
// both directions, by static dnat and snat. One host can be behind it.
func OneToOne() NAT {
	return NAT{Name: "1:1", KeepsPort: true, rules: func(outside, inside netip.Addr) string {
		return fmt.Sprintf(`table ip lab_nat {
			chain in { type nat hook prerouting priority -100; iifname "eth1" ip daddr %s dnat to %s
			}
			chain out { type nat hook postrouting priority 100; oifname "eth1" snat to %s
			}
		}
		`, outside, inside, outside)
	}}
}

func masquerade(special string) func(_, _ netip.Addr) string {
	if special != "" {
		special = `oifname "eth1" ` + special
	}
	return func(_, _ netip.Addr) string {
		return fmt.Sprintf(`table ip lab_nat {
			chain out { type nat hook postrouting priority 100
				%s
				oifname "eth1" masquerade
			}
		}
		`, special)
	}
}

// remembering writes what leaves into sets, out of which what comes is let in:
// conntrack by itself knows flows, not mappings.
func remembering(only string, hairpin bool) func(outside, _ netip.Addr) string {
	return func(outside, _ netip.Addr) string {
		turn := ""
		if hairpin {
			turn = fmt.Sprintf(`iifname "eth0" oifname "eth0" ct status dnat snat to %s`, outside)
		}
		return fmt.Sprintf(`table ip lab_nat {
			map inner { type inet_service : ipv4_addr . inet_service; flags dynamic, timeout; size 65535; }
			set spoken { type inet_service . ipv4_addr; flags dynamic, timeout; size 65535; }
			chain learn { type filter hook postrouting priority 110
				ip saddr %[1]s ct direction original ct status snat udp sport 1-65535 update @inner { udp sport timeout 60s : ct original ip saddr . ct original proto-src }
				ip saddr %[1]s ct direction reply ct status dnat udp sport 1-65535 update @inner { udp sport timeout 60s : ct reply ip saddr . ct reply proto-src }
				ip saddr %[1]s udp sport 1-65535 update @spoken { udp sport . ip daddr timeout 60s }
			}
			chain in { type nat hook prerouting priority -100
				ip daddr %[1]s %[2]s dnat ip to udp dport map @inner
			}
			chain out { type nat hook postrouting priority 100
				%[3]s
				oifname "eth1" masquerade
			}
		}
		`, outside, only, turn)
	}
}

// sysctls shorten the life of flows on a router.
func (n NAT) sysctls() map[string]string {
	if n.Life == 0 {
		return nil
	}
	seconds := fmt.Sprint(int(n.Life.Seconds()))
	return map[string]string{"net/netfilter/nf_conntrack_udp_timeout": seconds, "net/netfilter/nf_conntrack_udp_timeout_stream": seconds}
}
