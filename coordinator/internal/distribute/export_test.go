package distribute

import "context"

// PeerSetSize gives how many words the set of peers of a node's stream has.
func (h *Hub) PeerSetSize(ctx context.Context, node string) (words int) {
	h.do(ctx, func() { words = len(h.streams[node].held) })
	return words
}

// Bit gives a node's place in the sets of peers.
func (h *Hub) Bit(ctx context.Context, node string) (bit int) {
	h.do(ctx, func() { bit = h.subject(node).bit })
	return bit
}

// Debt gives how many entries the list of peers has that a node's stream owes.
func (h *Hub) Debt(ctx context.Context, node string) (entries int) {
	h.do(ctx, func() { entries = len(h.streams[node].peers.list) })
	return entries
}

// RulesKept gives how many rule sets are kept in serialised form.
func (h *Hub) RulesKept(ctx context.Context) (n int) {
	h.do(ctx, func() { n = len(h.rules) })
	return n
}

// Bound sets how large a message, and how much under way, may be.
func (h *Hub) Bound(ctx context.Context, message, flight int) {
	h.do(ctx, func() { h.largest, h.flight.most = message, flight })
}
