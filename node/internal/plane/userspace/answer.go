package userspace

import (
	"context"

	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

const (
	// answersWaiting is how many answers may wait for the TUN. More are dropped:
	// the sender then sees a timeout, as it would anywhere else.
	answersWaiting = 32

	// answerOffset leaves what a TUN wants in front of a packet: 10 bytes for
	// the virtio header on Linux, 4 for the family on Darwin.
	answerOffset = device.MessageTransportOffsetContent

	// answerSize holds the longest answer, an ICMPv6 error of the least MTU.
	answerSize = answerOffset + 1280
)

// answers carries refusals from the reader of the TUN to the goroutine that
// writes them back. All buffers are made at the start.
type answers struct {
	free, ready chan []byte
}

func newAnswers() answers {
	a := answers{free: make(chan []byte, answersWaiting), ready: make(chan []byte, answersWaiting)}
	for range answersWaiting {
		a.free <- make([]byte, 0, answerSize)
	}
	return a
}

// refuse tells the sender of p, a program of this machine, that it was refused.
func (a *answers) refuse(p *packet.Packet, why acl.Reason) {
	var buf []byte
	select {
	case buf = <-a.free:
	default:
		return
	}
	out, ok := buildAnswer(buf[:answerOffset], p, why)
	if !ok {
		a.free <- buf
		return
	}
	a.ready <- out
}

// buildAnswer writes what makes the sender's program fail at once. For an
// address that nobody owns that is "host unreachable", save for UDP: Linux tells
// a plain UDP socket of a prohibition, and keeps the other to itself.
func buildAnswer(to []byte, p *packet.Packet, why acl.Reason) ([]byte, bool) {
	if why == acl.UnknownPeer && p.Proto != acl.UDP {
		return packet.AppendUnreachable(to, p, packet.NoHost)
	}
	if out, ok := packet.AppendReset(to, p); ok {
		return out, true
	}
	return packet.AppendUnreachable(to, p, packet.Prohibited)
}

// answer writes refusals to the real TUN until ctx ends or the TUN fails.
func (g *guard) answer(ctx context.Context) {
	batch := make([][]byte, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case batch[0] = <-g.ready:
			// A failure is the reader's to notice; the buffer must come back.
			_, _ = g.Device.Write(batch, answerOffset)
			g.free <- batch[0][:0]
		}
	}
}
