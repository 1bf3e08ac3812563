package wire

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// Diff gives the change that leads from a to b, both maps of one node.
// Positions are not part of it: the envelope carries them.
func Diff(a, b Map) *Delta {
	d := new(Delta)
	if self := b.Self.Proto(); !bytes.Equal(canonical(a.Self.Proto()), canonical(self)) {
		d.Self = self
	}
	if rules := RulesProto(b.Rules); !bytes.Equal(canonical(RulesProto(a.Rules)), canonical(rules)) {
		d.Rules = rules
	}
	for id, p := range b.Peers {
		old, held := a.Peers[id]
		if next := p.Proto(); !held || !bytes.Equal(canonical(old.Proto()), canonical(next)) {
			d.Put = append(d.Put, next)
		}
	}
	for id := range a.Peers {
		if _, stays := b.Peers[id]; !stays {
			d.Remove = append(d.Remove, id)
		}
	}
	slices.SortFunc(d.Put, func(a, b *Peer) int { return cmp.Compare(a.Id, b.Id) })
	slices.Sort(d.Remove)
	return d
}

// Apply gives m changed by d and standing at `to`; m stays as it is. A Delta
// that does not fit m (removes whom m lacks, names somebody twice, gives a
// prefix two owners, takes a statement back, changes seats of whom m lacks or ends
// one that is not there) is refused whole, with [ErrMalformed], [ErrTwoOwners] or [key.ErrSignature]. Whether `to` may follow
// m is [State.Fold]'s to judge.
func Apply(m Map, d *Delta, to Position) (Map, error) { return apply(m, d, to, nil) }

// apply lets d remove peers that went ahead of it because they were revoked.
func apply(m Map, d *Delta, to Position, revoked map[string]RevokedKey) (Map, error) {
	if m.IsZero() || d == nil {
		return Map{}, malformed("a Delta without a map to change")
	}
	next := m.at(to)
	next.Peers = maps.Clone(m.Peers)
	if next.Peers == nil {
		next.Peers = make(map[string]PeerRecord)
	}
	if err := next.applySelf(d); err != nil {
		return Map{}, err
	}
	removed := make(map[string]bool, len(d.GetRemove()))
	for _, id := range d.GetRemove() {
		_, ahead := revoked[id]
		if _, held := next.Peers[id]; !held && !ahead {
			return Map{}, malformed("removes peer %q, which is not in the map or named twice", clip(id))
		}
		delete(next.Peers, id)
		removed[id] = true
	}
	changed := make(map[string]bool, len(d.GetPut()))
	for _, p := range d.GetPut() {
		if changed[p.GetId()] || removed[p.GetId()] {
			return Map{}, malformed("names peer %q twice", clip(p.GetId()))
		}
		changed[p.GetId()] = true
		r, err := parsePeer(p, m.Peers[p.GetId()])
		if err != nil {
			return Map{}, err
		}
		if err := notBack(m.Peers[r.ID], r); err != nil {
			return Map{}, err
		}
		next.Peers[r.ID] = r
	}
	reseated, err := next.applySeats(d, changed, revoked)
	if err != nil {
		return Map{}, err
	}
	return next.whole(reseated || d.GetSelf() != nil, changed)
}

func (m *Map) applySelf(d *Delta) error {
	if d.GetSelf() != nil {
		self, err := ParseSelf(d.GetSelf())
		if err != nil {
			return err
		}
		if self.ID != m.Self.ID {
			return malformed("record of this node names %s", self.ID)
		}
		m.Self = self
	}
	if d.GetRules() == nil {
		return nil
	}
	rules, err := ParseRules(d.GetRules())
	m.Rules = rules
	return err
}

// mapOf gives the map that f is. It takes statements that known holds as
// verified.
func mapOf(f *Full, at Position, known map[string]PeerRecord) (Map, error) {
	self, err := ParseSelf(f.GetSelf())
	if err != nil {
		return Map{}, err
	}
	rules, err := ParseRules(f.GetRules())
	if err != nil {
		return Map{}, err
	}
	m := Map{Self: self, Rules: rules, Peers: make(map[string]PeerRecord, len(f.GetPeers()))}.at(at)
	changed := make(map[string]bool, len(f.GetPeers()))
	for _, p := range f.GetPeers() {
		if changed[p.GetId()] {
			return Map{}, malformed("names peer %q twice", clip(p.GetId()))
		}
		r, err := parsePeer(p, known[p.GetId()])
		if err != nil {
			return Map{}, err
		}
		m.Peers[r.ID], changed[r.ID] = r, true
	}
	return m.whole(true, changed)
}

// whole checks what no record shows alone.
func (m Map) whole(selfChanged bool, changed map[string]bool) (Map, error) {
	if len(m.Peers) > MaxPeers {
		return Map{}, malformed("%d peers, at most %d", len(m.Peers), MaxPeers)
	}
	if _, self := m.Peers[m.Self.ID]; self {
		return Map{}, malformed("the node is its own peer")
	}
	if m.Self.Pending && (len(m.Peers) > 0 || !m.Rules.IsEmpty()) {
		return Map{}, malformed("a node that waits for approval has peers or rules")
	}
	if err := checkOwners(m, selfChanged, changed); err != nil {
		return Map{}, err
	}
	return m, nil
}

// notBack refuses a statement that is older than the one held: an old tunnel
// key is one that somebody may have stolen since.
func notBack(old, next PeerRecord) error {
	if old.Statement == nil || sameStatement(old.Statement, next.Statement) {
		return nil
	}
	if next.Statement == nil {
		return malformed("peer %s loses its statement", next.ID)
	}
	before, err := parseClaim(old.Statement)
	if err != nil {
		return err
	}
	after, err := parseClaim(next.Statement)
	if err != nil {
		return err
	}
	if after.Sequence <= before.Sequence {
		return malformed("peer %s: statement %d after %d", next.ID, after.Sequence, before.Sequence)
	}
	return nil
}

func sameStatement(a, b *Statement) bool {
	return a != nil && b != nil && bytes.Equal(a.Payload, b.Payload) && bytes.Equal(a.Signature, b.Signature)
}
