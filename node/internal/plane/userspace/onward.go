package userspace

import (
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// onwardSize is how many packets may wait to go on from one peer to another. More
// are dropped, as by any router whose line is busy: TCP slows down by it.
const onwardSize = 256

// onward carries packets to Read that are for a peer and not of this machine's stack:
// those that came from another, one of the two a stock peer, and nudges: wireguard-go sends only what it reads. They never see the
// machine, whose kernel would have to forward them. A buffer grows to the largest
// packet that it carried, and is used again.
type onward struct {
	free, ready chan parcel
}

type parcel struct {
	data    []byte
	version uint32 // of the rules that permitted it
}

func newOnward() onward {
	o := onward{free: make(chan parcel, onwardSize), ready: make(chan parcel, onwardSize)}
	for range onwardSize {
		o.free <- parcel{}
	}
	return o
}

// put takes a copy of a permitted packet, if there is room.
func (o *onward) put(packet []byte, version uint32) bool {
	select {
	case p := <-o.free:
		p.data, p.version = append(p.data[:0], packet...), version
		o.ready <- p
		return true
	default:
		return false
	}
}

// forward moves packets for other peers into the places of a batch from n on, and
// gives how many are then taken. What was permitted by other rules than those of
// now goes only if these permit it too.
func (g *guard) forward(bufs [][]byte, sizes []int, n, offset int) int {
	batch := g.filter.Begin(g.now())
	defer batch.End()
	for n < len(bufs) {
		select {
		case p := <-g.onward.ready:
			if size := g.forwarded(batch, &p, bufs[n][offset:]); size > 0 {
				sizes[n] = size
				n++
			}
			g.onward.free <- p
			continue
		default:
		}
		break
	}
	return n
}

// forwarded puts one packet into its place, and gives its size; 0: it does not go.
func (g *guard) forwarded(batch filter.Batch, p *parcel, place []byte) int {
	if len(p.data) > len(place) {
		return 0
	}
	data := place[:copy(place, p.data)]
	g.view.Parse(data)
	if p.version != batch.Version() && !batch.Again(&g.view).Allow || !g.goes(batch, data, &g.peers) {
		return 0
	}
	return len(data)
}

// nudgePeers makes stacks behind the tunnel speak on connections that began here and
// lost their right. Whose node knows that refuses it; what the stack of another says is
// refused here, and answered by a reset: a program there that only listens would else
// keep a connection on which nothing comes. They go the way of what goes onward, where
// they may wait for a peer whose tunnel rests.
func (g *guard) nudgePeers(flows []packet.Flow) {
	if g.alarm == nil || len(flows) == 0 {
		return
	}
	buf := make([]byte, 0, answerSize)
	batch := g.filter.Begin(g.now())
	version := batch.Version()
	batch.End()
	for i := range flows {
		if out, ok := packet.AppendNudge(buf, &flows[i]); ok {
			g.onward.put(out, version)
		}
	}
	g.wake()
}

// nudgeOnward is nudge for a flow of a stock peer's, whose stack is not here. It
// tells whether the flow is one.
func (g *guard) nudgeOnward(flow *packet.Flow) bool {
	batch := g.filter.Begin(g.now())
	stock := batch.Holder(flow.Dst) != ""
	batch.End()
	if stock && g.peers.nudge(flow) {
		g.wake()
	}
	return stock
}

// nudge has a packet sent that makes the own end of a flow speak, if there is room.
func (a *answers) nudge(flow *packet.Flow) bool {
	sent, _ := a.send(func(buf []byte) ([]byte, bool) { return packet.AppendNudge(buf, flow) })
	return sent
}
