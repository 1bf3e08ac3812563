package userspace

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// maxBadReads is how many reads in a row may yield something unreadable before
// the TUN counts as dead.
const maxBadReads = 64

// guard is the TUN that wireguard-go sees: the real one with the filter in
// front. Read is called by one goroutine, Write by one for each peer.
type guard struct {
	tun.Device
	filter *filter.Filter
	now    func() filter.Moment
	views  sync.Pool // of *packet.Packet, for Write

	local answers  // to this machine, by the goroutine of answer
	peers answers  // through the tunnel, by Read
	alarm deadline // wakes Read for them; nil: nothing does, so none is made

	onward onward // from peer to peer, by Read

	roster atomic.Pointer[roster]
	lobby  *lobby // for peers that wireguard-go does not have
	nearby nearby // Read's own

	in, out *flight     // what is under way in wireguard-go
	clock   *time.Timer // Read's own

	view packet.Packet // Read's own
	bad  int           // Read's own: unreadable reads in a row

	shut atomic.Bool
	died atomic.Pointer[error]
	once sync.Once
}

func newGuard(dev tun.Device, f *filter.Filter, now func() filter.Moment) *guard {
	g := &guard{
		Device: dev, filter: f, now: now, local: newAnswers(), peers: newAnswers(), alarm: deadlineOf(dev),
		in: newFlight(), out: newFlight(), clock: stoppedClock(), lobby: newLobby(), onward: newOnward(),
	}
	g.roster.Store(new(roster))
	g.views.New = func() any { return new(packet.Packet) }
	return g
}

// Read gives packets of this machine that may leave it. A refused packet stays
// in the batch with size 0, which wireguard-go passes over: its buffers are tied
// to their places, so taking one out would cost a copy. Behind them come answers
// to peers, which wireguard-go takes for packets of this machine as well, packets
// from one peer to another, and packets that waited for their peer.
func (g *guard) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	g.out.await(g.clock, bufs)
	n, err := g.read(bufs, sizes, offset)
	g.out.enter(permitted(bufs, sizes[:n]))
	return n, err
}

// permitted counts the packets in a batch, and gives the last one's buffer.
func permitted(bufs [][]byte, sizes []int) (packets int, last []byte) {
	for i, size := range sizes {
		if size > 0 {
			packets, last = packets+1, bufs[i]
		}
	}
	return packets, last
}

// read is Read without the bound on what is under way.
func (g *guard) read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := g.Device.Read(bufs, sizes, offset)
	if n > 0 {
		g.judgeOut(bufs[:n], sizes[:n], offset)
	}
	if err != nil && g.woken(err) {
		err = nil
	}
	if len(g.onward.ready) > 0 {
		n = g.forward(bufs, sizes, n, offset)
	}
	n = g.peers.take(bufs, sizes, n, offset)
	if g.lobby.ready.Load() > 0 {
		n = g.usher(bufs, sizes, n, offset)
	}
	if n == len(bufs) && (len(g.peers.ready) > 0 || len(g.onward.ready) > 0 || g.lobby.ready.Load() > 0) {
		g.wake() // the rest comes with the next batch
	}
	if err == nil || errors.Is(err, tun.ErrTooManySegments) {
		g.bad = 0
		return n, err
	}
	if g.bad++; g.bad <= maxBadReads && !fatal(err) {
		// What the device read makes no sense, such as an offload of a kind that
		// it does not know. wireguard-go would close for it; a local program must
		// not be able to end all tunnels with one packet.
		return n, nil
	}
	g.fail(err)
	return n, err
}

// fail is apart from Read so that no error of a good read needs memory.
func (g *guard) fail(err error) {
	if !g.shut.Load() {
		g.died.CompareAndSwap(nil, &err)
	}
}

// fatal tells a device that is gone from a read that made no sense: only the
// former is said by the operating system.
func fatal(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF)
}

