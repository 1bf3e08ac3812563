package query_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// checkTests runs the policy's own tests, if there are nodes to run them on.
func (w *world) checkTests() error {
	failed := false
	for _, test := range w.policy.Tests {
		if len(test.Accept)+len(test.Deny) == 0 {
			return errors.New("test(s) failed: a test has neither accept nor deny")
		}
		for _, text := range slices.Concat(test.Accept, test.Deny) {
			if err := w.checkTarget(text); err != nil {
				return fmt.Errorf("test(s) failed: %w", err)
			}
		}
		if strings.TrimSpace(test.Src) == "*" {
			return errors.New("test(s) failed: src=*")
		}
		if err := w.known(strings.TrimSpace(test.Src)); err != nil {
			return fmt.Errorf("test(s) failed: src=%w", err)
		}
		failed = failed || !w.holds(test)
	}
	for _, test := range w.policy.SSHTests {
		if kind, _, _ := strings.Cut(strings.TrimSpace(test.Src), ":"); kind == "autogroup" || kind == "user" {
			return fmt.Errorf("SSH tests src contains disallowed element %q", test.Src)
		}
		failed = failed || !w.sshHolds(test)
	}
	if failed && len(w.Nodes) > 0 {
		return errors.New("test(s) failed")
	}
	return nil
}

// checkTarget: a test's destination is one host and one port.
func (w *world) checkTarget(text string) error {
	alias, ports, err := splitDst(text)
	if err != nil {
		return err
	}
	services, err := parseServices([]int{protoTCP}, ports)
	if err != nil {
		return err
	}
	if len(services) != 1 || services[0].lo != services[0].hi {
		return fmt.Errorf("%q: one port", text)
	}
	if value, ok := w.policy.Hosts[alias]; ok {
		alias = value
	}
	if strings.Contains(alias, "/") || alias == "*" {
		return fmt.Errorf("%q: one host", text)
	}
	return w.checkDestination(alias)
}

// holds says whether a test passes: accept from every source device to some
// destination device, deny from none to any.
func (w *world) holds(test policyTest) bool {
	protos, err := parseProto(test.Proto)
	if test.Proto == "" {
		protos = []int{protoTCP, protoUDP}
	}
	if err != nil || test.Proto != "" && !hasPorts(protos[0]) {
		return false
	}
	for _, text := range test.Accept {
		if yes, ok := w.opened(test, text, protos, true); !ok || !yes {
			return false
		}
	}
	for _, text := range test.Deny {
		if yes, ok := w.opened(test, text, protos, false); !ok || yes {
			return false
		}
	}
	return true
}

// sshHolds says whether each login is treated as an sshTest says, from every
// source device to every destination device.
func (w *world) sshHolds(test sshTest) bool {
	for letter, logins := range map[string][]string{"a": test.Accept, "c": test.Check, "-": test.Deny} {
		for _, login := range logins {
			for _, alias := range append(trim(test.Dst), strings.TrimSpace(test.Src)) {
				if joined := w.joined(alias); len(w.testEnds(alias)) == 0 && len(joined.testEnds(alias)) > 0 {
					return joined.sshHolds(test)
				}
			}
			for _, alias := range append(trim(test.Dst), strings.TrimSpace(test.Src)) {
				if _, literal := w.literal(alias); literal && len(w.devicesOf(alias)) == 0 && letter != "-" {
					return false
				}
			}
			for _, from := range w.devicesOf(strings.TrimSpace(test.Src)) {
				for _, dst := range trim(test.Dst) {
					for _, to := range w.devicesOf(dst) {
						if w.sshOne(to, from, login) != letter {
							return false
						}
					}
				}
			}
		}
	}
	return true
}

// devicesOf are the nodes that a name of a test stands for.
func (w *world) devicesOf(alias string) []*device {
	var out []*device
	for _, e := range w.testEnds(alias) {
		if e.self != nil {
			out = append(out, e.self)
		}
	}
	return out
}

// testEnd is what a name of a test stands for: a node, or an address.
type testEnd struct {
	at    *device // who judges, for a destination; nil for an address that nobody answers for
	self  *device // the node itself; nil for an address
	addrs []netip.Addr
}

