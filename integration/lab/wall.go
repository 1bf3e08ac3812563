//go:build linux

package lab

// Wall is what a site's firewall lets out. What comes in unasked it always
// drops; a router without NAT is "outbound only" by that alone.
type Wall uint8

// Kinds of firewalls. All drop in silence, as those do that make trouble.
const (
	Outbound    Wall = iota // lets everything out
	UDPBlocked              // all but UDP
	TCP443Only              // TCP to port 443
	ThroughHTTP             // nothing: an HTTP proxy on the router is the only way
)

// rules are nftables text for a router whose outside is eth1. A packet that is
// dropped here leaves no flow behind. That matters to hole punching: where a
// router answers for itself, the peer's early packet would take the very flow
// that the inner host's own wants, and push that to another port.
func (w Wall) rules() string {
	out := map[Wall]string{
		UDPBlocked:  `iifname "eth0" meta l4proto udp drop`,
		TCP443Only:  `iifname "eth0" tcp dport != 443 drop` + "\n" + `iifname "eth0" meta l4proto != tcp drop`,
		ThroughHTTP: `iifname "eth0" drop`,
	}[w]
	return `table inet lab_wall {
		chain input { type filter hook input priority 0
			iifname "eth1" meta l4proto icmpv6 accept
			iifname "eth1" ct state new drop
			meta l4proto udp ct state new drop
		}
		chain forward { type filter hook forward priority 0
			` + out + `
			iifname "eth1" ct state new ct status & dnat != dnat drop
		}
	}
	`
}
