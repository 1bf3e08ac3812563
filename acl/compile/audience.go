package compile

// audience is who sees a node at one end of a turn.
type audience struct {
	profiles []*profile
	own      []*node // of its owner, and of none of the profiles
}

// end is one of the two of a turn.
type end int

const (
	before end = iota
	after
)

// sight is the round in which somebody last stood in an audience, for each end.
type sight [2]uint64

func (m *Mesh) audienceOf(n *node) audience {
	profiles := m.adjacent(n.profile)
	return audience{profiles, m.ownPeers(n, m.round)}
}

// ownPeers gives the nodes that a node sees because they are of one owner. The profiles
// marked with round are seen anyway.
func (m *Mesh) ownPeers(n *node, round uint64) (peers []*node) {
	if !m.book.hasSelf || n.record.owner == 0 {
		return nil
	}
	for _, other := range m.byOwner[n.record.owner] {
		if other != n && other.profile.mark != round && (m.reaches(n, other) || m.reaches(other, n)) {
			peers = append(peers, other)
		}
	}
	return peers
}

// stamp marks those who see the node at one end with a round.
func (a *audience) stamp(at end, round uint64) {
	for _, p := range a.profiles {
		p.sight[at] = round
	}
	for _, n := range a.own {
		n.sight[at] = round
	}
}

// without gives the profiles of which nobody sees the node at the other end.
func (a *audience) without(other end, round uint64) (all []*profile) {
	for _, p := range a.profiles {
		if p.sight[other] != round {
			all = append(all, p)
		}
	}
	return all
}
