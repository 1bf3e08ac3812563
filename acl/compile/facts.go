package compile

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// wanted gives those facts that some rule may ask for, sorted, of one that stands
// twice the later end. A peer need not learn of others.
func (b *book) wanted(facts []acl.FactEnd) []acl.FactEnd {
	if len(facts) == 0 {
		return nil
	}
	all := slices.Clone(facts)
	slices.SortFunc(all, func(x, y acl.FactEnd) int { return cmp.Or(cmp.Compare(x.Fact, y.Fact), y.Until.Compare(x.Until)) })
	all = slices.CompactFunc(all, func(x, y acl.FactEnd) bool { return x.Fact == y.Fact })
	return slices.DeleteFunc(all, func(e acl.FactEnd) bool { return !b.facts[e.Fact] })
}

func sameEnd(a, b acl.FactEnd) bool { return a.Fact == b.Fact && a.Until.Equal(b.Until) }

// shorter tells whether a fact is no more, or ends sooner than it did.
func shorter(was, is []acl.FactEnd) bool {
	return slices.ContainsFunc(was, func(old acl.FactEnd) bool {
		return !slices.ContainsFunc(is, func(e acl.FactEnd) bool { return e.Fact == old.Fact && !e.Until.Before(old.Until) })
	})
}
