package query_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// policyFile is the policy as it is written.
type policyFile struct {
	Groups        map[string][]string `json:"groups,omitempty"`
	Hosts         map[string]string   `json:"hosts,omitempty"`
	IPSets        map[string][]string `json:"ipsets,omitempty"`
	TagOwners     map[string][]string `json:"tagOwners,omitempty"`
	Postures      map[string][]string `json:"postures,omitempty"`
	EachPosture   []string            `json:"defaultSrcPosture,omitempty"`
	Segments      map[string]segment  `json:"segments,omitempty"`
	Forbid        []forbid            `json:"forbid,omitempty"`
	ACLs          []acl               `json:"acls,omitempty"`
	Grants        []grant             `json:"grants,omitempty"`
	SSH           []sshRule           `json:"ssh,omitempty"`
	NodeAttrs     []nodeAttr          `json:"nodeAttrs,omitempty"`
	AutoApprovers *approvers          `json:"autoApprovers,omitempty"`
	Tests         []policyTest        `json:"tests,omitempty"`
	SSHTests      []sshTest           `json:"sshTests,omitempty"`
}

type acl struct {
	Action     string   `json:"action"`
	Proto      string   `json:"proto,omitempty"`
	Src        []string `json:"src"`
	Dst        []string `json:"dst"`
	SrcPosture []string `json:"srcPosture,omitempty"`
}

type grant struct {
	Src        []string         `json:"src"`
	Dst        []string         `json:"dst"`
	IP         []string         `json:"ip,omitempty"`
	App        map[string][]any `json:"app,omitempty"`
	Via        []string         `json:"via,omitempty"`
	SrcPosture []string         `json:"srcPosture,omitempty"`
}

type sshRule struct {
	Action      string   `json:"action"`
	Src         []string `json:"src,omitempty"`
	Dst         []string `json:"dst,omitempty"`
	Users       []string `json:"users,omitempty"`
	CheckPeriod *string  `json:"checkPeriod,omitempty"`
	AcceptEnv   []string `json:"acceptEnv,omitempty"`
	SrcPosture  []string `json:"srcPosture,omitempty"`
}

type nodeAttr struct {
	Target []string `json:"target"`
	Attr   []string `json:"attr"`
}

type approvers struct {
	Routes   map[netip.Prefix][]string `json:"routes,omitempty"`
	ExitNode []string                  `json:"exitNode,omitempty"`
}

type policyTest struct {
	Src    string   `json:"src"`
	Proto  string   `json:"proto,omitempty"`
	Accept []string `json:"accept,omitempty"`
	Deny   []string `json:"deny,omitempty"`
}

type sshTest struct {
	Src    string   `json:"src"`
	Dst    []string `json:"dst"`
	Accept []string `json:"accept,omitempty"`
	Check  []string `json:"check,omitempty"`
	Deny   []string `json:"deny,omitempty"`
}

// service is some ports of some protocols.
type service struct {
	protos []int
	lo, hi int
}

const (
	protoICMP, protoTCP, protoUDP, protoGRE, protoICMPv6, protoSCTP = 1, 6, 17, 47, 58, 132
	lastPort                                                        = 65535
)

func hasPorts(proto int) bool {
	return proto == protoTCP || proto == protoUDP || proto == protoSCTP
}

// passes says whether the first packet of a flow that is no ping is of the service.
func (s service) passes(proto, port int) bool {
	for _, p := range s.protos {
		if p == proto && hasPorts(proto) && s.lo <= port && port <= s.hi {
			return true
		}
		if p == proto && !hasPorts(proto) && s.lo == 0 && s.hi == lastPort {
			return true
		}
	}
	return false
}

func protoNames() map[string]int {
	return map[string]int{"tcp": protoTCP, "udp": protoUDP, "sctp": protoSCTP, "icmp": protoICMP, "icmpv4": protoICMP, "icmpv6": protoICMPv6, "dccp": 33, "gre": protoGRE,
		"igmp": 2, "ipv4": 4, "ip-in-ip": 4, "egp": 8, "igp": 9, "esp": 50, "ah": 51}
}

// parseProto reads a protocol's name or number; none is the default list.
func parseProto(text string) ([]int, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return []int{protoTCP, protoUDP, protoICMP, protoICMPv6}, nil
	}
	if n, ok := protoNames()[strings.ToLower(text)]; ok {
		return []int{n}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 255 || strconv.Itoa(n) != text {
		return nil, fmt.Errorf("proto %q is not known", text)
	}
	return []int{n}, nil
}

// parseServices reads a list of ports of some protocols.
func parseServices(protos []int, ports string) ([]service, error) {
	var out []service
	for one := range strings.SplitSeq(ports, ",") {
		if one == "*" {
			out = append(out, service{protos, 0, lastPort})
			continue
		}
		for _, p := range protos {
			if len(protos) == 1 && !hasPorts(p) {
				return nil, fmt.Errorf("port range %q: the protocol has no ports", one)
			}
		}
		first, last, ranged := strings.Cut(one, "-")
		lo, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("port range %q: invalid first integer", one)
		}
		hi := lo
		if ranged {
			if hi, err = strconv.Atoi(last); err != nil {
				return nil, fmt.Errorf("port range %q: invalid last integer", one)
			}
		}
		if lo == 0 {
			return nil, fmt.Errorf("port range %q: first port must be >0, or use '*' for wildcard", one)
		}
		if lo < 0 || hi > lastPort || hi < lo {
			return nil, fmt.Errorf("port range %q: out of range", one)
		}
		out = append(out, service{protos, lo, hi})
	}
	return out, nil
}

// parseIP reads an entry of a grant's ip: "*", ports, or protocol:ports.
func parseIP(text string) ([]service, error) {
	proto, ports, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok {
		proto, ports = "", proto
	}
	protos, err := parseProto(strings.TrimPrefix(proto, "*"))
	if err != nil {
		return nil, err
	}
	return parseServices(protos, ports)
}

// splitDst splits an acl's destination into alias and ports: "alias:ports",
// "[v6]:ports", "[v6]/length:ports".
func splitDst(text string) (alias, ports string, err error) {
	text = strings.TrimSpace(text)
	at := strings.LastIndex(text, ":")
	if at < 0 {
		return "", "", fmt.Errorf("dst=%q: no ports", text)
	}
	alias, ports = text[:at], text[at+1:]
	if inner, ok := strings.CutPrefix(alias, "["); ok {
		addr, length, closed := strings.Cut(inner, "]")
		if a, bad := netip.ParseAddr(addr); bad != nil || !closed || !a.Is6() {
			return "", "", errors.Join(fmt.Errorf("dst=%q: no IPv6 address in brackets", text), bad)
		}
		alias = addr + length
	}
	return alias, ports, nil
}
