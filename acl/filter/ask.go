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

// Judge asks a node's rules about flows that nobody sends. It knows no addresses:
// which place they have, and whether the node answers for them, is seen to
// before. It is immutable.
type Judge struct {
	table *Table
}

// NewJudge makes a Judge of the rules inwards, and of the places that flows may
// begin and end at. It fails as [Compile] does.
func NewJudge(rules acl.RuleSet, places []Place) (*Judge, error) {
	t := newTable(0, forever)
	t.holders = []holder{{}}
	b := newCompiler(t)
	t.homes = make([]home, 0, len(places))
	holders := map[acl.Owner]int32{0: self}
	for _, p := range places {
		index, ok := b.classes[p.Class]
		if !ok {
			index = uint32(len(b.classes))
			b.classes[p.Class] = index
		}
		by, ok := holders[p.Owner]
		if !ok {
			by = int32(len(t.holders))
			holders[p.Owner] = by
			t.holders = append(t.holders, holder{owner: p.Owner})
		}
		t.homes = append(t.homes, home{class: p.Class, index: index, holder: by, bits: -1})
	}
	err := b.side(&t.sides[In], In, rules.In, nil)
	if err == nil {
		err = b.side(&t.forbids[In], In, rules.ForbidIn, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("compile rules to ask them: %w", err)
	}
	b.ahead()
	return &Judge{t}, nil
}

// Pair is two places between which flows may begin.
type Pair struct {
	table *Table
	ends  ends
}

// Between gives the pair of two places by their indexes in NewJudge's list.
func (j *Judge) Between(src, dst int) Pair {
	return Pair{j.table, ends{&j.table.homes[src], &j.table.homes[dst]}}
}

// Judge gives the verdict that a [Filter] gives about the first packet of a flow
// between the two. Port is that of the destination, without meaning for protocols
// that have none; ICMP and ICMPv6 stand for the echo request.
func (p Pair) Judge(proto acl.Protocol, port uint16, now Moment) acl.Verdict {
	w := wish{proto: proto}
	switch {
	case proto == acl.TCP || proto == acl.UDP || proto == acl.SCTP:
		w.port = port
	case proto == acl.ICMP || proto == acl.ICMPv6:
		w.kind = wishAny
	default:
		w.kind = wishWhole
	}
	return p.table.verdict(p.table.match(In, p.ends, w, &past{lease: p.table.lease}, &now))
}
