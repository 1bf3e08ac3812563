package wire

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Decoding takes the canonical form alone and refuses everything else: what is
// out of order, twice there, or spelt in another way is an error, not a guess.

// ParseSelf gives the typed form of s. It fails with [ErrMalformed].
func ParseSelf(s *Self) (SelfRecord, error) {
	var d decoder
	r := SelfRecord{ID: s.GetId(), Name: s.GetName(), NodeKey: d.nodeKey(s.GetNodeKey()),
		Addresses: d.addresses(s.GetAddresses()), Routes: d.prefixes("routes", s.GetRoutes()),
		Prefixes: d.classes(s.GetPrefixes()), Owner: acl.Owner(s.GetOwner()), Facts: d.facts(s.GetFacts()),
		Ranges: d.prefixes("ranges", s.GetRanges()), Domain: s.GetDomain(), Pending: s.GetPending(),
		Tags: decodeWords[string](&d, "tags", s.GetTags()), User: s.GetUser(),
		Sessions: d.sessions(s.GetSessions()), SignIn: s.GetSignIn(), Until: d.moment(s.GetUntil()),
		ActiveEvery: time.Duration(s.GetActiveEvery()) * time.Millisecond}
	r.Seats = d.seats(r.Addresses, s.GetSeats())
	d.identity(r.ID, r.Name, r.NodeKey)
	d.within(r.Prefixes, r.Addresses, r.Routes)
	d.check(r.Domain == "" || isDomain(r.Domain), "domain %q is not a lower-case domain name", clip(r.Domain))
	d.check(r.User == "" || isWord(r.User), "user %q is not a login", clip(r.User))
	return r, d.of("record of this node")
}

// parsePeer takes a statement that known already holds as verified: it is the
// one part of a record that costs, and hardly ever the part that changed.
func parsePeer(p *Peer, known PeerRecord) (PeerRecord, error) {
	var d decoder
	r := PeerRecord{ID: p.GetId(), Name: p.GetName(), NodeKey: d.nodeKey(p.GetNodeKey()), Statement: p.GetStatement(),
		Addresses: d.addresses(p.GetAddresses()), Routes: d.prefixes("routes", p.GetRoutes()),
		Prefixes: d.classes(p.GetPrefixes()), Owner: acl.Owner(p.GetOwner()), Facts: d.facts(p.GetFacts()), Until: d.moment(p.GetUntil())}
	r.Seats = d.seats(r.Addresses, p.GetSeats())
	d.identity(r.ID, r.Name, r.NodeKey)
	d.within(r.Prefixes, r.Addresses, r.Routes)
	if err := d.of("record of peer " + clip(p.GetId())); err != nil {
		return PeerRecord{}, err
	}
	if r.Statement == nil {
		return r, nil
	}
	if known.NodeKey == r.NodeKey && sameStatement(known.Statement, r.Statement) {
		r.TunnelKey, r.PathKey = known.TunnelKey, known.PathKey
		return r, nil
	}
	keys, err := VerifyStatement(r.NodeKey, r.Statement)
	if err != nil {
		return PeerRecord{}, err
	}
	r.TunnelKey, r.PathKey = keys.Tunnel, keys.Path
	return r, nil
}

// ParseRules gives the typed form of r. It fails with [ErrMalformed].
func ParseRules(r *RuleSet) (acl.RuleSet, error) {
	var d decoder
	set := acl.RuleSet{In: d.rules(r.GetIn()), Out: d.rules(r.GetOut()), ForbidIn: d.rules(r.GetForbidIn()), ForbidOut: d.rules(r.GetForbidOut())}
	if err := d.of("rule set"); err != nil {
		return acl.RuleSet{}, err
	}
	return set, nil
}

// decoder keeps the first error, so that a record reads as one expression.
type decoder struct{ err error }

func (d *decoder) check(ok bool, format string, args ...any) {
	if !ok && d.err == nil {
		d.err = malformed(format, args...)
	}
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) of(thing string) error {
	if d.err == nil {
		return nil
	}
	return &recordError{thing, d.err}
}

type recordError struct {
	thing string
	err   error
}

