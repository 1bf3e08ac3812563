package planetest

import (
	"bufio"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
)

// verdicts is a table of rule sets, packets and verdicts. Its own first lines
// explain it.
//
//go:embed testdata/verdicts.txt
var verdicts string

// verdictTable sends every packet of the table through a pair, under the rules
// above it.
func verdictTable(t *testing.T, p *Pair) {
	w := newWorld(t, p)
	var rules []acl.Rule
	fresh := false
	lines := bufio.NewScanner(strings.NewReader(verdicts))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if words[0] == "rule" || words[0] == "rules" {
			if !fresh {
				rules, fresh = nil, true
			}
			if words[0] == "rule" {
				rules = append(rules, mustRule(t, n, words[1:]))
			}
			continue
		}
		if fresh {
			w.rule(rules...)
			fresh = false
		}
		w.row(n, words)
	}
}

// row is one packet with the verdict that it must get.
func (w *world) row(n int, words []string) {
	w.t.Helper()
	what := fmt.Sprintf("verdicts.txt:%d: %s", n, strings.Join(words, " "))
	packet, ends, ok := parsePacket(words)
	if !ok {
		w.t.Fatalf("%s: not a packet and a verdict", what)
	}
	from, to := w.A, w.B
	if ends[0] == B4 || ends[0] == B6 {
		from, to = w.B, w.A
	}
	switch verdict := words[len(words)-1]; verdict {
	case "pass":
		w.passes(what, from, to, packet)
	case "refuse":
		w.refused(what, from, to, packet)
	default:
		w.t.Fatalf("%s: verdict %q, want pass or refuse", what, verdict)
	}
}

// mustRule reads ID, SOURCE, ">", DESTINATION, services.
func mustRule(t *testing.T, n int, words []string) acl.Rule {
	t.Helper()
	if len(words) < 5 || words[2] != ">" {
		t.Fatalf("verdicts.txt:%d: want rule ID SOURCE > DESTINATION SERVICE...", n)
	}
	r := acl.Rule{ID: acl.RuleID(words[0]), Src: parseClasses(words[1]), Dst: parseClasses(words[3])}
	for _, s := range words[4:] {
		service, ok := parseService(s)
		if !ok {
			t.Fatalf("verdicts.txt:%d: %q is no service", n, s)
		}
		r.Open = append(r.Open, service)
	}
	return r
}

func parseClasses(word string) []acl.Class {
	switch word {
	case "a":
		return []acl.Class{classA}
	case "b":
		return []acl.Class{classB}
	case "a,b":
		return []acl.Class{classA, classB}
	}
	return nil
}

// parseService reads tcp/443, udp/53-60, 47/*.
func parseService(word string) (s acl.Service, ok bool) {
	name, ports, _ := strings.Cut(word, "/")
	if s.Protocol, ok = parseProtocol(name); !ok {
		return s, false
	}
	first, last, ranged := strings.Cut(ports, "-")
	if ports == "*" {
		first, last, ranged = "0", "65535", true
	}
	if !ranged {
		last = first
	}
	s.First, ok = parsePort(first)
	if !ok {
		return s, false
	}
	s.Last, ok = parsePort(last)
	return s, ok
}

func parseProtocol(name string) (acl.Protocol, bool) {
	switch name {
	case "tcp":
		return acl.TCP, true
	case "udp":
		return acl.UDP, true
	case "icmp":
		return acl.ICMP, true
	case "icmpv6":
		return acl.ICMPv6, true
	}
	n, err := strconv.ParseUint(name, 10, 8)
	return acl.Protocol(n), err == nil
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil
}

// parsePacket reads KIND ENDS DETAIL VERDICT.
func parsePacket(words []string) (packet []byte, ends [2]Address, ok bool) {
	if len(words) != 4 {
		return nil, ends, false
	}
	if ends, ok = parseEnds(words[1]); !ok {
		return nil, ends, false
	}
	kind, flags, _ := strings.Cut(words[0], "+")
	if proto, isOther := strings.CutPrefix(kind, "ip"); isOther {
		n, fine := parseProtocol(proto)
		port, numbered := parsePort(words[2])
		return Other(ends[0], ends[1], n, port), ends, fine && numbered
	}
	from, to, _ := strings.Cut(words[2], ">")
	src, okSrc := parsePort(from)
	dst, okDst := parsePort(to)
	switch kind {
	case "udp":
		return UDP(ends[0], ends[1], src, dst), ends, okSrc && okDst
	case "tcp":
		return TCP(ends[0], ends[1], src, dst, parseFlags(flags)), ends, okSrc && okDst
	case "echo":
		return Echo(ends[0], ends[1], src, false), ends, okSrc
	case "reply":
		return Echo(ends[0], ends[1], src, true), ends, okSrc
	}
	return nil, ends, false
}

func parseFlags(text string) (flags byte) {
	for name, bit := range map[rune]byte{'S': SYN, 'A': ACK, 'F': FIN, 'R': RST, 'P': PSH} {
		if strings.ContainsRune(text, name) {
			flags |= bit
		}
	}
	return flags
}

// parseEnds reads a4>b4, b6>a6 and so on.
func parseEnds(word string) (ends [2]Address, ok bool) {
	src, dst, ok := strings.Cut(word, ">")
	known := map[string]Address{
		"a4": A4, "a6": A6, "b4": B4, "b6": B6, "nobody4": Nobody4, "nobody6": Nobody6, "far4": Far4, "far6": Far6,
	}
	ends = [2]Address{known[src], known[dst]}
	return ends, ok && ends[0] != "" && ends[1] != ""
}
