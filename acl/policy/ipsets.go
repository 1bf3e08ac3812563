package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"
)

// Limits on ipsets. Steps are the ranges that they add, remove, look at and
// hold, over all of them: sets of sets grow with the power of their depth.
const (
	maxSetDepth = 32
	maxSetSteps = 250_000
)

// setEntry is one entry of an ipset: addresses, or another set.
type setEntry struct {
	item
	remove bool
	addrs  netipx.IPRange
	set    string // when addrs are not valid
}

// setReader works out what ipsets hold, each once.
type setReader struct {
	*reader
	names   *names
	written map[string][]setEntry
	done    map[string]*ipset
	steps   int
}

// ipset is a set that is worked out, or being so.
type ipset struct {
	ranges *netipx.IPSet // nil: it contains the set that is being worked out
	depth  int
	public bool // it holds autogroup:internet, or what is left of it
}

// ipsets reads {"ipset:x": ["add X", "remove X", "X"]}, where X is an address, a
// range of them, a CIDR, a host, another ipset or autogroup:internet. Entries count
// in their order. It notes those that are built on autogroup:internet.
func (r *reader) ipsets(section member, n *names) map[string][]netip.Prefix {
	all := r.optional(section, "ipsets")
	s := &setReader{reader: r, names: n, written: make(map[string][]setEntry, len(all)), done: make(map[string]*ipset)}
	for _, m := range all {
		if r.sound(m, checkName(m.key, "ipset:")) {
			s.written[m.key] = nil
		}
	}
	sets := make(map[string][]netip.Prefix, len(all))
	for _, m := range all {
		entries := s.entriesOf(m)
		if _, ok := s.written[m.key]; ok {
			s.written[m.key], sets[m.key] = entries, nil
		}
	}
	for _, m := range all {
		if _, ok := s.written[m.key]; !ok {
			continue
		}
		set := s.resolve(m.key, 1)
		if set.public {
			n.public[m.key] = true
		}
		sets[m.key] = s.prefixes(set.ranges)
		if s.steps > maxSetSteps {
			r.fail(m.at, m.key, complain("the ipsets up to here expand too far", "use larger CIDRs, and fewer sets of sets"))
			break
		}
	}
	return sets
}

func (s *setReader) entriesOf(m member) []setEntry {
	var all []setEntry
	for _, it := range s.texts(m.value, "", m.key) {
		e := setEntry{item: it}
		target := it.text
		if verb, rest, ok := strings.Cut(it.text, " "); ok && (verb == "add" || verb == "remove") {
			e.remove, target = verb == "remove", strings.TrimSpace(rest)
		}
		var bad *complaint
		switch {
		case target == internetSet:
			e.set = target
		case strings.HasPrefix(target, "ipset:"):
			_, bad = defined(Set, target, "unknown ipset", "ipsets", s.written)
			e.set = target
		default:
			e.addrs, bad = s.names.setTarget(target)
		}
		if bad != nil {
			s.failAt(it.at, m.key, it.text, bad)
			continue
		}
		all = append(all, e)
	}
	return all
}

// setTarget reads an address, a range, a CIDR or a host. Nobody's machines are
// looked up by who they are: a set is the same whoever joins.
func (n *names) setTarget(text string) (netipx.IPRange, *complaint) {
	if prefix, ok, bad := n.network(text); ok || bad != nil {
		return netipx.RangeOfPrefix(prefix), bad
	}
	if r, ok, bad := addressRange(text); ok {
		return r, bad
	}
	name := strings.TrimPrefix(text, "host:")
	if prefix, ok := n.hosts[name]; ok {
		return netipx.RangeOfPrefix(prefix), nil
	}
	if strings.Contains(name, " ") || strings.ContainsAny(name[:min(1, len(name))], "-+!") {
		return netipx.IPRange{}, complain("unknown host", `write an address alone to add it, or as "remove 10.20.30.1" to take it away`)
	}
	if strings.ContainsAny(name, ":@*") || name == "" {
		return netipx.IPRange{}, complain("is no address", "an ipset holds addresses, CIDRs, hosts and ipsets")
	}
	if bad := lookalike(name); bad != nil {
		return netipx.IPRange{}, bad
	}
	return netipx.IPRange{}, complainOf("unknown host", name, n.hosts, `define it under "hosts"`)
}

// resolve works a set out, and those that it holds before it.
func (s *setReader) resolve(name string, depth int) *ipset {
	if set, ok := s.done[name]; ok {
		return set
	}
	set := &ipset{depth: 1}
	s.done[name] = set
	var b netipx.IPSetBuilder
	if name == internetSet {
		set.public = true
		for _, p := range Public() {
			b.AddPrefix(p)
		}
	}
	in, removed := 0, false
	for _, e := range s.written[name] {
		if removed && !e.remove {
			s.steps += in // the builder sorts all that it has
		}
		removed = e.remove
		n := s.apply(&b, e, set, depth)
		if s.steps += n; s.steps > maxSetSteps {
			set.ranges = new(netipx.IPSet) // refused anyway
			return set
		}
		in += n
	}
	set.ranges, _ = b.IPSet() // it errs on invalid addresses, of which there are none
	return set
}

// apply adds or removes one entry, and gives how many ranges that were.
func (s *setReader) apply(b *netipx.IPSetBuilder, e setEntry, into *ipset, depth int) int {
	if e.set == "" {
		if e.remove {
			b.RemoveRange(e.addrs)
		} else {
			b.AddRange(e.addrs)
		}
		return 1
	}
	if depth >= maxSetDepth {
		s.fail(e.at, e.text, tooDeep())
		return 1
	}
	other := s.resolve(e.set, depth+1)
	into.depth = max(into.depth, other.depth+1)
	switch {
	case other.ranges == nil:
		s.fail(e.at, e.text, complain("an ipset cannot contain itself", "take it out of one of the sets in the circle"))
		return 1
	case into.depth > maxSetDepth:
		s.fail(e.at, e.text, tooDeep())
	case e.remove:
		b.RemoveSet(other.ranges)
	default:
		b.AddSet(other.ranges)
		into.public = into.public || other.public
	}
	return 1 + len(other.ranges.Ranges())
}

func tooDeep() *complaint {
	return complain(fmt.Sprintf("ipsets nest deeper than %d", maxSetDepth), "list the addresses in fewer sets")
}

// prefixes gives a set as prefixes, as far as the limit allows: one range may
// be 254 of them.
func (s *setReader) prefixes(set *netipx.IPSet) []netip.Prefix {
	var all []netip.Prefix
	for _, r := range set.Ranges() {
		before := len(all)
		all = r.AppendPrefixes(all)
		if s.steps += len(all) - before; s.steps > maxSetSteps {
			break
		}
	}
	return all
}

// internetSet is the set of all public addresses, which nobody need define.
const internetSet = "autogroup:internet"

// Public gives what autogroup:internet means: all of IPv4 but the private ranges
// (RFC 1918), the carriers' (RFC 6598) and the link's (RFC 3927), and the global
// unicast addresses of IPv6 (RFC 4291 section 2.4).
func Public() []netip.Prefix {
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	b.AddPrefix(netip.MustParsePrefix("2000::/3"))
	for _, private := range []string{"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} {
		b.RemovePrefix(netip.MustParsePrefix(private))
	}
	set, _ := b.IPSet() // it errs on invalid prefixes, of which there are none
	return set.Prefixes()
}
