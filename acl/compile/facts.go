package compile

import (
	"cmp"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// need is what a fact says: one of its fields is set.
type need struct {
	mfa      *policy.MFA
	session  *policy.Session
	onCall   string
	risk     *int
	posture  string
	approval *policy.Rule // that waits for it
	glass    string
	person   *part // whose people are meant
	signedIn bool
}

// learn takes on the facts that a part may ask for.
func (b *book) learn(p *part) {
	r := p.rule
	b.learnWhen(&r.When)
	if b.signIn && !p.forbid {
		b.needs[policy.SignedInFact] = need{signedIn: true}
	}
	for _, posture := range r.Postures {
		b.needs[acl.Fact(posture)] = need{posture: posture}
	}
	if r.Approval != "" {
		b.needs[policy.ApprovalFact(r.ID)] = need{approval: r}
	}
	if r.Glass != "" {
		b.needs[policy.GlassFact(r.Glass)] = need{glass: r.Glass}
	}
	if p.person != "" {
		b.needs[p.person] = need{person: p}
	}
}

func (b *book) learnWhen(w *policy.When) {
	if w.MFA != nil {
		b.needs[w.MFA.Fact()] = need{mfa: w.MFA}
	}
	if w.Session != nil {
		b.needs[w.Session.Fact()] = need{session: w.Session}
	}
	if w.OnCall != "" {
		b.needs[policy.OnCallFact(w.OnCall)] = need{onCall: w.OnCall}
	}
	if w.Risk != nil {
		b.needs[policy.RiskFact(*w.Risk)] = need{risk: w.Risk}
	}
	for _, posture := range w.Postures {
		b.needs[acl.Fact(posture)] = need{posture: posture}
	}
}

// Drains is how long what has ended may go on at most, by any rule.
func (m *Mesh) Drains() time.Duration { return m.pol.Drains() }

// AsksForFacts tells whether any rule asks for a fact.
func (m *Mesh) AsksForFacts() bool { return len(m.book.needs) > 0 }

// wanted gives those facts that some rule may ask for, sorted, of one that stands
// twice the later end. A peer need not learn of others, nor of one that never holds.
func (b *book) wanted(facts []acl.FactEnd) []acl.FactEnd {
	if len(facts) == 0 {
		return nil
	}
	all := slices.Clone(facts)
	slices.SortFunc(all, func(x, y acl.FactEnd) int { return cmp.Or(cmp.Compare(x.Fact, y.Fact), y.Until.Compare(x.Until)) })
	all = slices.CompactFunc(all, func(x, y acl.FactEnd) bool { return x.Fact == y.Fact })
	return slices.DeleteFunc(all, func(e acl.FactEnd) bool {
		_, asked := b.needs[e.Fact]
		return !asked || e.Until.IsZero()
	})
}

func sameEnd(a, b acl.FactEnd) bool { return a.Fact == b.Fact && a.Until.Equal(b.Until) }

// shorter tells whether a fact is no more, or ends sooner than it did.
func shorter(was, is []acl.FactEnd) bool {
	return slices.ContainsFunc(was, func(old acl.FactEnd) bool {
		return !slices.ContainsFunc(is, func(e acl.FactEnd) bool { return e.Fact == old.Fact && !e.Until.Before(old.Until) })
	})
}
