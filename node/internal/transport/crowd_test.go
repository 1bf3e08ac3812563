package transport_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// A map may name ten thousand peers of which fifty are spoken with: the others
// cost an endpoint each, and no room for what they never had.
func TestPeersThatNobodySpeaksWithCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd = 1000
		n := newNode(t, "a", transport.Config{Bind: newNetwork().bind("192.0.2.1:7")})
		defer n.run(t)()
		synctest.Wait()
		peers := make([]transport.Peer, crowd)
		for i := range peers {
			node, path := key.NewNode(), key.NewPath()
			peers[i] = transport.Peer{ID: fmt.Sprintf("n-%020d", i), NodeKey: node.Public(), PathKey: path.Public(),
				Candidates: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:7"), netip.MustParseAddrPort("192.0.2.8:7")}}
		}
		before := heap()
		n.SetPeers(peers)
		synctest.Wait()
		used := (heap() - before) / crowd
		runtime.KeepAlive(peers)
		t.Logf("%d bytes for each peer", used)
		if used > 1200 {
			t.Errorf("%d bytes for each peer of the map", used)
		}
		if got := n.Paths(); len(got) != crowd || got[peers[7].ID].Candidates != 2 {
			t.Errorf("of %d peers one has %+v", len(got), got[peers[7].ID])
		}
	})
}

// Of who came and went in a node's life nothing is kept.
func TestPeersThatLeftCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, rounds = 500, 20
		n := newNode(t, "a", transport.Config{Bind: newNetwork().bind("192.0.2.1:7")})
		defer n.run(t)()
		peers := make([]transport.Peer, crowd)
		for i := range peers {
			node, path := key.NewNode(), key.NewPath()
			peers[i] = transport.Peer{NodeKey: node.Public(), PathKey: path.Public()}
		}
		come := func(round int) {
			for i := range peers {
				peers[i].ID = fmt.Sprintf("n-%020d", round*crowd+i)
			}
			n.SetPeers(peers)
			synctest.Wait()
			n.SetPeers(nil)
			synctest.Wait()
		}
		come(0)
		before := heap()
		for round := range rounds {
			come(1 + round)
		}
		runtime.GC()
		n.SetPeers(nil)
		synctest.Wait()
		used := int64(heap()) - int64(before)
		runtime.KeepAlive(peers)
		t.Logf("%d bytes of %d peers that left", used, crowd*rounds)
		if used > crowd*rounds*20 {
			t.Errorf("%d bytes for each peer that left", used/(crowd*rounds))
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