// opened says whether every source (or any) is let in at some destination. A
// name without devices gives what the test wants; ok is false for a
// destination that no test may have.
func (w *world) opened(test policyTest, text string, protos []int, every bool) (yes, ok bool) {
	alias, ports, _ := splitDst(text)
	services, _ := parseServices([]int{protoTCP}, ports)
	sources := w.testEnds(strings.TrimSpace(test.Src))
	for _, end := range []string{strings.TrimSpace(test.Src), alias} {
		if joined := w.joined(end); len(w.testEnds(end)) == 0 && len(joined.testEnds(end)) > 0 {
			return joined.opened(test, text, protos, every)
		}
	}
	self := alias == "autogroup:self"
	foreign := func(e testEnd) bool { return e.self == nil || e.self.tagged() }
	if alias == "autogroup:internet" || self && slices.ContainsFunc(sources, foreign) {
		return false, false
	}
	count := 0
	for _, from := range sources {
		targets := w.testEnds(alias)
		if self {
			targets = w.testEnds(from.self.User)
		}
		if len(targets) == 0 {
			return every, true
		}
		if slices.ContainsFunc(targets, func(to testEnd) bool { return w.lets(from, to, protos, services[0].lo) }) {
			count++
		}
	}
	if every {
		return count == len(sources), true
	}
	return count > 0, true
}

// joined is the world with one more device of somebody or with a tag, and of a group
// with one of each of its people.
func (w *world) joined(alias string) *world {
	if strings.HasPrefix(alias, "group:") {
		for _, member := range w.policy.Groups[alias] {
			w = w.joined(strings.TrimSpace(member))
		}
		return w
	}
	d := device{Name: fmt.Sprint("joined ", len(w.Nodes)), IPv4: fmt.Sprint("100.127.255.", len(w.Nodes)), IPv6: fmt.Sprint("fd7a:115c:a1e0:ffff::1", len(w.Nodes))}
	for own, ranges := range map[*string]oneOrMany{&d.IPv4: w.ranges4(), &d.IPv6: w.ranges6()} {
		if len(ranges) > 0 {
			all := spaceOf(ranges[len(ranges)-1])[0]
			last := all.hi
			for w.claims[last] > 0 {
				last = last.Prev()
			}
			if *own = last.String(); last.Less(all.lo) {
				*own = ""
			}
		}
	}
	if d.User = alias; strings.HasPrefix(alias, "tag:") {
		d.User, d.Tags = "", []string{alias}
	}
	q := w.question
	q.Nodes = append(slices.Clone(q.Nodes), d)
	return newWorld(q, w.policy)
}

// testEnds are the ends that a name of a test stands for. An address stands for
// itself, whether a node has it or not. That of somebody on the internet is nobody's.
func (w *world) testEnds(alias string) []testEnd {
	var out []testEnd
	literal, isLiteral := w.literal(alias)
	for i := range w.Nodes {
		d := &w.Nodes[i]
		if _, yes := w.selects(alias, d); yes {
			out = append(out, testEnd{d, d, d.written()})
		}
	}
	if !isLiteral {
		return out
	}
	addr := literal[0].lo
	for i := range w.Nodes {
		if d := &w.Nodes[i]; w.answersFor(d, addr) && !w.beyond(d, addr) {
			e := testEnd{at: d, addrs: []netip.Addr{addr}}
			if slices.Contains(d.written(), addr) {
				e.self = d
			}
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		out = []testEnd{{addrs: []netip.Addr{addr}}}
	}
	return out
}

// lets is accepts for a port of any of some protocols. For an address that nobody answers for, the rules' words count.
func (w *world) lets(from, to testEnd, protos []int, port int) bool {
	at := to.at
	if at == nil {
		at = &device{}
	}
	for _, q := range w.parts() {
		if to.at == nil && q.self() || to.at != nil && !w.lands(q, at) {
			continue
		}
		for _, src := range from.addrs {
			for _, dst := range to.addrs {
				if src.Is4() != dst.Is4() || w.claims[src] > 1 || w.claims[dst] > 1 || !w.admits(q, at).has(src) || !w.reaches(q, at).has(dst) {
					continue
				}
				for _, s := range q.services {
					open := func(proto int) bool {
						return slices.Contains(s.protos, proto) && s.lo <= port && port <= s.hi && !w.refuses(src, dst, proto, port)
					}
					if slices.ContainsFunc(protos, open) {
						return true
					}
				}
			}
		}
	}
	return false
}