func (e *recordError) Error() string { return e.thing + ": " + e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

func (d *decoder) nodeKey(b []byte) key.NodePublic {
	k, err := key.NodePublicFrom(b)
	d.check(err == nil, "node key of %d bytes is not a key", len(b))
	return k
}

// identity ties the id to the key: whoever could name a record freely could
// replace another node's.
func (d *decoder) identity(id, name string, k key.NodePublic) {
	d.check(d.err != nil || id == NodeID(k), "id %q is not that of its node key", clip(id))
	d.check(isLabel(name), "name %q is not a host name label (RFC 1123, lower case)", clip(name))
}

func (d *decoder) addresses(in []string) []netip.Addr {
	return decodeList(d, "addresses", in, netip.Addr.Compare, parseAddr)
}

func (d *decoder) prefixes(what string, in []string) []netip.Prefix {
	return decodeList(d, what, in, netip.Prefix.Compare, parsePrefix)
}

func (d *decoder) classes(in []*PrefixClass) []acl.PrefixClass {
	// One prefix has one class, so prefixes alone must ascend.
	compare := func(a, b acl.PrefixClass) int { return a.Prefix.Compare(b.Prefix) }
	return decodeList(d, "prefixes", in, compare, func(p *PrefixClass) (acl.PrefixClass, error) {
		prefix, err := parsePrefix(p.GetPrefix())
		return acl.PrefixClass{Prefix: prefix, Class: acl.Class(p.GetClass())}, err
	})
}

func (d *decoder) facts(in []*FactEnd) []acl.FactEnd {
	compare := func(a, b acl.FactEnd) int { return cmp.Compare(a.Fact, b.Fact) }
	return decodeList(d, "facts", in, compare, func(f *FactEnd) (acl.FactEnd, error) {
		if !isWord(f.GetFact()) {
			return acl.FactEnd{}, malformed("fact %q is not a word", clip(f.GetFact()))
		}
		until, err := moment(f.GetUntil())
		return acl.FactEnd{Fact: acl.Fact(f.GetFact()), Until: until}, err
	})
}

// within refuses a class for a prefix that the record does not own: classes are
// what rules judge by, so such an entry would lend a right to a stranger.
func (d *decoder) within(classes []acl.PrefixClass, own []netip.Addr, routes []netip.Prefix) {
	for _, c := range classes {
		ok := false
		for _, a := range own {
			ok = ok || c.Prefix.IsSingleIP() && c.Prefix.Addr() == a
		}
		for _, r := range routes {
			ok = ok || r.Bits() <= c.Prefix.Bits() && r.Contains(c.Prefix.Addr())
		}
		d.check(ok, "prefix %s has a class but is in none of the record's addresses and routes", c.Prefix)
	}
}

func decodeWords[T ~string](d *decoder, what string, in []string) []T {
	return decodeList(d, what, in, cmp.Compare[T], func(s string) (T, error) {
		if !isWord(s) {
			return "", malformed("%q in %s is not a word", clip(s), what)
		}
		return T(s), nil
	})
}

// decodeList parses each element, and asks that they ascend.
func decodeList[In, Out any](d *decoder, what string, in []In, compare func(a, b Out) int, parse func(In) (Out, error)) []Out {
	if len(in) == 0 || d.err != nil {
		return nil
	}
	out := make([]Out, len(in))
	for i, raw := range in {
		var err error
		if out[i], err = parse(raw); err != nil {
			d.fail(err)
			return nil
		}
		if i > 0 && compare(out[i-1], out[i]) >= 0 {
			d.fail(malformed("%s are out of order or twice there at element %d", what, i))
			return nil
		}
	}
	return out
}

// The last second of year 9999: what a time may be printed as everywhere.
const lastSecond = 253402300799

func moment(seconds int64) (time.Time, error) {
	if seconds < 0 || seconds > lastSecond {
		return time.Time{}, malformed("time of %d seconds since 1970", seconds)
	}
	if seconds == 0 {
		return time.Time{}, nil
	}
	return time.Unix(seconds, 0).UTC(), nil
}
