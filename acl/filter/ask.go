package filter

import (
	"fmt"

	"github.com/cordonmesh/cordon/acl"
)

// Place is what the rules know of one end of a flow.
type Place struct {
	Class acl.Class
	Owner acl.Owner
}

// Places are what the judges of a mesh know of where flows may begin and end. They are
// immutable, and nobody there has any fact.
type Places struct {
	classes map[acl.Class]uint32
	holders []holder
	homes   []home
}

// NewPlaces numbers places for judges.
func NewPlaces(list []Place) *Places {
	p := &Places{classes: make(map[acl.Class]uint32, len(list)+1), holders: []holder{{}}, homes: make([]home, len(list))}
	p.classes[0] = 0
	holders := map[acl.Owner]int32{0: self}
	for i, place := range list {
		index, ok := p.classes[place.Class]
		if !ok {
			index = uint32(len(p.classes))
			p.classes[place.Class] = index
		}
		by, ok := holders[place.Owner]
		if !ok {
			by = int32(len(p.holders))
			holders[place.Owner] = by
			p.holders = append(p.holders, holder{owner: place.Owner})
		}
		p.homes[i] = home{class: place.Class, index: index, holder: by, bits: -1}
		new(needs).some(p.homes[i].until[:], 1, nil)
	}
	return p
}

// Judge asks a node's rules about flows that nobody sends. It knows no addresses:
// which place they have, and whether the node answers for them, is seen to
// before. It is immutable.
type Judge struct {
	table *Table
}

// Judge makes a Judge of a node's rules inwards. It fails as [Compile] does.
func (p *Places) Judge(rules acl.RuleSet) (*Judge, error) {
	t := newTable(0, forever)
	t.holders, t.homes = p.holders, p.homes
	t.needs.until = nobodyAhead()
	b := newCompiler(t)
	b.classes = p.classes
	err := b.side(&t.sides[In], In, rules.In, nil)
	if err == nil {
		err = b.side(&t.forbids[In], In, rules.ForbidIn, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("compile rules to ask them: %w", err)
	}
	return &Judge{t}, nil
}

// Pair is two places between which flows may begin.
type Pair struct {
	table *Table
	ends  ends
	icmp  acl.Protocol // that of their family: the other one is nothing that a stack would answer
}

// Between gives the pair of two places by their indexes in [NewPlaces]'s list, where they
// speak IPv4, or six.
func (j *Judge) Between(src, dst int, six bool) Pair {
	p := Pair{j.table, ends{&j.table.homes[src], &j.table.homes[dst]}, acl.ICMP}
	if six {
		p.icmp = acl.ICMPv6
	}
	return p
}

// Judge gives the verdict that a [Filter] gives about the first packet of a flow
// between the two. Port is that of the destination, without meaning for protocols
// that have none; the ICMP of their family stands for the echo request.
func (p Pair) Judge(proto acl.Protocol, port uint16, now Moment) acl.Verdict {
	w := wish{proto: proto}
	switch {
	case proto.HasPorts():
		w.port = port
	case proto == p.icmp:
		w.kind = wishAny
	default:
		w.kind = wishWhole
	}
	return p.table.verdict(p.table.match(In, p.ends, w, &past{lease: p.table.lease}, &now))
}
