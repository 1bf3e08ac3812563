package userspace

import (
	"context"

	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
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

// answers carries refusals to the goroutine that sends them back the way that the
// refused packets came: into the TUN, or through the tunnel. All buffers are made
// at the start.
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

// refuse makes the packet that tells the sender of p that it was refused, and
// reports whether there is one to be sent.
func (a *answers) refuse(batch filter.Batch, d filter.Direction, p *packet.Packet, v acl.Verdict) bool {
	sent, _ := a.send(func(buf []byte) ([]byte, bool) { return batch.AppendAnswer(buf, d, p, v) })
	return sent
}

// send has a packet written into a free buffer, behind answerOffset, and queues
// it. There is room for no more packets than there are buffers.
func (a *answers) send(write func(buf []byte) (packet []byte, ok bool)) (sent, room bool) {
	select {
	case buf := <-a.free:
		out, ok := write(buf[:answerOffset])
		if ok {
			a.ready <- out
		} else {
			a.free <- buf
		}
		return ok, true
	default:
		return false, false
	}
}

// take moves waiting answers into the places of a batch from n on, and gives how
// many of them are then taken.
func (a *answers) take(bufs [][]byte, sizes []int, n, offset int) int {
	for n < len(bufs) {
		select {
		case out := <-a.ready:
			sizes[n] = copy(bufs[n][offset:], out[answerOffset:])
			n++
			a.free <- out[:0]
		default:
			return n
		}
	}
	return n
}

// answer writes refusals to the real TUN until ctx ends or the TUN fails.
func (g *guard) answer(ctx context.Context) {
	batch := make([][]byte, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case batch[0] = <-g.local.ready:
			// A failure is the reader's to notice; the buffer must come back.
			_, _ = g.Device.Write(batch, answerOffset)
			g.local.free <- batch[0][:0]
		}
	}
}

// nudge makes this machine's stack speak on connections that lost their right,
// so that programs which only listen hear of it too: what the stack says is
// refused, and answered by a reset.
func (g *guard) nudge(flows []packet.Flow) {
	buf := make([]byte, answerOffset, answerSize)
	for i := range flows {
		if g.nudgeOnward(&flows[i]) {
			continue
		}
		if out, ok := packet.AppendNudge(buf, &flows[i]); ok {
			if _, err := g.Device.Write([][]byte{out}, answerOffset); err != nil {
				return // the reader notices a dead TUN too
			}
		}
	}
}
