package wire

// ParsePeer gives the typed form of p, with the keys of its statement, which
// it verifies. It fails with [ErrMalformed] or [key.ErrSignature].
func ParsePeer(p *Peer) (PeerRecord, error) { return parsePeer(p, PeerRecord{}) }

// IsEmpty tells whether d changes nothing.
func (d *Delta) IsEmpty() bool {
	return d.GetSelf() == nil && d.GetRules() == nil && len(d.GetPut()) == 0 && len(d.GetRemove()) == 0 && len(d.GetSeats()) == 0
}

// Validate checks a map that was put together by hand, as decoding would check
// it, signatures of statements included.
func (m Map) Validate() error {
	for id, p := range m.Peers {
		if id != p.ID {
			return malformed("peer %s stands under the key %q", p.ID, clip(id))
		}
	}
	_, err := mapOf(m.Full(), m.Position(), nil)
	return err
}
