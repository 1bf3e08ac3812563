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
	if !p.forbid && (b.signIn || p.drainsUnseen() && (b.proofs || proves(&r.When))) {
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

// drainsUnseen tells whether a part lets flows drain and asks for no presence itself. A
// proof that ended in time and one of a session that somebody ended are both gone from
// a map in the end: only by the presence that goes with it can a node tell that it is to
// cut what drains. It narrows nothing, since no proof outlives its session.
func (p *part) drainsUnseen() bool { return p.rule.OnExpiry.Drain > 0 && p.person == "" }

// proves tells whether conditions ask for what somebody proved in a session.
func proves(w *policy.When) bool { return w.MFA != nil || w.Session != nil }

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
