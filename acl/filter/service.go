package filter

import "github.com/cordonmesh/cordon/acl"

// services is what each rule opens, all in one place: of the rules for a pair of
// classes most open something else than what is asked for, and to see that needs
// nothing else of them.
type services struct {
	from []uint32 // by index of the rule: its first service; it ends where the next one's begin
	all  []acl.Service
}

// add enters the services of the next rule.
func (s *services) add(open []acl.Service) {
	if len(s.from) == 0 {
		s.from = append(s.from, 0)
	}
	s.all = append(s.all, open...)
	s.from = append(s.from, uint32(len(s.all)))
}

// wish is what a flow wants opened at its destination.
type wish struct {
	proto acl.Protocol
	port  uint16
	kind  wishKind
}

type wishKind uint8

const (
	wishPort  wishKind = iota // one port of the protocol
	wishWhole                 // the whole range of the protocol: it has no ports
	wishAny                   // any port of any protocol: an echo request
)

// any reports whether rule n opens anything.
func (s *services) any(n int) bool { return s.from[n] < s.from[n+1] }

// open reports whether rule n opens what is wished.
func (s *services) open(n int, w wish) bool {
	switch w.kind {
	case wishPort:
		return s.names(n, w)
	case wishAny:
		return s.any(n)
	}
	for _, o := range s.all[s.from[n]:s.from[n+1]] {
		if o.Protocol == w.proto && o.First == 0 && o.Last == 65535 {
			return true
		}
	}
	return false
}

// names reports whether rule n, which forbids, is about what is wished. It must name
// the protocol, that of an echo request too; ports narrow it only where there are any.
func (s *services) names(n int, w wish) bool {
	for _, o := range s.all[s.from[n]:s.from[n+1]] {
		if o.Protocol == w.proto && (w.kind != wishPort || o.First <= w.port && w.port <= o.Last) {
			return true
		}
	}
	return false
}

// ports holds the rules that may open a port, as bits: a set for all ports that
// end in the same six bits, and behind those the set of all rules. What a rule
// really opens is for services to say; but few rules are left to be asked.
type ports struct {
	words int // of a set
	bits  []uint64
}

const portSets = 64

func newPorts(words int) ports {
	return ports{words, make([]uint64, (portSets+1)*words)}
}

// add enters what rule n, counted from the first of its side, opens.
func (p *ports) add(n int, open []acl.Service) {
	p.enter(portSets, n)
	for _, o := range open {
		for port := int(o.First); port <= min(int(o.Last), int(o.First)+portSets-1); port++ {
			p.enter(port%portSets, n)
		}
	}
}

func (p *ports) enter(set, n int) { p.bits[set*p.words+n/64] |= 1 << (n % 64) }

// at gives where the set of the rules begins that may open what is wished.
func (p *ports) at(w wish) int {
	if w.kind == wishPort {
		return int(w.port%portSets) * p.words
	}
	return portSets * p.words
}
