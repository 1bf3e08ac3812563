package distribute

import "context"

// PeerSetSize gives how many words the set of peers of a node's stream has.
func (h *Hub) PeerSetSize(ctx context.Context, node string) (words int) {
	h.do(ctx, func() { words = len(h.streams[node].held) })
	return words
}
