package node

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// ownAddresses are those that a world's programs speak from in the mesh. They are read
// while the filter judges, so nothing waits for them.
type ownAddresses struct{ now atomic.Pointer[[]netip.Addr] }

func (o *ownAddresses) set(prefixes []netip.Prefix) (addresses []netip.Addr) {
	for _, p := range prefixes {
		addresses = append(addresses, p.Addr())
	}
	o.now.Store(&addresses)
	return addresses
}

func (o *ownAddresses) has(a netip.Addr) bool {
	all := o.now.Load()
	return all != nil && slices.Contains(*all, a)
}

// finder looks for the socket that gets what a peer sends, as osnet.Sockets does.
type finder func(own, peer netip.AddrPort) (connected, listens bool, err error)

// stands is filter.Stands. Neither stack tells who opened a connection. But a program
// that dials is given a port at which nothing listens: what stands at one that does,
// the peer has opened.
func (o *ownAddresses) stands(find finder, own, peer netip.AddrPort, begun filter.Direction) (stands, known bool) {
	connected, _, err := find(own, peer)
	switch {
	case err != nil:
		return false, false
	case !connected:
		return false, o.has(own.Addr())
	case begun == filter.In:
		return true, true
	}
	_, listens, err := find(own, netip.AddrPortFrom(peer.Addr(), 0))
	return !listens, err == nil
}

func (w *tunWorld) stands(own, peer netip.AddrPort, begun filter.Direction) (stands, known bool) {
	if w.sockets == nil {
		return false, false
	}
	return w.own.stands(w.sockets.Find, own, peer, begun)
}

// openSockets has the kernel asked, if it answers.
func (w *tunWorld) openSockets() {
	var err error
	if w.sockets, err = osnet.OpenSockets(); err != nil {
		w.log.Warn("which connections stand cannot be known: those on which a peer speaks first, some minutes after a restart of the daemon, will end", "error", err)
	}
}

func (w *tunWorld) closeSockets() error {
	if w.sockets == nil {
		return nil
	}
	return w.sockets.Close()
}

func (w *stackWorld) stands(own, peer netip.AddrPort, begun filter.Direction) (stands, known bool) {
	return w.own.stands(func(own, peer netip.AddrPort) (connected, listens bool, err error) {
		connected, listens = w.stack.Find(own, peer)
		return connected, listens, nil
	}, own, peer, begun)
}
