package netstack

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"
)

const (
	// batch is what WireGuard's UDP side hands over at a time on Linux.
	batch = 64
	// taken is how many packets one Read takes. WireGuard keeps each in a buffer of
	// 64 KiB until it is sent: more at a time cost memory, and bring nothing.
	taken = 32
	// outbound bounds the packets that wait for the reader. A full queue drops:
	// blocking here could make two stacks, each waiting for the other to read,
	// wait for ever. 4096 packets are more than TCP's largest window.
	outbound = 4096
	// mergedFlows is the depth of a bucket of the packet merger.
	mergedFlows = 8
)

// device is the stack's end of the wire as a tun.Device. Read and Write may
// each be called by several goroutines.
type device struct {
	stack  *Stack
	link   *channel.Endpoint
	mtu    int
	events chan tun.Event
	gros   sync.Pool // of *gro.GRO: Write merges the segments of one batch

	ctx    context.Context // ends with the device
	cancel context.CancelFunc
	once   sync.Once

	mu      sync.Mutex      // guards what follows
	reading context.Context // of ctx; ends blocked Reads
	expire  context.CancelFunc
}

func newDevice(s *Stack, mtu int) *device {
	d := &device{stack: s, mtu: mtu, events: make(chan tun.Event, 1)}
	d.link = channel.New(outbound, uint32(mtu), "")
	d.link.LinkEPCapabilities = stack.CapabilityRXChecksumOffload // see intact
	d.link.SupportedGSOKind = stack.GVisorGSOSupported
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.reading, d.expire = context.WithCancel(d.ctx)
	d.gros.New = func() any {
		g := &gro.GRO{Dispatcher: dispatcher{d.link}}
		g.Init(true)
		return g
	}
	d.events <- tun.EventUp
	return d
}

// File returns nil: there is no file behind the stack.
func (d *device) File() *os.File { return nil }

// MTU returns the largest packet in bytes that Read gives.
func (d *device) MTU() (int, error) { return d.mtu, nil }

// Name names the device in logs.
func (d *device) Name() (string, error) { return "netstack", nil }

// Events gives EventUp once; it is closed by Close.
func (d *device) Events() <-chan tun.Event { return d.events }

// BatchSize is the most that one Read or Write moves at a time.
func (d *device) BatchSize() int { return batch }

// Close closes the stack too.
func (d *device) Close() error { return d.stack.Close() }

// end is called once, by Stack.Close.
func (d *device) end() {
	d.once.Do(func() {
		d.cancel()
		d.link.Close()
		close(d.events)
	})
}

// Read blocks for the first packet that the stack sends, then takes what else
// is waiting. After Close it fails with os.ErrClosed, after a deadline with
// os.ErrDeadlineExceeded.
func (d *device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	ctx := d.until()
	for {
		pkt := d.link.ReadContext(ctx)
		if pkt == nil && d.ctx.Err() == nil && ctx.Err() != nil {
			return 0, os.ErrDeadlineExceeded
		}
		if pkt == nil {
			return 0, os.ErrClosed
		}
		n := 0
		for ; pkt != nil; pkt = d.link.Read() {
			if size := copyPacket(bufs[n][offset:], pkt); size > 0 {
				sizes[n] = size
				n++
			}
			pkt.DecRef()
			if n == min(len(bufs), taken) {
				break
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// SetReadDeadline ends blocked Reads and those to come if t is past, and lets
// them wait again if it is the zero time. Other times are not needed, and refused.
func (d *device) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case t.IsZero() && d.reading.Err() != nil:
		d.reading, d.expire = context.WithCancel(d.ctx)
	case t.IsZero():
	case t.After(time.Now()):
		return os.ErrNoDeadline
	default:
		d.expire()
	}
	return nil
}

// until gives what ends a Read that begins now.
func (d *device) until() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reading
}

// copyPacket returns zero, and the packet is lost, when b is too small for it.
func copyPacket(b []byte, pkt *stack.PacketBuffer) int {
	size := pkt.Size()
	if size > len(b) {
		return 0
	}
	n := 0
	for _, part := range pkt.AsSlices() {
		n += copy(b[n:], part)
	}
	return n
}

// Write gives packets to the stack, and keeps none of bufs. What is no IP packet
// is dropped: it came out of a tunnel, so its sender is known, but it is noise.
func (d *device) Write(bufs [][]byte, offset int) (int, error) {
	if d.ctx.Err() != nil {
		return 0, os.ErrClosed
	}
	g, ok := d.gros.Get().(*gro.GRO)
	if !ok {
		return 0, fmt.Errorf("netstack: write %d packets: no packet merger", len(bufs))
	}
	defer d.gros.Put(g)
	for _, b := range bufs {
		d.inject(g, b[offset:])
	}
	// One Flush gives up the head of each of the merger's buckets only; a bucket
	// holds at most this many flows.
	for range mergedFlows {
		g.Flush()
	}
	return len(bufs), nil
}

func (d *device) inject(g *gro.GRO, packet []byte) {
	if !intact(packet) {
		return
	}
	proto := header.IPv4ProtocolNumber
	if packet[0]>>4 == 6 {
		proto = header.IPv6ProtocolNumber
	}
	if d.stack.refusals.note(packet) {
		return
	}
	view := buffer.NewViewWithData(packet) // a copy
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(view)})
	pkt.NetworkProtocolNumber = proto
	pkt.RXChecksumValidated = true
	g.Enqueue(pkt)
	pkt.DecRef()
}

// dispatcher leads merged packets into the stack.
type dispatcher struct{ link *channel.Endpoint }

func (d dispatcher) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	d.link.InjectInbound(proto, pkt)
}

func (dispatcher) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
