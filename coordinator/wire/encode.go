package wire

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/acl"
)

// The typed form becomes messages in one canonical way: what has no order is
// sorted and free of duplicates, so that equal content has equal bytes and an
// equal digest on every replica. Where a time or a duration has parts of a
// second, it is rounded to the side that permits less: a rule that forbids begins
// earlier and ends later.

// Full gives the message that carries all of m.
func (m Map) Full() *Full {
	f := &Full{Self: m.Self.Proto(), Rules: RulesProto(m.Rules), Peers: make([]*Peer, 0, len(m.Peers))}
	for _, p := range m.Peers {
		f.Peers = append(f.Peers, p.Proto())
	}
	slices.SortFunc(f.Peers, func(a, b *Peer) int { return cmp.Compare(a.Id, b.Id) })
	return f
}

// Proto gives s as it travels.
func (s SelfRecord) Proto() *Self {
	return &Self{Id: s.ID, Name: s.Name, NodeKey: s.NodeKey.Bytes(),
		Addresses: texts(s.Addresses, netip.Addr.Compare), Routes: texts(s.Routes, netip.Prefix.Compare),
		Prefixes: prefixesProto(s.Prefixes), Owner: uint64(s.Owner), Facts: factsProto(s.Facts),
		Ranges: texts(s.Ranges, netip.Prefix.Compare), Domain: s.Domain, Pending: s.Pending,
		Tags: sorted(s.Tags, cmp.Compare[string]), User: s.User,
		Sessions: sessionsProto(s.Sessions), SignIn: s.SignIn, Until: endSeconds(s.Until),
		ActiveEvery: uint32(s.ActiveEvery.Milliseconds()), Seats: seatsProto(s.Seats)}
}

// Proto gives p as it travels. The message is the same for every node that may
// know p, so a coordinator can make it once; it shares p's Statement.
func (p PeerRecord) Proto() *Peer {
	return &Peer{Id: p.ID, Name: p.Name, NodeKey: p.NodeKey.Bytes(), Statement: p.Statement,
		Addresses: texts(p.Addresses, netip.Addr.Compare), Routes: texts(p.Routes, netip.Prefix.Compare),
		Prefixes: prefixesProto(p.Prefixes), Owner: uint64(p.Owner), Facts: factsProto(p.Facts), Until: endSeconds(p.Until),
		Seats: seatsProto(p.Seats)}
}

// RulesProto gives a rule set as it travels. The order of rules is kept.
func RulesProto(r acl.RuleSet) *RuleSet {
	return &RuleSet{
		In: rulesProto(r.In, ruleProto), Out: rulesProto(r.Out, ruleProto),
		ForbidIn: rulesProto(r.ForbidIn, forbidProto), ForbidOut: rulesProto(r.ForbidOut, forbidProto),
	}
}

func rulesProto(rules []acl.Rule, one func(acl.Rule) *Rule) []*Rule {
	var out []*Rule
	for _, r := range rules {
		out = append(out, one(r))
	}
	return out
}

func ruleProto(r acl.Rule) *Rule {
	return &Rule{Id: string(r.ID), Src: classesProto(r.Src), Dst: classesProto(r.Dst),
		SameOwner: r.SameOwner, Needs: words(sorted(r.Needs, cmp.Compare[acl.Fact])), Open: servicesProto(r.Open),
		NotBefore: secondsUp(r.NotBefore), NotAfter: endSeconds(r.NotAfter), Hold: holdSeconds(r.Hold),
		Drain: max(int64(r.Drain/time.Second), 0), Monitor: r.Monitor,
		Log: uint32(r.Log), Limit: limitProto(r.Limit), Features: sorted(r.Features, cmp.Compare[string])}
}

// limitProto gives nil for no limit. A window between two seconds is the longer one.
func limitProto(l acl.Limit) *Limit {
	if l == (acl.Limit{}) {
		return nil
	}
	window := int64(l.Window / time.Second)
	if l.Window%time.Second > 0 {
		window++
	}
	return &Limit{Bytes: l.Bytes, Flows: l.Flows, Window: window, OnExceed: uint32(l.OnExceed)}
}

// forbidProto gives a rule that forbids.
func forbidProto(r acl.Rule) *Rule {
	p := ruleProto(r)
	p.NotBefore, p.NotAfter = secondsDown(r.NotBefore), secondsUp(r.NotAfter)
	if !r.NotAfter.IsZero() {
		p.NotAfter = max(p.NotAfter, 1) // 0 would be without bound
	}
	return p
}

func servicesProto(open []acl.Service) (out []*Service) {
	for _, s := range sorted(open, compareService) {
		out = append(out, &Service{Protocol: uint32(s.Protocol), First: uint32(s.First), Last: uint32(s.Last)})
	}
	return out
}

func prefixesProto(in []acl.PrefixClass) (out []*PrefixClass) {
	for _, p := range sorted(in, comparePrefixClass) {
		out = append(out, &PrefixClass{Prefix: p.Prefix.String(), Class: uint64(p.Class)})
	}
	return out
}

func factsProto(in []acl.FactEnd) (out []*FactEnd) {
	compare := func(a, b acl.FactEnd) int { return cmp.Compare(a.Fact, b.Fact) }
	for _, f := range sorted(in, compare) {
		out = append(out, &FactEnd{Fact: string(f.Fact), Until: secondsDown(f.Until)})
	}
	return out
}

func classesProto(in []acl.Class) (out []uint64) {
	for _, c := range sorted(in, cmp.Compare[acl.Class]) {
		out = append(out, uint64(c))
	}
	return out
}

// secondsDown gives a moment as whole seconds, not later; 0 is the zero time.
func secondsDown(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.Unix(), 0)
}

// secondsUp gives a moment as whole seconds, not earlier; 0 is the zero time.
func secondsUp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return max(s, 0)
}

// endSeconds is secondsDown where 0 means without bound: a bound in 1970 or
// before must not become none.
func endSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.Unix(), 1)
}

// holdSeconds keeps a hold of less than a second, or a negative one, from
// becoming 0, which means for ever.
func holdSeconds(d time.Duration) int64 {
	if d == 0 {
		return 0
	}
	return max(int64(d/time.Second), 1)
}

// sorted gives a sorted copy without duplicates; nil for nothing.
func sorted[T comparable](in []T, compare func(a, b T) int) []T {
	if len(in) == 0 {
		return nil
	}
	out := slices.Clone(in)
	slices.SortFunc(out, compare)
	return slices.Compact(out)
}

func words[T ~string](in []T) (out []string) {
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

func texts[T interface {
	comparable
	String() string
}](in []T, compare func(a, b T) int) (out []string) {
	for _, t := range sorted(in, compare) {
		out = append(out, t.String())
	}
	return out
}

func comparePrefixClass(a, b acl.PrefixClass) int {
	return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Class, b.Class))
}

func compareService(a, b acl.Service) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

// canonical gives the bytes that a digest is taken over. No message here holds
// a map or an unknown field, so field order settles them.
func canonical(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("wire: " + err.Error()) // text that is not UTF-8, which no parser of ours lets in
	}
	return b
}
