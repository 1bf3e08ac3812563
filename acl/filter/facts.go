package filter

import "github.com/cordonmesh/cordon/acl"

// facts are what holds at a home for a time, in no order.
type facts []factEnd

type factEnd struct {
	fact  uint32
	until int64
}

func (b *compiler) fact(f acl.Fact) uint32 {
	n, ok := b.facts[f]
	if !ok {
		n = uint32(len(b.facts))
		b.facts[f] = n
		b.table.presence = append(b.table.presence, f.Presence())
	}
	return n
}

func (b *compiler) factsOf(list []acl.FactEnd) (fs facts) {
	for _, f := range list {
		if !f.Until.IsZero() {
			fs = append(fs, factEnd{b.fact(f.Fact), nanos(f.Until)})
		}
	}
	return fs
}

// until gives the policy time at which a fact ends. If it is there twice the earlier
// end counts.
func (fs facts) until(fact uint32) int64 {
	end := int64(never)
	for _, f := range fs {
		if f.fact == fact && (end == never || f.until < end) {
			end = f.until
		}
	}
	return end
}

// all gives the policy time until which all of some facts are there.
func (fs facts) all(wanted []uint32) int64 {
	end := int64(forever)
	for _, f := range wanted {
		end = min(end, fs.until(f))
	}
	return end
}

// facts are those that count of who is at a home, which a party has.
func (t *Table) facts(at *home) facts {
	if at.seat != nobodys {
		return t.seats[at.seat-1].facts
	}
	return t.holders[at.holder].facts
}
