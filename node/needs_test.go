package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/local"
)

// The tool knows by its name the fact that a policy asks for.
func TestTheFactOfASignInHasOneName(t *testing.T) {
	if local.FactSignedIn != string(policy.SignedInFact) {
		t.Fatalf("tools know %q, the policy %q", local.FactSignedIn, policy.SignedInFact)
	}
}

// Who is refused for want of a fact hears which, at both ends; and of the rules
// that one written grant became, the one that the flow fell under speaks.
func TestARefusalNamesTheFactsThatAreMissing(t *testing.T) {
	a, b, sa, sb := pair(t)
	needing := func(m wire.Map, facts ...acl.FactEnd) wire.Map {
		for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
			other := (*rules)[0]
			other.Dst, other.Needs = []acl.Class{2}, []acl.Fact{"another-segments"}
			mine := (*rules)[0]
			mine.Needs = []acl.Fact{"mfa", local.FactSignedIn}
			*rules = []acl.Rule{other, mine}
		}
		m.Self.Facts = facts
		for id, p := range m.Peers {
			p.Facts = facts
			m.Peers[id] = p
		}
		return m
	}
	at := time.Now()
	mfa := acl.FactEnd{Fact: "mfa", Until: at.Add(time.Hour).Truncate(time.Second)}
	was := acl.FactEnd{Fact: local.FactSignedIn, Until: at.Add(-time.Hour).Truncate(time.Second)}
	is := acl.FactEnd{Fact: local.FactSignedIn, Until: at.Add(time.Hour).Truncate(time.Second)}
	give := func(revision uint64, facts ...acl.FactEnd) {
		t.Helper()
		a.give(sa, needing(a.full(revision, []uint16{443}, b.record()), facts...))
		b.give(sb, needing(b.full(revision, []uint16{443}, a.record()), facts...))
		for _, m := range []*machine{a, b} {
			m.eventually("the map", func() bool { return m.status().Map.Revision == revision })
		}
	}
	explains := func(want ...string) {
		t.Helper()
		for _, q := range []struct {
			m *machine
			r local.ExplainRequest
		}{{a, local.ExplainRequest{Dst: "ehr", Port: 443}}, {b, local.ExplainRequest{Src: "ward", Port: 443}}} {
			q.m.eventually("explain names what is missing", func() bool {
				e, err := q.m.Explain(t.Context(), q.r)
				return err == nil && e.Allow == (len(want) == 0) && slices.Equal(e.Needs, want)
			})
		}
	}
	give(6)
	explains("mfa", local.FactSignedIn)
	give(7, mfa, was)
	explains(local.FactSignedIn)
	if _, err := ask(t, a, "ehr:443"); err == nil {
		t.Fatal("without a session it is open")
	}
	a.eventually("status names what is missing", func() bool {
		r := a.status().Refusals
		return len(r) == 1 && r[0].Rule == "web" && slices.Equal(r[0].Needs, []string{local.FactSignedIn})
	})
	if e, err := a.Explain(t.Context(), local.ExplainRequest{Dst: "ehr", Port: 444}); err != nil || len(e.Needs) != 0 {
		t.Fatal("no rule, and it needs:", e, err)
	}
	give(8, mfa, is)
	explains()
	if r := a.status().Refusals; len(r) != 1 || len(r[0].Needs) != 0 {
		t.Fatalf("nothing is missing any more: %+v", r)
	}
}
