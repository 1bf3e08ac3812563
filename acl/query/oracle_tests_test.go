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
		if err := w.known(strings.TrimSpace(test.Src)); err != nil {
			return fmt.Errorf("test(s) failed: src=%w", err)
		}
		failed = failed || !w.holds(test)
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

// opened says whether every source (or any) is let in at some destination. A
// name without devices gives what the test wants; ok is false for a
// destination that no test may have.
func (w *world) opened(test policyTest, text string, protos []int, every bool) (yes, ok bool) {
	alias, ports, _ := splitDst(text)
	services, _ := parseServices([]int{protoTCP}, ports)
	sources := w.testDevices(strings.TrimSpace(test.Src))
	self := alias == "autogroup:self"
	if alias == "autogroup:internet" || self && slices.ContainsFunc(sources, (*device).tagged) {
		return false, false
	}
	count := 0
	for _, from := range sources {
		targets := w.testDevices(alias)
		if self {
			targets = w.testDevices(from.User)
		}
		if len(targets) == 0 {
			return every, true
		}
		in := slices.ContainsFunc(targets, func(to *device) bool {
			return w.lets(from, to, w.testAddrs(alias, to), protos, services[0].lo)
		})
		if in {
			count++
		}
	}
	if every {
		return count == len(sources), true
	}
	return count > 0, true
}

// testDevices are the nodes that a name of a test stands for.
func (w *world) testDevices(alias string) []*device {
	var out []*device
	literal, isLiteral := w.literal(alias)
	for i := range w.Nodes {
		d := &w.Nodes[i]
		_, yes := w.selects(alias, d)
		if yes || isLiteral && literal.overlaps(w.addrs(d)) {
			out = append(out, d)
		}
	}
	return out
}

// testAddrs are the addresses of a destination that a test means: a literal's
// one, or all of a node.
func (w *world) testAddrs(alias string, to *device) []netip.Addr {
	literal, isLiteral := w.literal(alias)
	return slices.DeleteFunc(to.written(), func(a netip.Addr) bool { return isLiteral && !literal.has(a) })
}

// lets is accepts for a port of any of some protocols, also of those that have
// no ports.
func (w *world) lets(from, to *device, addrs []netip.Addr, protos []int, port int) bool {
	for _, q := range w.parts() {
		for _, src := range from.written() {
			for _, dst := range addrs {
				if src.Is4() != dst.Is4() || !w.answersFor(to, dst) || !w.lands(q, to) || !w.admits(q, to).has(src) || !w.reaches(q, to).has(dst) {
					continue
				}
				for _, s := range q.services {
					if hasAnyInt(s.protos, protos) && s.lo <= port && port <= s.hi {
						return true
					}
				}
			}
		}
	}
	return false
}

func hasAnyInt(have, want []int) bool {
	return slices.ContainsFunc(want, func(n int) bool { return slices.Contains(have, n) })
}
