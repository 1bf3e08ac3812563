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
	if w.kind == wishAny {
		return s.any(n)
	}
	for _, o := range s.all[s.from[n]:s.from[n+1]] {
		if o.Protocol != w.proto {
			continue
		}
		whole := o.First == 0 && o.Last == 65535
		if whole || w.kind == wishPort && o.First <= w.port && w.port <= o.Last {
			return true
		}
	}
	return false
}