func (g *guard) judgeOut(bufs [][]byte, sizes []int, offset int) {
	batch := g.filter.Begin(g.now())
	defer batch.End()
	for i, size := range sizes {
		if size <= 0 {
			continue
		}
		g.view.Parse(bufs[i][offset : offset+size]) // a fault makes it Invalid, which is refused
		verdict := batch.Out(&g.view)
		if verdict.Allow && g.goes(batch, bufs[i][offset:offset+size], &g.local) {
			continue
		}
		sizes[i] = 0
		if !verdict.Allow {
			g.local.refuse(batch, filter.Out, &g.view, verdict)
		}
	}
}

// nearby is the peer that the packet before was for: packets come in runs.
type nearby struct {
	dst     packet.Addr
	version uint32 // of the rules; 0: none yet
	peer    *member
}

// goes tells whether a permitted packet, the one in view, may go to wireguard-go
// now. If its peer is not there yet it waits in the lobby. The sender is where
// answers go.
func (g *guard) goes(batch filter.Batch, data []byte, sender *answers) bool {
	dst := g.view.Dst
	if v := batch.Version(); g.nearby.version != v || g.nearby.dst != dst {
		g.nearby = nearby{dst, v, g.roster.Load().byID[batch.Holder(dst)]}
	}
	m := g.nearby.peer
	if m == nil {
		return false // it left the map this moment
	}
	return g.fits(m, &g.view, sender) && (m.in.Load() || !g.lobby.enter(m, data, batch.Version()))
}

// usher takes packets out of the lobby whose peer is there now. If rules were
// loaded meanwhile they are judged again.
func (g *guard) usher(bufs [][]byte, sizes []int, n, offset int) int {
	batch := g.filter.Begin(g.now())
	defer batch.End()
	return g.lobby.take(bufs, sizes, n, offset, batch, func(data []byte) bool {
		g.view.Parse(data)
		return batch.Again(&g.view).Allow
	})
}

// Write takes packets that peers sent, and passes on those that are permitted, in
// their order: to this machine, or to the peer that they are for. It closes the gaps
// in bufs, which wireguard-go builds anew for each batch.
func (g *guard) Write(bufs [][]byte, offset int) (int, error) {
	g.in.come(bufs)
	defer g.in.leave(len(bufs))
	kept, more := g.judgeIn(bufs, offset)
	if more {
		g.wake()
	}
	if len(kept) == 0 {
		return 0, nil
	}
	return g.Device.Write(kept, offset)
}

// judgeIn gives the packets that are for this machine, and tells whether there are
// now more for Read.
func (g *guard) judgeIn(bufs [][]byte, offset int) (kept [][]byte, more bool) {
	view := g.views.Get().(*packet.Packet)
	defer g.views.Put(view)
	batch := g.filter.Begin(g.now())
	defer batch.End()
	kept = bufs[:0]
	for _, buf := range bufs {
		view.Parse(buf[offset:])
		verdict, d, on := batch.Onward(view)
		if verdict.Allow {
			g.fitSource(batch, view)
		}
		switch {
		case verdict.Allow && !on:
			kept = append(kept, buf)
		case g.alarm == nil:
		case verdict.Allow:
			more = g.onward.put(buf[offset:], batch.Version()) || more
		default:
			more = g.peers.refuse(batch, d, view, verdict) || more
		}
	}
	return kept, more
}

// fitSource fits a stream that a peer begins to the way back to it.
func (g *guard) fitSource(batch filter.Batch, view *packet.Packet) {
	if view.Flags&packet.SYN == 0 {
		return
	}
	if m := g.roster.Load().byID[batch.Holder(view.Src)]; m != nil {
		fitStream(view, int(m.size.Load()))
	}
}

// Close closes the real TUN, once: wireguard-go and a dying device may both ask.
func (g *guard) Close() (err error) {
	g.once.Do(func() { err = g.Device.Close() })
	return err
}

// closing says that the end is wanted: a failing read is then no failure.
func (g *guard) closing() { g.shut.Store(true) }

func (g *guard) failure() error {
	if err := g.died.Load(); err != nil {
		return *err
	}
	return nil
}
