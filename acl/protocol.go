package acl

import (
	"fmt"
	"strconv"
	"strings"
)

// Protocol is an IP protocol number (the IPv4 protocol or the IPv6 next header).
type Protocol uint8

// The protocols that rules open by default, and those that a filter parses.
const (
	ICMP   Protocol = 1
	TCP    Protocol = 6
	UDP    Protocol = 17
	ICMPv6 Protocol = 58
	SCTP   Protocol = 132
)

// HasPorts tells whether a protocol's segments have ports that a filter reads.
func (p Protocol) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// Name is what people call a protocol; empty if that is a number.
func (p Protocol) Name() string {
	switch p {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	}
	return ""
}

// ParseProtocol reads the protocol that somebody asks about: a name, or a number.
// Who names none means TCP.
func ParseProtocol(text string) (Protocol, error) {
	switch strings.ToLower(text) {
	case "", "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	case "icmp":
		return ICMP, nil
	case "icmpv6", "ipv6-icmp":
		return ICMPv6, nil
	case "sctp":
		return SCTP, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol %q: want tcp, udp, icmp, icmpv6, sctp or a number up to 255", text)
	}
	return Protocol(n), nil
}
